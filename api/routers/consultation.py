"""The summary that an agent waits for, and the turns that are sent ahead of it."""

from time import perf_counter
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import examples, openapi
from api.context import ApiContext
from api.deps import AUTH_ERRORS, Context, Reader, Signed, signed
from api.errors import kind_of
from api.replies import as_json, base_url
from api.schemas.base import storable
from api.schemas.consultation import (
    NewTurns,
    QuickSummaryRequest,
    QuickSummaryResult,
    TurnsTaken,
)
from api.submission import JSON_ERRORS
from callytics.db.engine import statement_by_statement
from callytics.db.models import QuickSummary
from callytics.db.quick_summaries import QuickSummaries
from callytics.domain.stages import StageStatus
from callytics.errors import (
    CallyticsError,
    ConversationNotFoundError,
    ConversationTooLongError,
    InvalidRequestError,
    ModelUnavailableError,
    QuickSummaryNotFoundError,
    TooManyWaitingError,
    TurnConflictError,
)
from callytics.services import quick_summary
from callytics.services.quick_summary import Asked, Question

PREFIX = "/api/v1/consultation"
BODY_BYTES = 4 * 2**20
"""Beyond the longest conversation, so that one that is too long is told so by its characters."""

MARGIN_S = 0.03
"""What it takes to send an answer: so long before the budget ends the client is told to fetch it."""

UNFINISHED = frozenset({StageStatus.QUEUED, StageStatus.RUNNING})

router = APIRouter(prefix=PREFIX, tags=["consultation"], responses=openapi.problems(*AUTH_ERRORS))


def _body_limit(_settings: object) -> int:
    return BODY_BYTES


SummaryBody = Annotated[
    Signed[QuickSummaryRequest], Depends(signed(QuickSummaryRequest, limit=_body_limit))
]
TurnsBody = Annotated[Signed[NewTurns], Depends(signed(NewTurns, limit=_body_limit))]


async def _summary_id(summary_id: Annotated[str, Path(description="The summary's id.")]) -> UUID:
    try:
        return UUID(summary_id)
    except ValueError as error:
        raise QuickSummaryNotFoundError from error


async def _consultation_id(
    consultation_id: Annotated[
        str, Path(description="The client's own name for it.", max_length=128)
    ],
) -> str:
    try:
        return storable(consultation_id)
    except ValueError as error:
        raise InvalidRequestError("This is no name for a consultation.") from error


@router.post(
    "/quick-summary",
    summary="One sentence for the agent who waits for it",
    response_model=QuickSummaryResult,
    responses={
        200: openapi.example(examples.QUICK_SUMMARY),
        202: openapi.example(
            examples.QUICK_SUMMARY_LATE,
            "Not made within the budget: `Location` is where to fetch it",
        ),
        **openapi.problems(
            *AUTH_ERRORS,
            *JSON_ERRORS,
            ConversationTooLongError,
            ConversationNotFoundError,
            TooManyWaitingError,
            ModelUnavailableError,
        ),
    },
    openapi_extra=openapi.json_body(QuickSummaryRequest, examples.QUICK_SUMMARIES),
)
async def quick_summary_(request: Request, context: Context, asked: SummaryBody) -> Response:
    """Answers within three seconds of its arrival, or says at once, with 202, where to fetch the answer.

    The same conversation within ten minutes gets the same answer (`cached`).
    """
    body = asked.body
    question = Question(
        client_id=asked.client_id,
        consultation_id=body.consultation_id,
        conversation=body.conversation_text,
        priority=body.priority,
        waited_s=_waited_s(request),
    )
    async with context.watch.watching(question.summary_id) as watcher:
        taken = await run_in_threadpool(_ask, context, question)
        if taken.hints and not taken.late:
            await watcher.wait(_left_s(request, context))
    async with context.watch.watching(taken.summary_id) as watcher:
        row = await run_in_threadpool(_look, context, asked.client_id, taken.summary_id)
        # An earlier request's answer that was there already; one that comes is no older than this request.
        cached = not taken.hints and row.text is not None
        context.metrics.count_cached("quick_summary", hit=not taken.hints)
        while _is_awaited(row) and (left_s := _left_s(request, context)) > 0:
            await watcher.wait(left_s)
            row = await run_in_threadpool(_look, context, asked.client_id, taken.summary_id)
    return _reply(request, context, row, body.consultation_id, cached=cached)


@router.get(
    "/quick-summary/{summary_id}",
    summary="A summary that was not made in time",
    responses={
        200: openapi.example(examples.QUICK_SUMMARY),
        **openapi.problems(*AUTH_ERRORS, QuickSummaryNotFoundError),
    },
)
def show(
    request: Request,
    context: Context,
    client_id: Reader,
    summary_id: Annotated[UUID, Depends(_summary_id)],
) -> QuickSummaryResult:
    """`status` is `processing` until it is made. It is kept for a day."""
    row = _look(context, client_id, summary_id)
    ended = row.job.finished_at
    seconds = (ended - row.received_at).total_seconds() if ended else 0.0
    return QuickSummaryResult.of(row, seconds=seconds, url=_url(request, context, row))


@router.post(
    "/{consultation_id}/turns",
    summary="Turns of a conversation, as they are spoken",
    responses={
        200: openapi.example({"consultation_id": "CL-2025091301234", "turns": 2}),
        **openapi.problems(*AUTH_ERRORS, *JSON_ERRORS, ConversationTooLongError, TurnConflictError),
    },
    openapi_extra=openapi.json_body(NewTurns, examples.TURNS),
)
def add_turns(
    context: Context,
    consultation_id: Annotated[str, Depends(_consultation_id)],
    sent: TurnsBody,
) -> TurnsTaken:
    """The model reads them while the conversation goes on, so that a quick summary with the same
    `consultation_id` and no text need only be written. They are kept for a day.
    """
    conversation, turns = quick_summary.add_turns(
        context.sessions,
        sent.client_id,
        consultation_id,
        sent.body.lines(),
        start=sent.body.start,
        max_chars=context.settings.quick_summary.max_chars,
    )
    context.read_ahead(conversation.id)
    return TurnsTaken(consultation_id=consultation_id, turns=turns)


def _ask(context: ApiContext, question: Question) -> Asked:
    asked = quick_summary.ask(context.sessions, question, context.settings)
    context.send(asked.hints)  # A crash before this line is the sweeper's business.
    return asked


def _look(context: ApiContext, client_id: UUID, summary_id: UUID) -> QuickSummary:
    with statement_by_statement(context.sessions) as session:
        return QuickSummaries(session).owned(client_id, summary_id)


def _is_awaited(row: QuickSummary) -> bool:
    return row.job.status in UNFINISHED and not row.late


def _waited_s(request: Request) -> float:
    waited: float = perf_counter() - request.state.received
    return waited


def _left_s(request: Request, context: ApiContext) -> float:
    return context.settings.quick_summary.budget_s - MARGIN_S - _waited_s(request)


def _reply(
    request: Request, context: ApiContext, row: QuickSummary, consultation_id: str, *, cached: bool
) -> Response:
    """`row` as the answer to who asks under this `consultation_id`: it may be another one's answer."""
    if row.job.status is StageStatus.FAILED:
        problem = row.job.problem or CallyticsError().as_problem()
        raise kind_of(problem["code"])(problem["detail"], summary_id=str(row.id))
    url = _url(request, context, row)
    found = QuickSummaryResult.of(row, seconds=_waited_s(request), cached=cached, url=url)
    result = found.model_copy(update={"consultation_id": consultation_id})
    if result.status == "processing":
        return as_json(result, 202, {"Location": url})
    return as_json(result)


def _url(request: Request, context: ApiContext, row: QuickSummary) -> str:
    return f"{base_url(request, context)}{PREFIX}/quick-summary/{row.id}"
