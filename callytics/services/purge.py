"""Deletes what was said and heard, by a plan (purge_plans.py).

A row at a time, each in a transaction of its own that also counts it in the audit line. So a purge may be
killed anywhere and be asked for again, and two at once take turns: what is gone is not counted twice. One
pass over what is found: whatever cannot be taken is passed by and hides nothing behind it.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row
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
"""Rows that are looked up at once."""

RETAIN_LIMIT = 500
"""Rows of a kind that one round of upkeep takes, so that it ends before the next one."""


def count(session: Session, plan: Plan) -> Mapping[str, int]:
    """How many rows of each kind `run` would take now; kinds without one are left out."""
    found = {kind.name: _count(session, kind) for kind in plan.kinds}
    return {name: number for name, number in found.items() if number}


def _count(session: Session, kind: Kind) -> int:
    retention = Retention(session)
    if kind.look is None:
        return retention.count(kind.find)
    return sum(kind.look(session, row[-1]) for row in retention.page(kind.find))


def busy(session: Session, plan: Plan, limit: int) -> Sequence[UUID]:
    """The first of them, at most `limit`."""
    if plan.busy is None:
        return []
    return [row[-1] for row in Retention(session).page(plan.busy, limit)]


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
        last: Row[Any] | None = None
        while rows := _next(sessions, kind, ROUND if left is None else min(left, ROUND), last):
            taken = sum(_take(sessions, store, kind, row[-1], ledger) for row in rows)
            # What somebody else took, or what only looks like it, does not count.
            left = None if left is None else left - taken
            last = rows[-1]
    ledger.finish(sessions)
    return ledger.taken


def _next(
    sessions: sessionmaker[Session], kind: Kind, limit: int, after: Row[Any] | None
) -> Sequence[Row[Any]]:
    with unit_of_work(sessions) as session:
        return Retention(session).page(kind.find, limit, after=after)


def _take(
    sessions: sessionmaker[Session], store: AudioStore, kind: Kind, row_id: UUID, ledger: "_Ledger"
) -> bool:
    with unit_of_work(sessions) as session:
        taken = int(kind.take(session, row_id))
        if taken:
            ledger.note(session, kind.name, taken)
    if not taken:
        return False
    ledger.count(kind.name, taken)
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

    def note(self, session: Session, kind: str, number: int) -> None:
        self._began = self._id or Purges(session).begin(
            actor=self._actor,
            reason=self._plan.reason,
            scope=self._plan.scope,
            before=self._plan.before,
        )
        Purges(session).count(self._began, kind, number)

    def count(self, kind: str, number: int) -> None:
        """What was noted is committed."""
        self._id = self._began
        self.taken[kind] = self.taken.get(kind, 0) + number

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
