"""The `worker_heartbeats` table: what workers say of themselves."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from callytics.db.models import WorkerHeartbeat

BEAT_EVERY_S = 5.0
FRESH_FOR = timedelta(seconds=15)
"""A worker that said nothing for three beats is not counted on."""


class Heartbeats:
    def __init__(self, session: Session) -> None:
        self._session = session

    def beat(
        self,
        worker: str,
        *,
        queues: Sequence[str],
        state: str,
        pid: int,
        device: str,
        models: Mapping[str, Any],
    ) -> None:
        """Note that `worker` lives, and in which state."""
        said = {
            "queues": list(queues),
            "state": state,
            "pid": pid,
            "device": device,
            "models": dict(models),
            "beat_at": func.clock_timestamp(),
        }
        self._session.execute(
            insert(WorkerHeartbeat)
            .values(worker=worker, **said)
            .on_conflict_do_update(index_elements=["worker"], set_=said)
        )

    def get(self, worker: str) -> WorkerHeartbeat | None:
        return self._session.get(WorkerHeartbeat, worker, populate_existing=True)

    def fresh(self) -> Sequence[WorkerHeartbeat]:
        """The workers that spoke lately, by name; a stopped one is not among them."""
        return self._session.scalars(
            select(WorkerHeartbeat)
            .where(
                WorkerHeartbeat.beat_at > func.clock_timestamp() - FRESH_FOR,
                WorkerHeartbeat.state != "stopped",
            )
            .order_by(WorkerHeartbeat.worker)
        ).all()

    def ages(self) -> Mapping[str, float]:
        """Seconds since each worker spoke, but for those that said goodbye."""
        age = func.extract("epoch", func.clock_timestamp() - WorkerHeartbeat.beat_at)
        rows = self._session.execute(
            select(WorkerHeartbeat.worker, age.label("age_s")).where(
                WorkerHeartbeat.state != "stopped"
            )
        )
        return {row.worker: float(row.age_s) for row in rows}

    def forget(self, older_than: timedelta) -> None:
        """Drop the rows of workers that are long gone."""
        self._session.execute(
            delete(WorkerHeartbeat).where(
                WorkerHeartbeat.beat_at < func.clock_timestamp() - older_than
            )
        )
