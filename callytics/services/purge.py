"""Deletes what was said and heard: by age, or all of one consultation.

A row at a time, each in a transaction of its own that also counts it in the audit line. So a purge may be
killed anywhere and be asked for again, and two at once take turns: what is gone is not counted twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from callytics.db import purgeable
from callytics.db.audio_purges import AudioPurges
from callytics.db.calls import Calls
from callytics.db.deliveries import Deliveries
from callytics.db.engine import unit_of_work
from callytics.db.models import BatchFile, Call, Conversation
from callytics.db.purgeable import Ids
from callytics.db.purges import Purges
from callytics.db.retention import Retention
from callytics.domain.job import FINISHED
from callytics.domain.retention import Scope, due
from callytics.ports import AudioStore, call_folder
from callytics.services import calls
from callytics.settings import RetentionSettings

log = structlog.get_logger(__name__)

ROUND = 1000
"""Ids that are looked up at once."""

RETAIN_LIMIT = 500
"""Rows of a kind that one round of upkeep takes, so that it ends before the next one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """Rows of one kind: which there are, and how one of them is taken."""

    name: str
    find: Ids
    take: Callable[[Session, UUID], bool]
    has_audio: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be purged, and what the audit line will say of it."""

    kinds: Sequence[Kind]
    scope: Scope
    reason: str
    before: datetime | None = None
    busy: Ids | None = None
    """Calls that are old enough and are left alone, since they have not ended."""


def by_age(session: Session, scope: Scope, age: timedelta) -> Plan:
    """Everything that came in longer than `age` ago, by the database's clock, and has ended."""
    now: datetime = session.scalars(select(func.clock_timestamp())).one()
    before = now - age
    kinds = [
        Kind(
            name="calls",
            find=purgeable.old_calls(scope, before),
            take=lambda session, call_id: _take_old(session, scope, call_id),
            has_audio=scope is not Scope.TEXT,
        )
    ]
    if scope is not Scope.AUDIO:
        kinds += _old_texts(before)
    busy = purgeable.busy_calls(scope, before)
    return Plan(kinds=kinds, scope=scope, reason="age", before=before, busy=busy)


def _old_texts(before: datetime) -> Sequence[Kind]:
    def drop(table: type[Conversation] | type[BatchFile]) -> Callable[[Session, UUID], bool]:
        return lambda session, row_id: Retention(session).drop(table, row_id)

    return [
        Kind(
            name="batches",
            find=purgeable.old_batches(before),
            take=lambda session, batch_id: Retention(session).drop_batch(batch_id),
        ),
        Kind(
            name="quick_summaries", find=purgeable.old_quick_summaries(before), take=_take_ended_job
        ),
        Kind(name="diagnoses", find=purgeable.old_diagnoses(before), take=_take_ended_job),
        Kind(
            name="conversations", find=purgeable.old_conversations(before), take=drop(Conversation)
        ),
        Kind(name="batch_files", find=purgeable.old_batch_files(before), take=drop(BatchFile)),
    ]


def by_consultation(scope: Scope, consultation_id: str, client_id: UUID | None = None) -> Plan:
    """Everything that is kept of a consultation, in whatever state it is; `client_id` None: anybody's."""
    named = (consultation_id, client_id)
    # Files first, then calls: nothing that is made of them comes after it was looked for.
    texts = [
        Kind(
            name="batch_files",
            find=purgeable.batch_files_of(*named),
            take=lambda session, file_id: Retention(session).drop_lines(file_id, consultation_id),
        )
    ]
    others = [
        Kind(
            name="batches",
            find=purgeable.batches_of(*named),
            take=lambda session, batch_id: Retention(session).empty_item(batch_id, consultation_id),
        ),
        Kind(name="quick_summaries", find=purgeable.quick_summaries_of(*named), take=_take_job),
        Kind(
            name="conversations",
            find=purgeable.conversations_of(*named),
            take=lambda session, row_id: Retention(session).drop(Conversation, row_id),
        ),
        Kind(
            name="idempotency_keys",
            find=purgeable.keys_of(*named),
            take=lambda session, owner: Retention(session).drop_keys(owner, consultation_id),
        ),
    ]
    heard = Kind(
        name="calls",
        find=purgeable.calls_of(scope, *named),
        take=lambda session, call_id: _take_named(session, scope, call_id),
        has_audio=scope is not Scope.TEXT,
    )
    kinds = [heard] if scope is Scope.AUDIO else [*texts, heard, *others]
    return Plan(kinds=kinds, scope=scope, reason="consultation")


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


# --- one row ---------------------------------------------------------------------------------------


def _take_old(session: Session, scope: Scope, call_id: UUID) -> bool:
    call = Calls(session).lock_or_none(call_id)
    if call is None or Retention(session).is_busy(call_id):
        return False
    return _take_call(session, scope, call)


def _take_named(session: Session, scope: Scope, call_id: UUID) -> bool:
    """In whatever state: what runs is called off first."""
    call = Calls(session).lock_or_none(call_id)
    if call is None:
        return False
    if scope is not Scope.ALL and call.status not in FINISHED:
        calls.cancel(session, call.client_id, call.id)
    return _take_call(session, scope, call)


def _take_call(session: Session, scope: Scope, call: Call) -> bool:
    if scope is Scope.ALL:
        calls.delete(session, call.client_id, call.id)
        return True
    gone = call.audio_purged_at if scope is Scope.AUDIO else call.text_purged_at
    if gone is not None:
        return False
    if scope is Scope.AUDIO:
        AudioPurges(session).add(call_folder(call.id))
        Retention(session).forget_audio(call)
    else:
        Deliveries(session).forget_call(call.id)
        Retention(session).forget_text(call)
    return True


def _take_job(session: Session, job_id: UUID) -> bool:
    return Retention(session).drop_job(job_id)


def _take_ended_job(session: Session, job_id: UUID) -> bool:
    return Retention(session).drop_job(job_id, ended=True)
