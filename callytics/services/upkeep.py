"""What keeps promises when a process died: run by beat, safe to run twice at once."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.audio_purges import AudioPurges
from callytics.db.calls import Calls
from callytics.db.engine import unit_of_work
from callytics.db.heartbeats import Heartbeats
from callytics.db.idempotency import IdempotencyKeys
from callytics.db.stage_runs import StageRuns
from callytics.domain.stages import Stage
from callytics.errors import WorkerLostError
from callytics.ports import INCOMING, AudioStore
from callytics.services.stage import Hint, close_attempt, hint_for
from callytics.settings import PipelineSettings

log = structlog.get_logger(__name__)

SWEEP_LOCK = 0x63616C6C  # "call": one sweeper at a time, whoever it is
SWEEP_LIMIT = 500
"""Rows a sweep takes at most, so that it ends before the next one starts."""


def sweep(sessions: sessionmaker[Session], settings: PipelineSettings) -> Sequence[Hint]:
    """Take leases that ran out from their workers, find what the broker forgot.

    Returns the hints to send after the commit; none if another sweeper is at work.
    """
    with unit_of_work(sessions) as session:
        if not session.scalar(select(func.pg_try_advisory_xact_lock(SWEEP_LOCK))):
            return []
        lapsed = StageRuns(session).lapsed(SWEEP_LIMIT)
    for call_id, stage, attempt in lapsed:
        _close_lapsed(sessions, settings, call_id, stage, attempt)
    with unit_of_work(sessions) as session:
        if not session.scalar(select(func.pg_try_advisory_xact_lock(SWEEP_LOCK))):
            return []
        overdue = StageRuns(session).overdue(settings.hint_after_s, SWEEP_LIMIT)
        hints = [hint_for(Calls(session).get(call_id), stage) for call_id, stage in overdue]
    if lapsed or hints:
        log.info("swept", leases_lapsed=len(lapsed), hints_sent=len(hints))
    return hints


def _close_lapsed(
    sessions: sessionmaker[Session],
    settings: PipelineSettings,
    call_id: UUID,
    stage: Stage,
    attempt: int,
) -> None:
    """One call a transaction, its row locked first as everywhere."""
    with unit_of_work(sessions) as session:
        call = Calls(session).lock_or_none(call_id)
        if call is not None and StageRuns(session).has_lapsed(call_id, stage, attempt):
            close_attempt(session, call, stage, attempt, WorkerLostError(), settings)


def hand_back(sessions: sessionmaker[Session], worker: str) -> Sequence[Hint]:
    """Queue again what `worker` has in hand and will not finish; the hints to send."""
    with unit_of_work(sessions) as session:
        returned = StageRuns(session).hand_back(worker)
        return [hint_for(Calls(session).get(call_id), stage) for call_id, stage in returned]


ABANDONED_UPLOAD = timedelta(days=1)
LOST_WORKER = timedelta(hours=1)
LAST_WRITE = timedelta(hours=1)
"""So long after a call was deleted no stage writes to its audio any more: its lease or its time is over."""


def tidy(sessions: sessionmaker[Session], store: AudioStore, idempotency_ttl: timedelta) -> None:
    """Finish deletions that were cut short, drop what nobody will ask for again. Safe to repeat."""
    with unit_of_work(sessions) as session:
        prefixes = AudioPurges(session).older_than(LAST_WRITE)
        Heartbeats(session).forget(LOST_WORKER)
        IdempotencyKeys(session).prune(idempotency_ttl)
    for prefix in prefixes:
        store.delete_prefix(prefix)
        with unit_of_work(sessions) as session:
            AudioPurges(session).remove(prefix)
    store.delete_older(INCOMING, ABANDONED_UPLOAD)
