"""Batches of consultations: sent, followed, read, cancelled, run again."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sse_starlette import EventSourceResponse, ServerSentEvent

from api import examples, openapi
from api.context import ApiContext
from api.deps import (
    AUTH_ERRORS,
    Context,
    IdempotencyKey,
    Reader,
    Signed,
    Writer,
    json_only,
    signed,
)
from api.errors import DATABASE_AWAY
from api.replies import as_json, base_url
from api.routers.consultation import PREFIX
from api.schemas.consultation import (
    BATCH_NAME,
    BatchAnalysisRequest,
    BatchPage,
    BatchQuery,
    BatchRerun,
    BatchRerunStarted,
    BatchShare,
    BatchSubmitted,
    ItemPage,
    ItemQuery,
)
from api.submission import JSON_ERRORS
from callytics.db.batches import AnalysisItems, Batches
from callytics.db.engine import unit_of_work
from callytics.domain.batching import BATCH_FINISHED, BatchStatus
from callytics.errors import (
    BatchFinishedError,
    BatchNotFoundError,
    BatchRunningError,
    ConsultationDoubledError,
    ConsultationWaitingError,
    ConversationTooLongError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    NothingToRerunError,
)
from callytics.services import batches
from callytics.services.batch_views import BatchView
from callytics.services.delivery import check_callback_url
from callytics.settings import Settings

PING_S = 15

log = structlog.get_logger(__name__)

router = APIRouter(prefix=PREFIX, tags=["batches"], responses=openapi.problems(*AUTH_ERRORS))


def _body_limit(settings: Settings) -> int:
    return settings.batch.max_request_bytes


BatchBody = Annotated[
    Signed[BatchAnalysisRequest], Depends(signed(BatchAnalysisRequest, limit=_body_limit))
]
BatchId = Annotated[
    str, Path(description="The batch's id: `BATCH-20250913-001`.", pattern=BATCH_NAME)
]


@router.post(
    "/batch-analysis",
    status_code=202,
    summary="Send consultations for the full analysis",
    response_model=BatchSubmitted,
    responses={
        202: openapi.example(examples.BATCH_SUBMITTED, "Taken in"),
        **openapi.problems(
            *AUTH_ERRORS,
            *JSON_ERRORS,
            ConsultationDoubledError,
            ConsultationWaitingError,
            ConversationTooLongError,
            IdempotencyKeyReusedError,
        ),
    },
    openapi_extra=openapi.json_body(BatchAnalysisRequest, examples.BATCHES),
)
def submit(
    request: Request, context: Context, sent: BatchBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """A batch of a client and callback address is analysed when 20 consultations are in it, or 15 minutes
    after its first one. A consultation that waits already is not taken twice.
    """
    body = sent.body
    _check(body, context.settings)
    placed = batches.submit(
        context.sessions, body.as_request(sent.client_id, idempotency_key), context.settings
    )
    context.send(placed.hints)  # a crash before this line is the sweeper's business
    shares = [
        BatchShare(batch_id=name, consultations=count, status_url=_url(request, context, name))
        for name, count in placed.batches.items()
    ]
    answer = BatchSubmitted(
        batch_id=shares[0].batch_id,
        total_consultations=len(body.consultations),
        estimated_completion=placed.estimated_completion,
        status=BatchStatus.QUEUED,
        batches=shares,
    )
    return as_json(answer, 202, {"Location": shares[0].status_url})


def _check(body: BatchAnalysisRequest, settings: Settings) -> None:
    limits = settings.batch
    if len(body.consultations) > limits.max_consultations:
        raise InvalidRequestError(
            f"Send at most {limits.max_consultations} consultations in one request.",
            max_consultations=limits.max_consultations,
        )
    for index, one in enumerate(body.consultations):
        if len(one.conversation_text) > limits.max_chars:
            raise ConversationTooLongError(
                field=f"body.consultations.{index}.conversation_text", max_chars=limits.max_chars
            )
    if body.callback_url is not None:
        check_callback_url(body.callback_url, settings.callbacks)


@router.get(
    "/batches",
    summary="List batches, newest first",
    responses=openapi.problems(*AUTH_ERRORS, BatchNotFoundError, InvalidRequestError),
)
def list_batches(
    context: Context, client_id: Reader, query: Annotated[BatchQuery, Query()]
) -> BatchPage:
    with unit_of_work(context.sessions) as session:
        found = Batches(session).page(
            client_id, query.as_filter(), after=query.after, limit=query.limit + 1
        )
        shown = found[: query.limit]
        counts = Batches(session).counts([batch.id for batch in shown])
        views = [BatchView.of(batch, counts[batch.id]) for batch in shown]
        return BatchPage.of(views, has_more=len(found) > query.limit)


@router.get(
    "/batches/{batch_id}",
    summary="A batch's state and runs",
    responses={
        200: openapi.example(examples.BATCH),
        **openapi.problems(*AUTH_ERRORS, BatchNotFoundError),
    },
)
def show(context: Context, client_id: Reader, batch_id: BatchId) -> BatchView:
    return _look(context, client_id, batch_id)[1]


@router.get(
    "/batches/{batch_id}/events",
    summary="A batch's progress as server-sent events",
    response_class=EventSourceResponse,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "Events"},
        **openapi.problems(*AUTH_ERRORS, BatchNotFoundError),
    },
)
async def events(context: Context, client_id: Reader, batch_id: BatchId) -> EventSourceResponse:
    """A `batch` event with the batch as it stands, then one for each change, until it has ended."""
    row_id, _ = await run_in_threadpool(_look, context, client_id, batch_id)
    return EventSourceResponse(_events(context, client_id, row_id, batch_id), ping=PING_S, sep="\n")


async def _events(
    context: ApiContext, client_id: UUID, row_id: UUID, batch_id: str
) -> AsyncIterator[ServerSentEvent]:
    told: BatchView | None = None
    async with context.watch.watching(row_id) as watcher:
        while told is None or told.status not in BATCH_FINISHED:
            try:
                _, now = await run_in_threadpool(_look, context, client_id, batch_id)
            except DATABASE_AWAY as error:
                # PostgreSQL restarts: who waits goes on waiting.
                log.warning("follow_interrupted", error=type(error).__name__)
            else:
                if now != told:
                    yield ServerSentEvent(now.model_dump_json(), event="batch")
                told = now
            if told is None or told.status not in BATCH_FINISHED:
                await watcher.wait()


def _look(context: ApiContext, client_id: UUID, batch_id: str) -> tuple[UUID, BatchView]:
    """The id of the batch's row, and the batch as it is now."""
    with unit_of_work(context.sessions) as session:
        batch = Batches(session).get(client_id, batch_id)
        return batch.id, BatchView.of(batch, Batches(session).counts([batch.id])[batch.id])


@router.get(
    "/batches/{batch_id}/items",
    summary="A batch's consultations with their results",
    responses=openapi.problems(*AUTH_ERRORS, BatchNotFoundError, InvalidRequestError),
)
def items(
    context: Context, client_id: Reader, batch_id: BatchId, query: Annotated[ItemQuery, Query()]
) -> ItemPage:
    """In the order of the batch, results as they come, with what each part rests on and is worth."""
    with unit_of_work(context.sessions) as session:
        batch = Batches(session).get(client_id, batch_id)
        found = AnalysisItems(session).of(batch.id, after=query.after, limit=query.limit + 1)
        return ItemPage.of(found[: query.limit], has_more=len(found) > query.limit)


@router.post(
    "/batches/{batch_id}/cancel",
    summary="Stop a batch",
    responses=openapi.problems(*AUTH_ERRORS, BatchNotFoundError, BatchFinishedError),
)
def cancel(context: Context, client_id: Writer, batch_id: BatchId) -> BatchView:
    """What waits is not begun, what runs is abandoned, what is done stays. There is no callback."""
    with unit_of_work(context.sessions) as session:
        batches.cancel(session, client_id, batch_id)
    return show(context, client_id, batch_id)


@router.post(
    "/batches/{batch_id}/rerun",
    status_code=202,
    summary="Analyse an ended batch again",
    response_model=BatchRerunStarted,
    dependencies=[Depends(json_only)],
    responses=openapi.problems(
        *AUTH_ERRORS, *JSON_ERRORS, BatchNotFoundError, BatchRunningError, NothingToRerunError
    ),
)
def rerun(
    request: Request,
    context: Context,
    client_id: Writer,
    batch_id: BatchId,
    body: Annotated[BatchRerun, Body(openapi_examples=examples.BATCH_RERUNS)],
) -> Response:
    """As a new run: what succeeded stays, and the callback says which earlier one it supersedes."""
    wanted = batches.Rerun(everything=not body.only_failed, model=body.model, dry=body.dry_run)
    with unit_of_work(context.sessions) as session:
        plan = batches.rerun(session, client_id, batch_id, wanted, context.settings)
    context.send(plan.hints)
    url = _url(request, context, batch_id)
    started = BatchRerunStarted(
        batch_id=plan.batch,
        run=plan.run_no,
        consultations=plan.items,
        kept=plan.kept,
        dry_run=body.dry_run,
        status_url=url,
    )
    return as_json(started, 202, {"Location": url})


def _url(request: Request, context: ApiContext, name: str) -> str:
    return f"{base_url(request, context)}{PREFIX}/batches/{name}"
