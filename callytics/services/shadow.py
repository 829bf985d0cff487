"""The shadow of a stage or a job: another variant repeats it, what it finds is kept and never shown."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from callytics.db.jobs import insertion
from callytics.db.models import Call, Job, ShadowRun
from callytics.db.routes import route
from callytics.db.stage_runs import StageRuns
from callytics.domain.job import Priority
from callytics.domain.jobs import JOB_SHADOWS, JOBS, SHADOWED, SHADOWS, JobKind
from callytics.domain.serial import from_json, to_json
from callytics.domain.stages import Stage, StageStatus
from callytics.domain.transcript import Turn
from callytics.ports import BY_CHANNEL, Computed, Progress
from callytics.services.job_work import End, JobHint

if TYPE_CHECKING:
    from callytics.services.stage import Claim, StageWork

GONE = End(status=StageStatus.CANCELLED)
"""What a shadow was to repeat is not there any more, or was done again: there is nothing to compare."""


def add(
    session: Session, call: Call, stage: Stage, claim: "Claim", computed: Computed, variant: str
) -> Sequence[JobHint]:
    """Have the stage's shadow, if it has one, repeat what was just recorded; the hints to send.

    Where no model was asked (a call with a channel a speaker) there is nothing to compare.
    """
    if stage not in SHADOWS or computed.model in (None, BY_CHANNEL):
        return []
    return _add(
        session,
        SHADOWS[stage],
        variant,
        duration_s=call.duration_s,
        call_id=call.id,
        stage=stage,
        main_attempt=claim.attempt,
        # The stage has just rewritten the turns that it read.
        input=to_kept(claim.inputs) if stage is Stage.PUNCTUATE else None,
    )


def add_of_job(session: Session, job: Job, seen: list[Any] | None = None) -> Sequence[JobHint]:
    """As `add`, for a job whose answer is being recorded; `seen` is kept where it is found nowhere else."""
    kind = JOB_SHADOWS[job.kind]
    return _add(session, kind, job.variant, job_id=job.id, main_attempt=job.attempt, input=seen)


def _add(
    session: Session,
    kind: JobKind,
    variant: str,
    *,
    duration_s: float | None = None,
    **subject: Any,
) -> Sequence[JobHint]:
    """Queue a run of the queue's shadow, unless `variant`, which did the work, is that itself.

    One round trip: somebody waits for the answer that is being recorded.
    """
    shadow = route(session, JOBS[kind].queue).shadow
    if shadow is None or shadow == variant:
        return []
    hint = JobHint(
        job_id=uuid4(), kind=kind, priority=Priority.LOW, variant=shadow, duration_s=duration_s
    )
    job = insertion(kind, id=hint.job_id, priority=hint.priority, variant=shadow)
    run = insert(ShadowRun).values(id=hint.job_id, main_variant=variant, **subject)
    session.execute(run.add_cte(job.cte("job")))
    return [hint]


def hints_of(session: Session, jobs: Collection[Job]) -> Sequence[JobHint]:
    """What the broker is told of these jobs, with the lengths of the calls that shadows work on."""
    shadows = [job.id for job in jobs if job.kind in SHADOWED]
    query = select(ShadowRun.id, Call.duration_s).join(Call, Call.id == ShadowRun.call_id)
    rows = session.execute(query.where(ShadowRun.id.in_(shadows))) if shadows else ()
    lengths = {row.id: row.duration_s for row in rows}
    return [replace(JobHint.of(job), duration_s=lengths.get(job.id)) for job in jobs]


def to_kept(value: Any) -> Any:
    """What a stage read or found, as JSON; turns without the words' times."""
    if isinstance(value, tuple):
        return [to_json(replace(turn, words=())) for turn in value]
    return to_json(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    computed: Computed
    seconds: float


class Repeat(Protocol):
    """One kind of work, as a shadow does it once more."""

    def read(self, session: Session, run: ShadowRun) -> Any | End:
        """What was read the first time; GONE if that cannot be told any more."""

    def compute(self, inputs: Any, progress: Progress) -> Computed:
        """The work itself."""


class StageRepeat:
    def __init__(self, work: "StageWork") -> None:
        self._work = work

    def read(self, session: Session, run: ShadowRun) -> Any | End:
        call_id, stage = run.call_id, self._work.stage
        if not (call_id and StageRuns(session).is_recorded(call_id, stage, run.main_attempt)):
            return GONE
        if run.input is not None:
            return tuple(from_json(Turn, turn) for turn in run.input)
        return self._work.read(session, session.get_one(Call, call_id))

    def compute(self, inputs: Any, progress: Progress) -> Computed:
        return self._work.compute(inputs, progress)


class ShadowWork:
    """What is found goes nowhere but into the shadow's row."""

    def __init__(self, kind: JobKind, repeat: Repeat) -> None:
        self.kind = kind
        self._repeat = repeat

    def read(self, session: Session, job: Job) -> Any | End:
        run = session.get(ShadowRun, job.id)
        return self._repeat.read(session, run) if run else GONE

    def compute(self, inputs: Any, progress: Progress) -> _Found:
        started = monotonic()
        computed = self._repeat.compute(inputs, progress)
        return _Found(computed=computed, seconds=round(monotonic() - started, 3))

    def write(self, session: Session, job: Job, found: _Found) -> End:
        run = session.get(ShadowRun, job.id, with_for_update=True)
        if run is None:
            return GONE
        model = found.computed.model
        run.output = to_kept(found.computed.value)
        run.model = model.name if model else None
        run.revision = model.revision if model else None
        run.seconds, run.audio_s = found.seconds, found.computed.audio_s
        session.flush()
        return End()
