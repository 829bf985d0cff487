"""What `/health` and its relatives answer."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Self

from callytics import __version__
from callytics.db.schema_version import newest
from callytics.domain.stages import Stage
from callytics.services.health import Readiness
from callytics.services.schema import Schema


class ModelHealth(Schema):
    status: str
    """missing, loading, warming, ready or failed"""

    model: str | None = None
    revision: str | None = None
    device: str | None = None
    load_seconds: float | None = None

    problem: dict[str, Any] | None = None
    """Why the last attempt to load it failed."""


class QueueState(Schema):
    workers: int
    """Living workers of this queue."""

    ready: int
    """Of them, those that take messages."""

    queued: int
    """Stages that wait for one."""

    running: int
    """Stages in work."""

    oldest_queued_s: float | None
    """How long the one that waits longest does so."""


class HealthData(Schema):
    ready_for_fast_analysis: bool
    fast_analyzer: dict[Stage, ModelHealth]
    """The model of each stage, as the worker has it that is furthest with it."""

    model_status: dict[Stage, str]
    queues: dict[str, QueueState]
    """By name; `stt.v2` is the part of `stt` that a variant of its model works on."""

    upkeep: dict[str, float]
    """Seconds since the sweeper and its like last worked; beat starts them."""


class SchemaHealth(Schema):
    found: str | None
    """The migration that the database stands at."""

    needed: str
    """The one that this process was made for; the database may be newer."""


class Health(Schema):
    status: Literal["healthy", "degraded"]

    version: str
    """Of this process."""

    database: SchemaHealth
    data: HealthData

    @classmethod
    def of(cls, found: Readiness, *, schema: str | None, ticks: Mapping[str, float]) -> Self:
        models = {
            stage: ModelHealth.model_validate({**state}) for stage, state in found.models.items()
        }
        return cls(
            status="healthy" if found.ready else "degraded",
            version=__version__,
            database=SchemaHealth(found=schema, needed=newest()),
            data=HealthData(
                ready_for_fast_analysis=found.ready,
                fast_analyzer=models,
                model_status={stage: model.status for stage, model in models.items()},
                queues={
                    lane: QueueState.model_validate(state, from_attributes=True)
                    for lane, state in found.queues.items()
                },
                upkeep={name: round(age_s, 1) for name, age_s in ticks.items()},
            ),
        )


class Live(Schema):
    status: Literal["alive"] = "alive"
    timestamp: datetime


class Ready(Schema):
    status: Literal["ready"] = "ready"
