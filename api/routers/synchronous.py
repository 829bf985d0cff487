"""The older paths: one request, answered when the analysis is done. No thread waits meanwhile."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import examples, openapi
from api.context import ApiContext
from api.deps import AUTH_ERRORS, Context, IdempotencyKey, Writer, json_only
from api.errors import kind_of
from api.replies import as_json, in_work
from api.schemas.requests import NewCall
from api.submission import SUBMIT_ERRORS, get_source, submit
from api.waiting import until_finished
from callytics.db.calls import Calls
from callytics.db.engine import unit_of_work
from callytics.db.models import Call
from callytics.domain.job import FINISHED, JobStatus
from callytics.domain.stages import StageStatus
from callytics.errors import (
    AudioChannelsError,
    AudioMissingError,
    AudioTooLongError,
    AudioTooShortError,
    CallCancelledError,
    CallNotFoundError,
    CallyticsError,
    ModelsNotReadyError,
    ModelUnavailableError,
    RetryableStageError,
    StageTimeoutError,
    TruncatedAudioError,
    UnusableAudioError,
    WorkerLostError,
)
from callytics.services.call_result import CallResult
from callytics.services.health import readiness

RETRY_AFTER_S = 5

router = APIRouter(tags=["synchronous"], dependencies=[Depends(json_only)])

ANALYSIS_ERRORS = (
    UnusableAudioError,
    TruncatedAudioError,
    AudioTooShortError,
    AudioTooLongError,
    AudioChannelsError,
    AudioMissingError,
    RetryableStageError,
    StageTimeoutError,
    WorkerLostError,
    ModelUnavailableError,
)
"""How an analysis may fail beside what is refused at once: the problem of the stage that failed."""

ERRORS = (*AUTH_ERRORS, *SUBMIT_ERRORS, *ANALYSIS_ERRORS, CallCancelledError, CallNotFoundError)
ANSWERS: openapi.Responses = {
    200: openapi.example(examples.RESULT),
    202: openapi.example(examples.SUBMITTED, "Not done in time: where to fetch the result"),
}


@router.post(
    "/process_audio_fast",
    summary="Analyse now, with models that are loaded",
    response_model=CallResult,
    responses=ANSWERS | openapi.problems(*ERRORS, ModelsNotReadyError),
)
async def process_audio_fast(
    request: Request,
    body: Annotated[NewCall, Body(openapi_examples=examples.SUBMISSIONS)],
    context: Context,
    client_id: Writer,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Answers with the call's result, or at once with 503 and the reason while a model is not ready."""
    await run_in_threadpool(_require_models, context)
    return await _analyse(request, context, client_id, body, idempotency_key)


@router.post(
    "/process_audio",
    summary="Analyse as soon as the models are loaded",
    response_model=CallResult,
    responses=ANSWERS | openapi.problems(*ERRORS),
)
async def process_audio(
    request: Request,
    body: Annotated[NewCall, Body(openapi_examples=examples.SUBMISSIONS)],
    context: Context,
    client_id: Writer,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Answers with the call's result. The call waits in its queue until a worker has its models."""
    return await _analyse(request, context, client_id, body, idempotency_key)


def _require_models(context: ApiContext) -> None:
    with unit_of_work(context.sessions) as session:
        found = readiness(session)
    if not found.ready:
        raise ModelsNotReadyError(found.reason(), retry_after_s=RETRY_AFTER_S)


async def _analyse(
    request: Request, context: ApiContext, client_id: UUID, body: NewCall, key: str | None
) -> Response:
    source = await get_source(context, body)
    call_id = await submit(context, client_id, (source, body), key)
    status = await until_finished(request, context, client_id, call_id)
    if status not in FINISHED:
        return in_work(request, context, call_id, status)

    def show() -> Response:
        with unit_of_work(context.sessions) as session:
            call = Calls(session).owned(client_id, call_id)
            _require_success(call)
            return as_json(CallResult.of(call))

    return await run_in_threadpool(show)


def _require_success(call: Call) -> None:
    """A client of these paths looks at the status alone: what failed must not be a 200."""
    if call.status is JobStatus.CANCELLED:
        raise CallCancelledError(call_id=str(call.id))
    for run in call.stage_runs:
        if run.status is StageStatus.FAILED:
            problem = run.problem or CallyticsError().as_problem()
            kind = kind_of(problem["code"])
            raise kind(problem["detail"], call_id=str(call.id), stage=run.stage)
