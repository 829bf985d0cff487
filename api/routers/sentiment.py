"""The sentiment of texts: one, many, whether it works, and which model judges."""

from datetime import UTC, datetime
from time import perf_counter
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import examples, openapi
from api.context import ApiContext
from api.deps import TEXT_AUTH_ERRORS, Context, Signed, TextReader, keyed
from api.replies import as_json
from api.schemas.sentiment import (
    SentimentAnswer,
    SentimentBatchAnswer,
    SentimentBatchRequest,
    SentimentHealth,
    SentimentModelInfo,
    SentimentRequest,
)
from api.submission import JSON_ERRORS
from callytics.db.engine import statement_by_statement
from callytics.errors import (
    EmptyTextError,
    ModelsNotReadyError,
    ModelUnavailableError,
    TextTooLongError,
    UnavailableError,
)
from callytics.services.sentiment import Inquiry, Source, look, serving, variants

PREFIX = "/api/v1/sentiment"
MARGIN_S = 0.05
"""What it takes to answer by word lists: so long before the time is over nobody is waited for any more."""

router = APIRouter(prefix=PREFIX, tags=["sentiment"])

_ERRORS = openapi.problems(
    *TEXT_AUTH_ERRORS,
    *JSON_ERRORS,
    TextTooLongError,
    EmptyTextError,
    ModelsNotReadyError,
    ModelUnavailableError,
)


@router.post(
    "/analyze",
    summary="What a text sounds like",
    response_model=SentimentAnswer,
    responses={200: openapi.example(examples.SENTIMENT), **_ERRORS},
    openapi_extra=openapi.json_body(SentimentRequest, examples.SENTIMENTS),
)
async def analyze(
    request: Request,
    context: Context,
    asked: Annotated[Signed[SentimentRequest], Depends(keyed(SentimentRequest))],
) -> Response:
    """Negative, neutral or positive (부정, 중립, 긍정), with the model's probabilities.

    The same text within an hour gets the same answer. Where the model cannot answer within ten seconds,
    lists of words do, and `degraded` says why.
    """
    inquiry = await _inquire(request, context, [asked.body.text])
    answer = SentimentAnswer.of(asked.body, inquiry, seconds=_seconds(request))
    return as_json(answer, headers=_headers(inquiry))


@router.post(
    "/batch",
    summary="What many texts sound like",
    response_model=SentimentBatchAnswer,
    responses={200: openapi.example(examples.SENTIMENT_BATCH), **_ERRORS},
    openapi_extra=openapi.json_body(SentimentBatchRequest, examples.SENTIMENT_BATCHES),
)
async def batch(
    request: Request,
    context: Context,
    asked: Annotated[Signed[SentimentBatchRequest], Depends(keyed(SentimentBatchRequest))],
) -> Response:
    """As `analyze`, for up to 1,000 texts; the answers come in the order of the texts."""
    inquiry = await _inquire(request, context, asked.body.texts)
    answer = SentimentBatchAnswer.of(asked.body.texts, inquiry, seconds=_seconds(request))
    return as_json(answer, headers=_headers(inquiry))


@router.get(
    "/health",
    summary="Whether texts are judged now",
    responses=openapi.problems(UnavailableError),
)
def health(context: Context) -> SentimentHealth:
    """`unhealthy` while no living worker has the model loaded and warm, or that of a variant which has texts
    to judge. The answer is 200 as long as the state is known: look at `status`. No key needed.
    """
    with statement_by_statement(context.sessions) as session:
        standing = look(session)
    loaded = all(serving(standing, variant) for variant in variants(standing))
    connected = context.cache.answers()
    return SentimentHealth(
        status="unhealthy" if not loaded else "healthy" if connected else "degraded",
        model_loaded=loaded,
        redis_connected=connected,
        timestamp=datetime.now(UTC),
    )


@router.get(
    "/model-info",
    summary="Which model judges",
    responses={
        200: openapi.example(examples.SENTIMENT_MODEL),
        **openapi.problems(*TEXT_AUTH_ERRORS, ModelsNotReadyError),
    },
)
def model_info(context: Context, _client: TextReader) -> SentimentModelInfo:
    """As a living worker has it loaded; of several variants the one that judges most texts; while one model
    replaces another, either of them.
    """
    with statement_by_statement(context.sessions) as session:
        standing = look(session)
    found = serving(standing, variants(standing)[0])
    if not found:
        raise ModelsNotReadyError(retry_after_s=2)
    details = found[0].details
    options = context.settings.models.sentiment.options
    return SentimentModelInfo(
        model_name=found[0].name,
        model_type=details["model_type"],
        language=options.get("language", "Korean"),
        num_labels=len(details["labels"]),
        max_length=details["max_length"],
        version=found[0].revision,
    )


async def _inquire(request: Request, context: ApiContext, texts: list[str]) -> Inquiry:
    """Have the texts judged, and wait for it as long as the settings say."""
    service, limits = context.sentiments, context.settings.sentiment
    request_id = uuid4()
    async with context.watch.watching(request_id) as watcher:
        left_s = limits.timeout_s - MARGIN_S - _seconds(request)
        inquiry = await context.ask(service.begin, request_id, texts, left_s=left_s)
        if inquiry.untold:
            await run_in_threadpool(service.tell, inquiry)
        try_ends_s = limits.timeout_s / limits.tries
        while inquiry.waiting and (left_s := limits.timeout_s - MARGIN_S - _seconds(request)) > 0:
            await watcher.wait(min(left_s, max(0.0, try_ends_s - _seconds(request))))
            await context.together(service.collect, inquiry)
            if inquiry.waiting and _seconds(request) >= try_ends_s:
                try_ends_s += limits.timeout_s / limits.tries
                await run_in_threadpool(service.try_again, inquiry)
        if inquiry.waiting:
            await context.ask(service.give_up, inquiry)
    if inquiry.unjudged:
        # In a thread: word lists take a while for many texts.
        await run_in_threadpool(service.end, inquiry)
    else:
        service.end(inquiry)
    context.metrics.count_texts(inquiry)
    return inquiry


def _seconds(request: Request) -> float:
    """Since the request arrived."""
    taken: float = perf_counter() - request.state.received
    return taken


def _headers(inquiry: Inquiry) -> dict[str, str]:
    """Where the answer comes from: X-Cache as caches on the way to here have it, and the model."""
    cached = sum(one.source is Source.CACHE for one in inquiry.found.values())
    state = "HIT" if cached == len(inquiry.found) else "PARTIAL" if cached else "MISS"
    headers = {"X-Cache": state}
    if inquiry.models:
        headers["X-Model"] = ", ".join(sorted(inquiry.models))
    return headers
