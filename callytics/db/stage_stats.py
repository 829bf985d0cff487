"""What the `stage_runs` and `stage_attempts` tables say of the whole pipeline, for health and metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from callytics.db.models import StageAttempt, StageRun
from callytics.domain.stages import Stage, StageStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenStages:
    """How many calls are at `stage` in `status`, and since when the longest, in seconds."""

    stage: Stage
    variant: str
    status: StageStatus
    count: int
    oldest_s: float


class StageStats:
    def __init__(self, session: Session) -> None:
        self._session = session

    def now(self) -> datetime:
        now: datetime = self._session.scalars(select(func.clock_timestamp())).one()
        return now

    def open(self) -> Sequence[OpenStages]:
        """What is queued or running."""
        age = func.clock_timestamp() - func.min(StageRun.queued_at)
        rows = self._session.execute(
            select(
                StageRun.stage,
                StageRun.variant,
                StageRun.status,
                func.count().label("found"),
                func.coalesce(func.extract("epoch", age), 0).label("oldest_s"),
            )
            .where(StageRun.status.in_([StageStatus.QUEUED, StageStatus.RUNNING]))
            .group_by(StageRun.stage, StageRun.variant, StageRun.status)
        )
        return [
            OpenStages(
                stage=row.stage,
                variant=row.variant,
                status=row.status,
                count=row.found,
                oldest_s=float(row.oldest_s),
            )
            for row in rows
        ]

    def lapsed(self) -> int:
        """Running stages whose lease ran out."""
        query = select(func.count()).where(
            StageRun.status == StageStatus.RUNNING, StageRun.lease_until < func.clock_timestamp()
        )
        return self._session.scalars(query).one()

    def done_within(self, window: timedelta) -> Mapping[tuple[Stage, str], int]:
        """How many calls each stage was done with, by each variant, in the latest `window`."""
        rows = self._session.execute(
            select(StageAttempt.stage, StageAttempt.variant, func.count().label("found"))
            .where(
                StageAttempt.finished_at > func.clock_timestamp() - window,
                StageAttempt.outcome == StageStatus.DONE,
            )
            .group_by(StageAttempt.stage, StageAttempt.variant)
        )
        return {(row.stage, row.variant): row.found for row in rows}
