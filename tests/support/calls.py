"""Calls in the database, and works that need no model."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.models import Call, Client, StageRun
from callytics.domain.stages import EVERY_STAGE, SPECS, Stage, StageStatus
from callytics.ports import Computed, Progress


def insert_call(
    sessions: sessionmaker[Session], stages: Iterable[Stage] = EVERY_STAGE, **columns: Any
) -> UUID:
    """A fresh call of a fresh client: its first stage queued, the others waiting."""
    call_id = uuid4()
    plan = list(stages)
    with unit_of_work(sessions) as session:
        client = Client(id=uuid4(), name=f"client-{uuid4().hex[:12]}")
        session.add(client)
        session.flush()
        session.add(
            Call(
                id=call_id,
                client_id=client.id,
                stages=[stage.value for stage in plan],
                audio_key=f"calls/{call_id}/original",
                **columns,
            )
        )
        session.flush()
        for stage in plan:
            first = not SPECS[stage].needs
            session.add(
                StageRun(
                    call_id=call_id,
                    stage=stage,
                    status=StageStatus.QUEUED if first else StageStatus.WAITING,
                    attempt_limit=SPECS[stage].max_attempts,
                    queued_at=func.clock_timestamp() if first else None,
                    hinted_at=func.clock_timestamp() if first else None,
                    hints=int(first),
                )
            )
    return call_id


class FakeWork:
    """Does what `action` does; counts what was computed and written."""

    def __init__(self, stage: Stage, action: Callable[[Progress], Any] | None = None) -> None:
        self.stage = stage
        self.action = action or (lambda _progress: None)
        self.computed = 0
        self.written = 0

    def read(self, session: Session, call: Call) -> UUID:
        return call.id

    def compute(self, inputs: UUID, progress: Progress) -> Computed:
        self.computed += 1
        return Computed(value=self.action(progress))

    def write(self, session: Session, call: Call, computed: Computed) -> dict[str, Any] | None:
        self.written += 1
        return {"value": computed.value} if computed.value is not None else None


class NoStore:
    """An AudioStore for stages that touch no audio."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"no audio is touched here, yet `{name}` was asked for")
