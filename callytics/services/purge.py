"""Deletes what was said and heard, by a plan (purge_plans.py).

A row at a time, each in a transaction of its own that also counts it in the audit line. So a purge may be
killed anywhere and be asked for again, and two at once take turns: what is gone is not counted twice.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.purges import Purges
from callytics.db.retention import Retention
from callytics.domain.retention import due
from callytics.ports import AudioStore
from callytics.services import calls
from callytics.services.purge_plans import Kind, Plan, by_age
from callytics.settings import RetentionSettings

log = structlog.get_logger(__name__)

ROUND = 1000
"""Ids that are looked up at once."""

RETAIN_LIMIT = 500
"""Rows of a kind that one round of upkeep takes, so that it ends before the next one."""


def count(session: Session, plan: Plan) -> Mapping[str, int]:
    """How many rows of each kind `run` would take now; kinds without one are left out."""
    found = {kind.name: Retention(session).count(kind.find) for kind in plan.kinds}
    return {name: number for name, number in found.items() if number}


def busy(session: Session, plan: Plan, limit: int) -> Sequence[UUID]:
    return Retention(session).ids(plan.busy, limit) if plan.busy is not None else []


def run(
    sessions: sessionmaker[Session],
    store: AudioStore,
    plan: Plan,
    *,
    actor: str,
    limit: int | None = None,
) -> Mapping[str, int]:
    """Take what the plan finds, of each kind at most `limit`; how many were taken.

    The audit line comes with the first row, so a purge that finds nothing leaves none.
    """
    ledger = _Ledger(plan, actor)
    for kind in plan.kinds:
        left = limit
        while ids := _next(sessions, kind, ROUND if left is None else min(left, ROUND)):
            taken = sum(_take(sessions, store, kind, row_id, ledger) for row_id in ids)
            left = None if left is None else left - len(ids)
            if not taken:  # somebody else is at them
                break
    ledger.finish(sessions)
    return ledger.taken


def _next(sessions: sessionmaker[Session], kind: Kind, limit: int) -> Sequence[UUID]:
    with unit_of_work(sessions) as session:
        return Retention(session).ids(kind.find, limit)


def _take(
    sessions: sessionmaker[Session], store: AudioStore, kind: Kind, row_id: UUID, ledger: "_Ledger"
) -> bool:
    with unit_of_work(sessions) as session:
        taken = kind.take(session, row_id)
        if taken:
            ledger.note(session, kind.name)
    if not taken:
        return False
    ledger.count(kind.name)
    if kind.has_audio:
        calls.delete_audio(store, row_id)  # what fails here, upkeep does
    return True


class _Ledger:
    """The audit line of one purge, written with what it tells of."""

    def __init__(self, plan: Plan, actor: str) -> None:
        self._plan = plan
        self._actor = actor
        self._id: UUID | None = None
        self._began: UUID | None = None
        self.taken: dict[str, int] = {}

    def note(self, session: Session, kind: str) -> None:
        self._began = self._id or Purges(session).begin(
            actor=self._actor,
            reason=self._plan.reason,
            scope=self._plan.scope,
            before=self._plan.before,
        )
        Purges(session).count(self._began, kind, 1)

    def count(self, kind: str) -> None:
        """What was noted is committed."""
        self._id = self._began
        self.taken[kind] = self.taken.get(kind, 0) + 1

    def finish(self, sessions: sessionmaker[Session]) -> None:
        if self._id is None:
            return
        with unit_of_work(sessions) as session:
            Purges(session).finish(self._id)
        log.info("purged", purge=str(self._id), scope=self._plan.scope.value, **self.taken)


def retain(sessions: sessionmaker[Session], store: AudioStore, settings: RetentionSettings) -> None:
    """Purge what has been kept long enough, a bounded number of rows; upkeep calls again."""
    for one in due(settings.audio_days, settings.text_days):
        with unit_of_work(sessions) as session:
            plan = by_age(session, one.scope, timedelta(days=one.days))
        run(sessions, store, plan, actor="retention", limit=RETAIN_LIMIT)
