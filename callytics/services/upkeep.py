"""What keeps promises when a process died: run by beat, safe to run twice at once."""

from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from uuid import UUID

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.audio_purges import AudioPurges
from callytics.db.batch_files import BatchFiles
from callytics.db.calls import Calls
from callytics.db.diagnoses import Diagnoses
from callytics.db.engine import unit_of_work
from callytics.db.heartbeats import Heartbeats
from callytics.db.idempotency import IdempotencyKeys
from callytics.db.jobs import Jobs
from callytics.db.measures import (
    GIVEN_UP,
    HINT_SENT,
    LEASE_LAPSED,
    MOVED,
    SWEEPER_ACTIONS,
    SWEEPS,
)
from callytics.db.metric_sums import MetricSums
from callytics.db.providers import ProviderUsages
from callytics.db.sentiment_requests import SentimentRequests
from callytics.db.stage_runs import StageRuns
from callytics.db.ticks import Ticks
from callytics.domain.jobs import JobKind
from callytics.domain.stages import Stage, StageStatus
from callytics.errors import WorkerLostError
from callytics.ports import INCOMING, AudioStore
from callytics.services import diagnosis_jobs, job, purge, quick_summary, routes, shadow
from callytics.services.endings import follow_up
from callytics.services.job_work import JobHint
from callytics.services.stage import AnyHint, Outcome, close_attempt
from callytics.settings import PipelineSettings, Settings

log = structlog.get_logger(__name__)

SWEEP_LOCK = 0x63616C6C  # "call": one sweeper at a time, whoever it is
SWEEP_LIMIT = 500
"""Rows a sweep takes at most, so that it ends before the next one starts."""


def sweep(sessions: sessionmaker[Session], settings: PipelineSettings) -> Sequence[AnyHint]:
    """Take leases that ran out from their workers, find what the broker forgot.

    Returns the hints to send after the commit; none if another sweeper is at work.
    """
    with unit_of_work(sessions) as session:
        if not session.scalar(select(func.pg_try_advisory_xact_lock(SWEEP_LOCK))):
            return []
        lapsed = StageRuns(session).lapsed(SWEEP_LIMIT)
        lapsed_jobs = Jobs(session).lapsed(SWEEP_LIMIT)
    hints: list[AnyHint] = []
    for call_id, stage, attempt in lapsed:
        hints += _close_lapsed(sessions, settings, call_id, stage, attempt)
    for job_id, kind, attempt in lapsed_jobs:
        hints += _close_lapsed_job(sessions, settings, job_id, kind, attempt)
    with unit_of_work(sessions) as session:
        if not session.scalar(select(func.pg_try_advisory_xact_lock(SWEEP_LOCK))):
            return hints
        given_up = diagnosis_jobs.give_up(session, SWEEP_LIMIT)
        moved = routes.move(session, SWEEP_LIMIT)
        overdue = StageRuns(session).overdue(settings.hint_after_s, SWEEP_LIMIT)
        overdue_jobs = Jobs(session).overdue(settings.hint_after_s, SWEEP_LIMIT)
        hints += moved
        hints += routes.hints_of(session, overdue)
        hints += shadow.hints_of(session, overdue_jobs)
        sums = MetricSums(session)
        sums.count(SWEEPS)
        sums.count(SWEEPER_ACTIONS, GIVEN_UP, times=given_up)
        sums.count(SWEEPER_ACTIONS, MOVED, times=len(moved))
        sums.count(SWEEPER_ACTIONS, HINT_SENT, times=len(overdue) + len(overdue_jobs))
        Ticks(session).note("sweep")
    if lapsed or lapsed_jobs or given_up or hints:
        log.info(
            "swept",
            leases_lapsed=len(lapsed) + len(lapsed_jobs),
            given_up=given_up,
            hints_sent=len(hints),
        )
    return hints


def _close_lapsed(
    sessions: sessionmaker[Session],
    settings: PipelineSettings,
    call_id: UUID,
    stage: Stage,
    attempt: int,
) -> Sequence[AnyHint]:
    """One call a transaction, its row locked first as everywhere."""
    with unit_of_work(sessions) as session:
        call = Calls(session).lock_or_none(call_id)
        if call is None or not StageRuns(session).has_lapsed(call_id, stage, attempt):
            return []
        outcome, hints = close_attempt(session, call, stage, attempt, WorkerLostError(), settings)
        _count_lapsed(session, given_up=outcome is Outcome.FAILED)
        return hints


def _close_lapsed_job(
    sessions: sessionmaker[Session],
    settings: PipelineSettings,
    job_id: UUID,
    kind: JobKind,
    attempt: int,
) -> Sequence[JobHint]:
    with unit_of_work(sessions) as session:
        found = Jobs(session).lock(job_id)
        if found is None or found.attempt != attempt or not Jobs(session).has_lapsed(job_id):
            return []
        status, hints = job.close_attempt(session, found, WorkerLostError(), settings)
        _count_lapsed(session, given_up=status is StageStatus.FAILED)
    ended = status is not StageStatus.QUEUED
    return [*hints, *(follow_up(sessions, kind, job_id) if ended else ())]


def _count_lapsed(session: Session, *, given_up: bool) -> None:
    MetricSums(session).count(SWEEPER_ACTIONS, LEASE_LAPSED)
    MetricSums(session).count(SWEEPER_ACTIONS, GIVEN_UP, times=int(given_up))


def count_ended(sessions: sessionmaker[Session]) -> None:
    """Add up what ended, before its rows go, though nobody may ask for metrics."""
    with unit_of_work(sessions) as session:
        MetricSums(session).fold()


def hand_back(sessions: sessionmaker[Session], worker: str) -> Sequence[AnyHint]:
    """Queue again what `worker` has in hand and will not finish; the hints to send."""
    with unit_of_work(sessions) as session:
        stages, jobs = StageRuns(session).hand_back(worker), Jobs(session).hand_back(worker)
        hints: Sequence[AnyHint] = [
            *routes.hints_of(session, stages),
            *shadow.hints_of(session, jobs),
        ]
        told = [
            *({"call_id": str(one.call_id), "stage": one.stage.value} for one in stages),
            *({"job_id": str(one.id), "kind": one.kind.value} for one in jobs),
        ]
    for named in told:
        log.warning("handed_back", worker=worker, **named)
    return hints


ABANDONED_UPLOAD = timedelta(days=1)
BATCH_FILE_KEPT = timedelta(days=1)
UNCLAIMED_ANSWER = timedelta(minutes=1)
"""An API process that lives has taken its answers by then."""
LOST_WORKER = timedelta(hours=1)
LAST_WRITE = timedelta(hours=1)
"""So long after a call was deleted no stage writes to its audio any more: its lease or its time is over."""
DELETIONS_S = 120.0
"""So long a round deletes audio. A store that is away lets each deletion wait for minutes, and rounds that
pile up would take the sweeper's threads."""


def tidy(sessions: sessionmaker[Session], store: AudioStore, settings: Settings) -> None:
    """Finish deletions that were cut short, drop what nobody will ask for again. Safe to repeat."""
    with unit_of_work(sessions) as session:
        prefixes = AudioPurges(session).older_than(LAST_WRITE)
        Heartbeats(session).forget(LOST_WORKER)
        IdempotencyKeys(session).prune(timedelta(hours=settings.api.idempotency_ttl_h))
        quick_summary.tidy(session, timedelta(hours=settings.quick_summary.keep_h))
        BatchFiles(session).forget(BATCH_FILE_KEPT)
        SentimentRequests(session).forget(UNCLAIMED_ANSWER)
        Diagnoses(session).forget(timedelta(hours=settings.diagnosis.keep_h))
        ProviderUsages(session).fold(timedelta(days=settings.llm.usage_keep_days))
    _delete_audio(sessions, store, prefixes)
    store.delete_older(INCOMING, ABANDONED_UPLOAD)
    purge.retain(sessions, store, settings.retention)
    with unit_of_work(sessions) as session:
        Ticks(session).note("tidy")


def _delete_audio(
    sessions: sessionmaker[Session], store: AudioStore, prefixes: Sequence[str]
) -> None:
    """One that cannot be deleted holds up no other, and is tried again in the next round."""
    until = monotonic() + DELETIONS_S
    for prefix in prefixes:
        if monotonic() > until:
            return
        try:
            store.delete_prefix(prefix)
        except Exception as error:
            log.warning("audio_not_deleted", error=type(error).__name__)
            continue
        with unit_of_work(sessions) as session:
            AudioPurges(session).remove(prefix)
