"""What runs and what is ready."""

from datetime import UTC, datetime

from anyio import to_thread
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError

from api import openapi
from api.deps import Context
from api.schemas.health import Health, Live, Ready
from callytics.db import schema_version
from callytics.db.engine import unit_of_work
from callytics.db.ticks import Ticks
from callytics.errors import UnavailableError
from callytics.services.health import readiness

router = APIRouter(tags=["health"])


@router.get(
    "/health",
    summary="Whether calls are analysed now",
    responses=openapi.problems(UnavailableError),
)
def health(context: Context) -> Health:
    """`healthy` only when every model that fast analysis needs is loaded and warm in a living worker.

    The answer is 200 as long as the state is known: look at `ready_for_fast_analysis`.
    """
    with unit_of_work(context.sessions) as session:
        return Health.of(
            readiness(session),
            schema=schema_version.found(session),
            ticks=Ticks(session).ages(),
        )


@router.get("/health/live", summary="Whether this process answers")
def live() -> Live:
    return Live(timestamp=datetime.now(UTC))


@router.get(
    "/health/ready",
    summary="Whether this process can take requests",
    responses=openapi.problems(UnavailableError),
)
def ready(context: Context) -> Ready:
    """503 unless PostgreSQL and Redis answer, and the tables are those of this version or newer. Whether
    models are loaded is the business of `/health`.
    """
    away, lack = [], None
    try:
        with unit_of_work(context.sessions) as session:
            lack = schema_version.lack(session)
    except SQLAlchemyError:
        away.append("database")
    if not context.limiter.answers():
        away.append("redis")
    if away:
        raise UnavailableError(f"Not answering: {', '.join(away)}.", retry_after_s=2)
    if lack:
        raise UnavailableError(lack, retry_after_s=2)
    return Ready()


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "The text format"}},
)
async def metrics(context: Context) -> Response:
    """It answers within two seconds, whatever is away."""
    # A thread of its own: those of requests may all be waiting for a database that is away.
    text = await to_thread.run_sync(context.metrics.render, limiter=context.watchman)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
