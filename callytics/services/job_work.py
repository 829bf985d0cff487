"""What one kind of job does (jobs.py runs it), and what the broker is told of a job."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, Self
from uuid import UUID

from sqlalchemy.orm import Session

from callytics.db.models import Job
from callytics.domain.job import Priority
from callytics.domain.jobs import JOBS, SHADOWED, JobKind
from callytics.domain.routes import FIRST, Lane
from callytics.domain.stages import SPECS, StageStatus
from callytics.errors import CallyticsError
from callytics.ports import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class JobHint:
    """What the broker is told: this job. Ids only."""

    job_id: UUID
    kind: JobKind
    priority: Priority
    variant: str = FIRST
    duration_s: float | None = None
    """Of the call whose stage a shadow repeats."""

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls(job_id=job.id, kind=job.kind, priority=job.priority, variant=job.variant)

    @property
    def lane(self) -> Lane:
        return Lane(JOBS[self.kind].queue, self.variant)

    @property
    def time_limit_s(self) -> float | None:
        """A stage's shadow has that of the stage; what other jobs wait for has a limit of its own."""
        stage = SHADOWED.get(self.kind)
        return SPECS[stage].time_limit(self.duration_s) if stage else None


@dataclass(frozen=True, kw_only=True, slots=True)
class NotNow:
    """The job is due, yet not to be begun: it waits for `delay` more, and no attempt is counted."""

    delay: timedelta
    hints: Sequence[JobHint] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """What becomes of a job after its result was stored: an end, or, with `retry_after`, another try."""

    status: StageStatus = StageStatus.DONE
    problem: CallyticsError | None = None
    retry_after: timedelta | None = None
    hints: Sequence[JobHint] = field(default=())


class JobWork(Protocol):
    """`read`, `write` run inside a transaction that is not theirs and touch the database only;
    `compute` runs outside of any and never touches it.
    """

    @property
    def kind(self) -> JobKind: ...

    def read(self, session: Session, job: Job) -> Any:
        """What `compute` needs, out of the rows; NotNow if the job has to wait, End if it cannot be done."""

    def compute(self, inputs: Any, progress: Progress) -> Any:
        """The work itself. It may be killed at any moment and is then done again."""

    def write(self, session: Session, job: Job, found: Any) -> End:
        """Store the result. The job's row is locked, and its attempt is the one that computed it."""
