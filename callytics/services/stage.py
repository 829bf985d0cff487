"""How any stage runs: claim, compute, record. Every guarantee of the pipeline is in this file.

- claim: one statement takes a queued stage, counts the attempt and starts a lease;
- compute: no transaction is open and no lock held; a thread renews the lease and carries progress;
- record: one transaction stores the result, guarded by the attempt number, and queues what follows;
- then the broker is told. A death at any line leaves a row that the sweeper finds (upkeep.py).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from time import monotonic
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from opentelemetry.trace import SpanKind
from sqlalchemy.orm import Session, sessionmaker

from callytics import tracing
from callytics.db.calls import Calls
from callytics.db.engine import unit_of_work
from callytics.db.jobs import Jobs
from callytics.db.models import Call, CallEnding
from callytics.db.routes import variant_for
from callytics.db.stage_runs import StageRuns
from callytics.domain.job import FINISHED, JobStatus, Priority, status_of
from callytics.domain.jobs import JobKind
from callytics.domain.routes import FIRST, Lane
from callytics.domain.stages import (
    SPECS,
    Queue,
    Stage,
    StageStatus,
    became_ready,
    chain_from,
)
from callytics.errors import (
    CallyticsError,
    RetryableStageError,
    StageAbandonedError,
    StageTimeoutError,
)
from callytics.logs import about, where
from callytics.ports import AudioStore, Computed, Progress
from callytics.services import shadow
from callytics.services.job_work import JobHint, JobWork
from callytics.services.lease import Lease, retry_delay, while_database_returns
from callytics.settings import PipelineSettings

log = structlog.get_logger(__name__)


class StageWork(Protocol):
    """What one stage does; `services/stages` has one implementation a file.

    `read` and `write` run inside a transaction that is not theirs and touch the database only;
    `compute` runs outside of any and never touches it.
    """

    stage: Stage

    def read(self, session: Session, call: Call) -> Any:
        """What `compute` needs, taken out of the rows. It is passed on as it is."""

    def compute(self, inputs: Any, progress: Progress) -> Computed:
        """The work itself. It may be killed at any moment and is then done again."""

    def write(self, session: Session, call: Call, computed: Computed) -> dict[str, Any] | None:
        """Store the result in the call's rows; returns what later stages read from this one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hint:
    """What the broker is told: these stages of this call, one after the other. Ids only."""

    call_id: UUID
    stages: tuple[Stage, ...]
    priority: Priority
    duration_s: float | None
    variants: Mapping[Stage, str] = field(default_factory=dict)
    """Of the model of each stage; the first one where nothing is said."""

    def lane(self, stage: Stage) -> Lane:
        return Lane(SPECS[stage].queue, self.variants.get(stage, FIRST))

    def time_limit_s(self, stage: Stage) -> float:
        return SPECS[stage].time_limit(self.duration_s)


AnyHint: TypeAlias = Hint | JobHint


class Outcome(StrEnum):
    DONE = "done"
    ALREADY_DONE = "already_done"
    NOT_CLAIMED = "not_claimed"
    """Leased by a living twin, not due yet, cancelled, or gone."""
    ABANDONED = "abandoned"
    RETRY = "retry"
    FAILED = "failed"

    @property
    def carries_on(self) -> bool:
        """Whether the chain's next message makes sense."""
        return self in (Outcome.DONE, Outcome.ALREADY_DONE)


@dataclass(frozen=True, kw_only=True, slots=True)
class StageContext:
    """What a worker process runs stages with."""

    sessions: sessionmaker[Session]
    works: Mapping[Stage, StageWork]
    store: AudioStore
    send: Callable[[Iterable[AnyHint]], None]
    worker: str
    exclusive: bool = True
    """This worker runs one stage at a time."""
    variants: Mapping[Queue, str] = field(default_factory=dict)
    """Which variant's work this worker takes, where that is not the first one's."""
    settings: PipelineSettings = field(default_factory=PipelineSettings)
    jobs: Mapping[JobKind, JobWork] = field(default_factory=dict)
    read_ahead: Callable[[UUID], None] = lambda _conversation_id: None
    """Has the engine read a conversation that goes on; a worker without the model does nothing."""
    classify: Callable[[], None] = lambda: None
    """Judges the texts that wait; a worker without the model does nothing."""

    def variant(self, queue: Queue) -> str:
        return self.variants.get(queue, FIRST)


def run_stage(
    context: StageContext, stage: Stage, call_id: UUID, *, carried: str | None = None
) -> Outcome:
    """Run `stage` of the call if it is due and nobody else does. Safe to call twice, or twice at once.

    `carried` is the lane that the message's chain goes on to by itself.
    """
    work = context.works[stage]
    named = {"call_id": str(call_id), "stage": stage.value, "worker": context.worker}
    with about(**named):
        claim = while_database_returns(lambda: _claim(context, work, call_id))
        if not isinstance(claim, Claim):
            return claim
        with (
            about(attempt=claim.attempt, request_id=claim.request_id),
            tracing.span(
                f"stage {stage.value}",
                kind=SpanKind.CONSUMER,
                parent=claim.trace_parent,
                attempt=claim.attempt,
                wait_s=claim.wait_s,
                variant=context.variant(SPECS[stage].queue),
                **named,
            ),
        ):
            return _run(context, work, claim, carried)


def _run(context: StageContext, work: StageWork, claim: "Claim", carried: str | None) -> Outcome:
    """Compute and record what was claimed."""
    stage, started = work.stage, monotonic()
    try:
        with _lease(context, stage, claim) as lease:
            computed = work.compute(claim.inputs, lease.progress)
        hints = while_database_returns(lambda: _record(context, work, claim, computed, carried))
    except StageAbandonedError:
        stored = while_database_returns(lambda: _recorded_already(context, stage, claim, carried))
        if stored is None:
            log.info("stage_abandoned", seconds=round(monotonic() - started, 3))
            return Outcome.ABANDONED
        hints = stored
    except SoftTimeLimitExceeded:
        return _fail(context, stage, claim, StageTimeoutError(), started)
    except CallyticsError as error:
        return _fail(context, stage, claim, error, started)
    except Exception as error:
        # The text of an unforeseen error may quote the conversation: only its type goes on.
        detail = f"The stage met an unforeseen {type(error).__name__}; see the worker's log."
        log.error("stage_crashed", error=type(error).__name__, where=where(error))  # noqa: TRY400
        return _fail(context, stage, claim, RetryableStageError(detail), started)
    context.send(hints)  # a crash before this line is the sweeper's business
    log.info("stage_done", seconds=round(monotonic() - started, 3))
    return Outcome.DONE


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    call_id: UUID
    attempt: int
    inputs: Any
    wait_s: float
    request_id: str | None
    trace_parent: str | None


def _lease(context: StageContext, stage: Stage, claim: Claim) -> Lease:
    lease_s = context.settings.lease_s

    def renew(session: Session, share: float | None) -> bool:
        return StageRuns(session).renew(
            claim.call_id, stage, claim.attempt, timedelta(seconds=lease_s), share
        )

    return Lease(context.sessions, lease_s, renew, name=stage.value)


def _claim(context: StageContext, work: StageWork, call_id: UUID) -> Claim | Outcome:
    with unit_of_work(context.sessions) as session:
        claimed = StageRuns(session).claim(
            call_id,
            work.stage,
            variant=context.variant(SPECS[work.stage].queue),
            worker=context.worker,
            exclusive=context.exclusive,
            lease=timedelta(seconds=context.settings.lease_s),
        )
        if claimed is None:
            done = StageRuns(session).status(call_id, work.stage) is StageStatus.DONE
            return Outcome.ALREADY_DONE if done else Outcome.NOT_CLAIMED
        call = claimed.call
        return Claim(
            call_id=call_id,
            attempt=claimed.attempt,
            inputs=work.read(session, call),
            wait_s=claimed.wait_s,
            request_id=call.request_id,
            trace_parent=call.trace_parent,
        )


def _record(
    context: StageContext, work: StageWork, claim: Claim, computed: Computed, carried: str | None
) -> Sequence[AnyHint]:
    """Store the result and queue what became ready; what the broker is to be told.

    Raises StageAbandonedError, and stores nothing, if the claim is no longer the latest.
    """
    with unit_of_work(context.sessions) as session:
        call = Calls(session).lock_or_none(claim.call_id)
        if call is None:
            raise StageAbandonedError
        output = work.write(session, call, computed)
        statuses = StageRuns(session).finish(
            claim.call_id, work.stage, claim.attempt, output, computed
        )
        if statuses is None:
            raise StageAbandonedError
        variant = context.variant(SPECS[work.stage].queue)
        shadowed = shadow.add(session, call, work.stage, claim, computed, variant)
        hints = advance(session, call, statuses=statuses, carried=carried, relaxed=True)
        return [*hints, *shadowed]


def _recorded_already(
    context: StageContext, stage: Stage, claim: Claim, carried: str | None
) -> Sequence[AnyHint] | None:
    """The hints of a result that we stored in a commit whose answer was lost; None if we did not."""
    with unit_of_work(context.sessions) as session:
        call = Calls(session).lock_or_none(claim.call_id)
        if call and StageRuns(session).is_recorded(claim.call_id, stage, claim.attempt):
            return advance(session, call, carried=carried)
    return None


def advance(
    session: Session,
    call: Call,
    *,
    statuses: Mapping[Stage, StageStatus] | None = None,
    carried: str | None = None,
    relaxed: bool = False,
) -> Sequence[AnyHint]:
    """Queue the stages whose needs are done, bring the call's status up to date.

    Returns the hints to send after the commit. What a chain carries on to by itself, in the lane
    `carried`, is not among them. The caller holds the call's lock, so two branches that end at once
    see each other.

    `relaxed`: a commit that a crash of PostgreSQL may undo is good enough while the call is not at its
    end, since its stage would only run again. The commit that ends a call waits for the disk, and with
    it, since the log is written in order, all that went before.
    """
    if statuses is None:
        statuses = StageRuns(session).statuses(call.id)
    ready = became_ready(statuses)
    status = status_of({**statuses, **dict.fromkeys(ready, StageStatus.QUEUED)}.values())
    # Of all stages, not of the ready ones alone: a chain goes on to others.
    variants = {stage: variant_for(session, SPECS[stage].queue, call.id) for stage in statuses}
    Calls(session).advance(
        call,
        ready={stage: variants[stage] for stage in ready},
        status=status,
        relaxed=relaxed and status not in FINISHED,
    )
    told = [_tell_of_end(session, call)] if status in TOLD and _is_to_be_told(call) else []
    hints = [hint_for(call, stage, variants) for stage in ready]
    return [*told, *(hint for hint in hints if str(hint.lane(hint.stages[0])) != carried)]


TOLD = frozenset({JobStatus.COMPLETED, JobStatus.FAILED})
"""Ends that a client is told of; that it cancelled a call it knows."""


def _is_to_be_told(call: Call) -> bool:
    return call.analyse or call.callback_url is not None


def _tell_of_end(session: Session, call: Call) -> JobHint:
    """Have somebody see to what follows, in the transaction that ends the call (call_ending.py)."""
    job = Jobs(session).add(JobKind.CALL_ENDED, priority=call.priority)
    session.add(CallEnding(id=job.id, call_id=call.id))
    session.flush()
    return JobHint.of(job)


def hint_for(call: Call, stage: Stage, variants: Mapping[Stage, str] | None = None) -> Hint:
    """Of `stage` and what a chain goes on to, in the lanes of `variants`.

    A chain that goes to a lane where nothing waits does no harm, and who queues the stage for another
    one says so (advance).
    """
    plan = [Stage(name) for name in call.stages]
    return Hint(
        call_id=call.id,
        stages=chain_from(stage, plan),
        priority=call.priority,
        duration_s=call.duration_s,
        variants=variants or {},
    )


def _fail(
    context: StageContext, stage: Stage, claim: Claim, error: CallyticsError, started: float
) -> Outcome:
    """Close the attempt with a problem: try again later, or give up."""

    def close() -> tuple[Outcome, Sequence[AnyHint]]:
        with unit_of_work(context.sessions) as session:
            call = Calls(session).lock_or_none(claim.call_id)
            if call is None:
                return Outcome.ABANDONED, []
            return close_attempt(session, call, stage, claim.attempt, error, context.settings)

    outcome, hints = while_database_returns(close)
    context.send(hints)
    tracing.fail(error.code)
    seconds = round(monotonic() - started, 3)
    log.warning("stage_failed", code=error.code, outcome=outcome.value, seconds=seconds)
    return outcome


def close_attempt(
    session: Session,
    call: Call,
    stage: Stage,
    attempt: int,
    error: CallyticsError,
    settings: PipelineSettings,
) -> tuple[Outcome, Sequence[AnyHint]]:
    """Queue the stage again if `error` is worth another try and one is left, else fail it.

    What became of it, and the hints to send.
    """
    delay = retry_delay(attempt, settings) if isinstance(error, RetryableStageError) else None
    status = StageRuns(session).fail(call.id, stage, attempt, error, retry_after=delay)
    if status is None:
        return Outcome.ABANDONED, []
    hints = advance(session, call)
    return (Outcome.RETRY if status is StageStatus.QUEUED else Outcome.FAILED), hints
