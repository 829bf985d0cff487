"""The shadow of a stage: another variant repeats what was done, its result is kept and never shown."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from callytics.db.jobs import Jobs
from callytics.db.models import Call, Job, ShadowRun
from callytics.db.routes import route
from callytics.db.stage_runs import StageRuns
from callytics.domain.job import Priority
from callytics.domain.jobs import SHADOWED, SHADOWS
from callytics.domain.serial import from_json, to_json
from callytics.domain.stages import SPECS, Stage, StageStatus
from callytics.domain.transcript import Turn
from callytics.ports import BY_CHANNEL, Computed, Progress
from callytics.services.job_work import End, JobHint

if TYPE_CHECKING:
    from callytics.services.stage import Claim, StageWork


def add(
    session: Session, call: Call, stage: Stage, claim: "Claim", computed: Computed, variant: str
) -> Sequence[JobHint]:
    """Have the stage's shadow, if it has one, repeat what was just recorded; the hints to send.

    Where no model was asked (a call with a channel a speaker) there is nothing to compare.
    """
    shadow = route(session, SPECS[stage].queue).shadow
    if shadow in (None, variant) or stage not in SHADOWS or computed.model in (None, BY_CHANNEL):
        return []
    job = Jobs(session).add(SHADOWS[stage], priority=Priority.LOW, variant=shadow)
    session.add(
        ShadowRun(
            id=job.id,
            call_id=call.id,
            stage=stage,
            main_attempt=claim.attempt,
            main_variant=variant,
            # The stage has just rewritten the turns that it read.
            input=to_kept(claim.inputs) if stage is Stage.PUNCTUATE else None,
        )
    )
    session.flush()
    return hints_of(session, [job])


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


class ShadowWork:
    """`read` and `compute` are those of the stage; its result goes nowhere but into the shadow's row."""

    def __init__(self, work: "StageWork") -> None:
        self.kind = SHADOWS[work.stage]
        self._work = work

    def read(self, session: Session, job: Job) -> Any | End:
        """What the stage read; End if the call is gone or was run again, so that nothing is compared."""
        run = session.get(ShadowRun, job.id)
        if run is None or not self._stands(session, run.call_id, run.main_attempt):
            return End(status=StageStatus.CANCELLED)
        if run.input is not None:
            return tuple(from_json(Turn, turn) for turn in run.input)
        return self._work.read(session, session.get_one(Call, run.call_id))

    def _stands(self, session: Session, call_id: UUID, attempt: int) -> bool:
        return StageRuns(session).is_recorded(call_id, self._work.stage, attempt)

    def compute(self, inputs: Any, progress: Progress) -> _Found:
        started = monotonic()
        computed = self._work.compute(inputs, progress)
        return _Found(computed=computed, seconds=round(monotonic() - started, 3))

    def write(self, session: Session, job: Job, found: _Found) -> End:
        run = session.get(ShadowRun, job.id, with_for_update=True)
        if run is None:
            return End(status=StageStatus.CANCELLED)
        model = found.computed.model
        run.output = to_kept(found.computed.value)
        run.model = model.name if model else None
        run.revision = model.revision if model else None
        run.seconds, run.audio_s = found.seconds, found.computed.audio_s
        session.flush()
        return End()
