"""How any job runs: claim, compute, record, as stages do (stage.py), for work beside the pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from opentelemetry.trace import SpanKind
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from callytics import tracing
from callytics.db.engine import unit_of_work
from callytics.db.jobs import Jobs
from callytics.db.models import Job
from callytics.domain.jobs import JOBS, JobKind
from callytics.domain.stages import StageStatus
from callytics.errors import (
    CallyticsError,
    RetryableStageError,
    StageAbandonedError,
    StageTimeoutError,
)
from callytics.logs import about, where
from callytics.services.endings import follow_up
from callytics.services.job_work import End, JobHint, JobWork, NotNow
from callytics.services.lease import Lease, retry_delay, while_database_returns
from callytics.services.stage import Outcome, StageContext
from callytics.settings import PipelineSettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Claim:
    job: Job
    """As it was claimed; of no session any more."""
    inputs: Any


def run_job(context: StageContext, kind: JobKind, job_id: UUID) -> Outcome:
    """Run the job if it is due and nobody else does. Safe to call twice, or twice at once."""
    work = context.jobs[kind]
    named = {"job_id": str(job_id), "kind": kind.value, "worker": context.worker}
    with about(**named):
        try:
            claim = while_database_returns(lambda: _claim(context, work, job_id))
        except OperationalError:
            raise
        except Exception as error:
            log.error("job_not_read", error=type(error).__name__, where=where(error))  # noqa: TRY400
            return _fail_unread(context, kind, job_id)
        if not isinstance(claim, _Claim):
            _tell(context, kind, job_id, *claim)
            return Outcome.NOT_CLAIMED
        job = claim.job
        with (
            about(attempt=job.attempt, request_id=job.request_id),
            tracing.span(
                f"job {kind.value}",
                kind=SpanKind.CONSUMER,
                parent=job.trace_parent,
                attempt=job.attempt,
                wait_s=_waited_s(job),
                variant=job.variant,
                job_kind=kind.value,
                job_id=str(job_id),
                worker=context.worker,
            ),
        ):
            return _run(context, work, claim)


def _waited_s(job: Job) -> float | None:
    """How long it was due."""
    due = [at for at in (job.queued_at, job.next_attempt_at) if at is not None]
    if job.started_at is None or not due:
        return None
    return max(0.0, (job.started_at - max(due)).total_seconds())


def _run(context: StageContext, work: JobWork, claim: _Claim) -> Outcome:
    """Compute and record what was claimed."""
    kind, job_id, started = work.kind, claim.job.id, monotonic()
    try:
        with _lease(context, kind, claim) as lease:
            found = work.compute(claim.inputs, lease.progress)
        status, hints = while_database_returns(lambda: _record(context, work, claim, found))
    except StageAbandonedError:
        log.info("job_abandoned", seconds=round(monotonic() - started, 3))
        return Outcome.ABANDONED
    except (SoftTimeLimitExceeded, CallyticsError) as error:
        known = error if isinstance(error, CallyticsError) else StageTimeoutError()
        return _fail(context, kind, claim.job, known)
    except Exception as error:
        # The text of an unforeseen error may quote the conversation: only its type goes on.
        detail = f"The work met an unforeseen {type(error).__name__}; see the worker's log."
        log.error("job_crashed", error=type(error).__name__, where=where(error))  # noqa: TRY400
        return _fail(context, kind, claim.job, RetryableStageError(detail))
    _tell(context, kind, job_id, status, hints)
    log.info("job_ended", status=status.value, seconds=round(monotonic() - started, 3))
    return _OUTCOMES.get(status, Outcome.ABANDONED)


def _tell(
    context: StageContext,
    kind: JobKind,
    job_id: UUID,
    status: StageStatus | None,
    hints: Sequence[JobHint],
) -> None:
    """After the commit that left the job in `status` (None: as it was); a crash before or within this is
    the sweeper's and the tick's business.
    """
    context.send(hints)
    if status not in (None, StageStatus.QUEUED):
        context.send(while_database_returns(lambda: follow_up(context.sessions, kind, job_id)))


_OUTCOMES = {
    StageStatus.DONE: Outcome.DONE,
    StageStatus.QUEUED: Outcome.RETRY,
    StageStatus.FAILED: Outcome.FAILED,
}


def _claim(
    context: StageContext, work: JobWork, job_id: UUID
) -> _Claim | tuple[StageStatus | None, Sequence[JobHint]]:
    """The claim; or, if the job is not to be run now, where it stands if that was changed, and what
    else the broker is to be told.
    """
    with unit_of_work(context.sessions) as session:
        jobs = Jobs(session)
        lease = timedelta(seconds=context.settings.lease_s)
        variant = context.variant(JOBS[work.kind].queue)
        job = jobs.claim(job_id, work.kind, variant=variant, worker=context.worker, lease=lease)
        if job is None:
            return None, []
        inputs = work.read(session, job)
        if isinstance(inputs, NotNow):
            jobs.put_off(job, inputs.delay)
            return StageStatus.QUEUED, inputs.hints
        if isinstance(inputs, End):
            return close(session, job, inputs)
        return _Claim(job=job, inputs=inputs)


def _fail_unread(context: StageContext, kind: JobKind, job_id: UUID) -> Outcome:
    """Count an attempt at a job whose rows cannot be read: it must not be claimed for ever."""
    with unit_of_work(context.sessions) as session:
        lease = timedelta(seconds=context.settings.lease_s)
        variant = context.variant(JOBS[kind].queue)
        job = Jobs(session).claim(job_id, kind, variant=variant, worker=context.worker, lease=lease)
    if job is None:
        return Outcome.NOT_CLAIMED
    return _fail(context, kind, job, RetryableStageError())


def _lease(context: StageContext, kind: JobKind, claim: _Claim) -> Lease:
    lease_s = context.settings.lease_s

    def renew(session: Session, _share: float | None) -> bool:
        return Jobs(session).renew(claim.job.id, claim.job.attempt, timedelta(seconds=lease_s))

    return Lease(context.sessions, lease_s, renew, name=kind.value)


def _record(
    context: StageContext, work: JobWork, claim: _Claim, found: Any
) -> tuple[StageStatus, Sequence[JobHint]]:
    """Store the result, guarded by the attempt; raises StageAbandonedError if that is stale.

    A commit whose answer was lost is found done here, and is not made twice.
    """
    with unit_of_work(context.sessions) as session:
        if not Jobs(session).hold(claim.job):
            raise StageAbandonedError
        end = work.write(session, claim.job, found)
        return close(session, claim.job, end)


def close(session: Session, job: Job, end: End) -> tuple[StageStatus, Sequence[JobHint]]:
    """Bring a running job, whose row is locked, to `end`; where it stands then, and the hints."""
    problem = end.problem.as_problem() if end.problem else None
    status = Jobs(session).end(
        job.id, job.attempt, end.status, problem=problem, retry_after=end.retry_after
    )
    if status is None:
        raise StageAbandonedError
    return status, end.hints


def close_attempt(
    session: Session, job: Job, error: CallyticsError, settings: PipelineSettings
) -> tuple[StageStatus, Sequence[JobHint]]:
    """Queue the job again if `error` is worth another try and one is left, else fail it."""
    retryable = isinstance(error, RetryableStageError)
    delay = retry_delay(job.attempt, settings) if retryable else None
    return close(session, job, End(status=StageStatus.FAILED, problem=error, retry_after=delay))


def _fail(context: StageContext, kind: JobKind, job: Job, error: CallyticsError) -> Outcome:
    def closing() -> tuple[StageStatus, Sequence[JobHint]] | None:
        with unit_of_work(context.sessions) as session:
            if not Jobs(session).hold(job):
                return None
            return close_attempt(session, job, error, context.settings)

    closed = while_database_returns(closing)
    if closed is None:
        return Outcome.ABANDONED
    status, hints = closed
    _tell(context, kind, job.id, status, hints)
    tracing.fail(error.code)
    log.warning("job_failed", code=error.code, status=status.value)
    return _OUTCOMES[status]
