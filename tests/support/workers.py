"""Heartbeats of workers that are not there."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.heartbeats import Heartbeats
from callytics.db.models import WorkerHeartbeat
from callytics.domain.routes import MODEL_OF, Lane
from callytics.domain.stages import PIPELINE, Queue
from callytics.services.health import MODEL_STAGES

QUEUES: tuple[Queue, ...] = tuple(dict.fromkeys(spec.queue for spec in PIPELINE))


def beat(
    sessions: sessionmaker[Session],
    queue: Queue,
    *,
    state: str = "ready",
    age_s: float = 0,
    model: Mapping[str, Any] | None = None,
    lane: str | None = None,
) -> None:
    """A worker of `queue`, of a variant's `lane` where one is given, said so `age_s` seconds ago."""
    name = lane or queue
    stages = [spec.stage for spec in PIPELINE if spec.queue is queue and spec.stage in MODEL_STAGES]
    said = {"status": state, "model": f"{queue}-model", "revision": "1", "device": "cpu"}
    models = {stage.value: {**said, "load_seconds": 1.5, **(model or {})} for stage in stages}
    _beat(sessions, f"{name}@test", name, state=state, age_s=age_s, models=models)


def beat_breakers(
    sessions: sessionmaker[Session], worker: str, *, age_s: float = 0, **states: str
) -> None:
    """A worker that sums up said so of its breakers, by provider, `age_s` seconds ago."""
    models = {"summarize": {"status": "ready", "details": {"breakers": states}}}
    _beat(sessions, worker, Queue.SLM, state="ready", age_s=age_s, models=models)


def beat_providers(
    sessions: sessionmaker[Session], worker: str, *names: str, age_s: float = 0
) -> None:
    """A worker that analyses said so of the providers that it could ask, `age_s` seconds ago."""
    models = {"analyse": {"status": "ready", "details": {"providers": names}}}
    _beat(sessions, worker, Queue.MLM, state="ready", age_s=age_s, models=models)


def _beat(
    sessions: sessionmaker[Session],
    worker: str,
    lane: str,
    *,
    state: str,
    age_s: float,
    models: Mapping[str, Any],
) -> None:
    with unit_of_work(sessions) as session:
        Heartbeats(session).beat(
            worker, queues=[lane], state=state, pid=1, device="cpu", models=models
        )
        session.execute(
            update(WorkerHeartbeat)
            .where(WorkerHeartbeat.worker == worker)
            .values(beat_at=WorkerHeartbeat.beat_at - timedelta(seconds=age_s))
        )


def beat_all(sessions: sessionmaker[Session], *, but: Sequence[Queue] = ()) -> None:
    for queue in QUEUES:
        if queue not in but:
            beat(sessions, queue)


def beat_lane(sessions: sessionmaker[Session], lane: str, *, state: str = "ready") -> None:
    """A worker of a variant's lane said so just now."""
    queue = Lane.parse(lane).queue
    models = {MODEL_OF[queue]: {"status": state}} if queue in MODEL_OF else {}
    with unit_of_work(sessions) as session:
        Heartbeats(session).beat(
            f"{lane}@test", queues=[lane], state=state, pid=1, device="cpu", models=models
        )
