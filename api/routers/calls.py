"""Calls: submitted, followed, read, corrected, deleted."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from itertools import count
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sse_starlette import EventSourceResponse, ServerSentEvent

from api import examples, openapi
from api.context import ApiContext
from api.deps import AUTH_ERRORS, CallId, Context, IdempotencyKey, Reader, Writer, json_only
from api.replies import as_file, as_json, in_work
from api.schemas.requests import CallQuery, Rerun, SpeakerChange
from api.submission import JSON_ERRORS, SUBMIT_ERRORS, take_in
from api.waiting import follow, look
from callytics.db.calls import Calls
from callytics.db.engine import unit_of_work
from callytics.db.models import Call
from callytics.errors import (
    CallFinishedError,
    CallNotFoundError,
    CallPurgedError,
    CallRunningError,
    InvalidRequestError,
    StageNotInCallError,
    TranscriptNotReadyError,
    UnknownStageError,
)
from callytics.services import calls
from callytics.services.call_result import (
    CallPage,
    CallResult,
    StatusEvent,
    Submitted,
    Transcript,
    stages_of,
)
from callytics.services.schema import Schema
from callytics.services.transcripts import TranscriptFormat, render, require_transcript

PING_S = 15

RerunBody = Annotated[Rerun, Body(openapi_examples=examples.RERUN)]
SpeakersBody = Annotated[SpeakerChange, Body(openapi_examples=examples.SPEAKERS)]

router = APIRouter(prefix="/api/v1/calls", tags=["calls"], responses=openapi.problems(*AUTH_ERRORS))


@router.post(
    "",
    status_code=202,
    summary="Submit a recording",
    response_model=Submitted,
    responses={
        202: openapi.example(examples.SUBMITTED, "Taken in; `Location` is the `status_url`"),
        **openapi.problems(*AUTH_ERRORS, *SUBMIT_ERRORS),
    },
    openapi_extra=openapi.submit_body(),
)
async def submit(
    request: Request, context: Context, client_id: Writer, idempotency_key: IdempotencyKey = None
) -> Response:
    """Upload the recording as `audio` of a form, or name it as `audio_url` or `audio_path` in JSON.

    A recording that cannot be decoded is found by the first stage: the call is then `failed`, and that
    stage's `problem` says why.
    """
    call_id = await take_in(request, context, client_id, idempotency_key)
    return in_work(request, context, call_id)


@router.get(
    "",
    summary="List calls, newest first",
    responses=openapi.problems(*AUTH_ERRORS, CallNotFoundError, InvalidRequestError),
)
def list_calls(
    context: Context, client_id: Reader, query: Annotated[CallQuery, Query()]
) -> CallPage:
    with unit_of_work(context.sessions) as session:
        page = calls.page(
            session, client_id, query.as_filter(), after=query.after, limit=query.limit
        )
        return CallPage.of(page.calls, has_more=page.has_more)


@router.get(
    "/{call_id}",
    summary="A call's state and results",
    response_model=CallResult,
    responses={
        200: openapi.example(examples.RESULT),
        **openapi.problems(*AUTH_ERRORS, CallNotFoundError, InvalidRequestError),
    },
)
def show(
    context: Context,
    client_id: Reader,
    call_id: CallId,
    *,
    words: Annotated[bool, Query(description="With each word's times and confidence.")] = False,
) -> Response:
    """Where each stage stands, and the results as they come."""
    return _result(context, client_id, call_id, words=words)


@router.get(
    "/{call_id}/events",
    summary="A call's progress as server-sent events",
    response_class=EventSourceResponse,
    responses={
        200: {
            "content": {"text/event-stream": {"example": examples.EVENTS}},
            "description": "Events",
        },
        **openapi.problems(*AUTH_ERRORS, CallNotFoundError),
    },
)
async def events(context: Context, client_id: Reader, call_id: CallId) -> EventSourceResponse:
    """`stage` (as in the result) and `status` events: first all as it stands, then each change.

    The stream ends when the call does, with `deleted` if it was deleted. A client that comes back
    (`Last-Event-ID`) is told again how everything stands.
    """
    await run_in_threadpool(look, context, client_id, call_id)  # 404 before the stream
    return EventSourceResponse(_events(context, client_id, call_id), ping=PING_S, sep="\n")


async def _events(
    context: ApiContext, client_id: UUID, call_id: UUID
) -> AsyncIterator[ServerSentEvent]:
    told: dict[str, Schema] = {}
    number = count(1)
    async with aclosing(follow(context, client_id, call_id)) as looks:
        async for call in looks:
            if call is None:
                yield ServerSentEvent("{}", event="deleted", id=str(next(number)))
                return
            now = _state(call)
            for name, state in now.items():
                if told.get(name) != state:
                    kind = "status" if name == "status" else "stage"
                    yield ServerSentEvent(state.model_dump_json(), event=kind, id=str(next(number)))
            told = now


def _state(call: Call) -> dict[str, Schema]:
    """What events tell of: each stage, and last, so that it ends the stream, the call's status."""
    status = StatusEvent(call_id=call.id, status=call.status, completed_at=call.completed_at)
    return {**{stage.name: stage for stage in stages_of(call)}, "status": status}


@router.get(
    "/{call_id}/transcript",
    summary="The transcript alone, as JSON or as a file",
    response_model=Transcript,
    responses={
        200: openapi.transcripts(),
        **openapi.problems(
            *AUTH_ERRORS,
            CallNotFoundError,
            TranscriptNotReadyError,
            CallPurgedError,
            InvalidRequestError,
        ),
    },
)
def transcript(
    context: Context,
    client_id: Reader,
    call_id: CallId,
    form: Annotated[TranscriptFormat, Query(alias="format")] = TranscriptFormat.JSON,
) -> Response:
    """As soon as there is one; punctuation and sentiment come into it as their stages end."""
    with unit_of_work(context.sessions) as session:
        call = Calls(session).owned(client_id, call_id, words=form is not TranscriptFormat.JSON)
        require_transcript(call)
        if form is TranscriptFormat.JSON:
            return as_json(Transcript.of(call))
        return as_file(
            render(call.turns, form), openapi.FILE_TYPES[form], name=f"call-{call_id}.{form}"
        )


@router.post(
    "/{call_id}/cancel",
    summary="Stop a call",
    response_model=CallResult,
    responses=openapi.problems(*AUTH_ERRORS, CallNotFoundError, CallFinishedError),
)
def cancel(context: Context, client_id: Writer, call_id: CallId) -> Response:
    """What waits is not begun, what runs is abandoned, what is done stays."""
    with unit_of_work(context.sessions) as session:
        calls.cancel(session, client_id, call_id)
    return _result(context, client_id, call_id)


@router.post(
    "/{call_id}/rerun",
    status_code=202,
    summary="Run a call again from one stage on",
    response_model=Submitted,
    dependencies=[Depends(json_only)],
    responses={
        202: openapi.example(examples.SUBMITTED, "Queued again"),
        **openapi.problems(
            *AUTH_ERRORS,
            *JSON_ERRORS,
            UnknownStageError,
            CallNotFoundError,
            CallRunningError,
            CallPurgedError,
            StageNotInCallError,
        ),
    },
)
def rerun(
    request: Request, context: Context, client_id: Writer, call_id: CallId, body: RerunBody
) -> Response:
    """The stage, all that rests on it, and what else is not done. Results stay until they are replaced."""
    with unit_of_work(context.sessions) as session:
        hints = calls.rerun(session, client_id, call_id, body.start)
    context.send(hints)
    return in_work(request, context, call_id)


@router.patch(
    "/{call_id}/speakers",
    summary="Say who is agent and who is customer",
    response_model=CallResult,
    dependencies=[Depends(json_only)],
    responses={
        200: openapi.example(examples.RESULT),
        **openapi.problems(
            *AUTH_ERRORS,
            *JSON_ERRORS,
            CallNotFoundError,
            CallRunningError,
            CallPurgedError,
            TranscriptNotReadyError,
        ),
    },
)
def correct_speakers(
    context: Context,
    client_id: Writer,
    call_id: CallId,
    body: SpeakersBody,
) -> Response:
    """Once the call has ended. Roles, metrics and sentiment are right in the answer; a summary, whose
    words name the roles, is dropped and made again, so the call runs once more for a moment.
    """
    with unit_of_work(context.sessions) as session:
        hints = calls.correct_speakers(session, client_id, call_id, body.roles)
    context.send(hints)
    return _result(context, client_id, call_id)


@router.delete(
    "/{call_id}",
    status_code=204,
    summary="Delete a call and its audio",
    responses=openapi.problems(*AUTH_ERRORS, CallNotFoundError),
)
def delete(context: Context, client_id: Writer, call_id: CallId) -> None:
    """Whatever its state. The rows are gone with the answer, the audio at the latest a little later."""
    with unit_of_work(context.sessions) as session:
        calls.delete(session, client_id, call_id)
    calls.delete_audio(context.store, call_id)


def _result(
    context: ApiContext, client_id: UUID, call_id: UUID, *, words: bool = False
) -> Response:
    with unit_of_work(context.sessions) as session:
        call = Calls(session).owned(client_id, call_id, words=words)
        return as_json(CallResult.of(call, words=words))
