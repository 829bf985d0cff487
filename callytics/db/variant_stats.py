"""What the rows say of two variants: runs that ended, and calls that both worked on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, undefer

from callytics.db.models import Call, Job, ShadowRun, StageAttempt, StageRun
from callytics.domain.jobs import JOBS
from callytics.domain.stages import PIPELINE, Queue, Stage, StageStatus

LATEST_RUNS = 2000
LATEST_CALLS = 500
"""What a comparison rests on at most: a bootstrap over more takes minutes and says the same."""

NOT_COUNTED = ("abandoned", "handed_back")
"""Ends that say nothing of the model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedRun:
    """One run of a stage or a job; `code` None: it was done."""

    seconds: float
    audio_s: float | None
    code: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """What the main run of a stage left, and what its shadow made of the same."""

    call: Call
    main: StageRun
    shadow: ShadowRun


class VariantStats:
    def __init__(self, session: Session) -> None:
        self._session = session

    def ended(
        self, queue: Queue, variant: str, since: datetime, *, ignoring: Collection[str]
    ) -> Sequence[EndedRun]:
        """The latest runs of the variant: attempts at stages, and jobs, shadow runs among them.

        Where none is named as the model, or one of `ignoring`, no model was asked.
        """
        stages = [spec.stage for spec in PIPELINE if spec.queue is queue]
        attempts = self._session.execute(
            select(
                _seconds(StageAttempt),
                StageRun.audio_s,
                func.nullif(StageAttempt.outcome, StageStatus.DONE.value).label("code"),
            )
            .join(
                StageRun,
                (StageRun.call_id == StageAttempt.call_id) & (StageRun.stage == StageAttempt.stage),
            )
            .where(
                StageAttempt.stage.in_(stages),
                StageAttempt.variant == variant,
                StageAttempt.finished_at > since,
                StageAttempt.outcome.not_in(NOT_COUNTED),
                (StageAttempt.outcome != StageStatus.DONE) | StageRun.model.not_in(ignoring),
            )
            .order_by(StageAttempt.finished_at.desc())
            .limit(LATEST_RUNS)
        )
        kinds = [kind for kind, spec in JOBS.items() if spec.queue is queue]
        jobs = self._session.execute(
            select(
                _seconds(Job),
                ShadowRun.audio_s,
                Job.problem["code"].astext.label("code"),
            )
            .outerjoin(ShadowRun, ShadowRun.id == Job.id)
            .where(
                Job.kind.in_(kinds),
                Job.variant == variant,
                Job.finished_at > since,
                Job.status.in_((StageStatus.DONE, StageStatus.FAILED)),
            )
            .order_by(Job.finished_at.desc())
            .limit(LATEST_RUNS)
        )
        return [
            EndedRun(seconds=float(row.seconds), audio_s=row.audio_s, code=row.code)
            for row in [*attempts, *jobs]
        ]

    def pairs(self, stage: Stage, first: str, second: str, since: datetime) -> Sequence[Pair]:
        """The latest calls that one of the two has done, and the other, as its shadow, too."""
        rows = self._session.execute(
            select(Call, StageRun, ShadowRun)
            .join(StageRun, StageRun.call_id == Call.id)
            .join(
                ShadowRun,
                (ShadowRun.call_id == Call.id)
                & (ShadowRun.stage == StageRun.stage)
                & (ShadowRun.main_attempt == StageRun.attempt),
            )
            .join(Job, Job.id == ShadowRun.id)
            .where(
                StageRun.stage == stage,
                StageRun.status == StageStatus.DONE,
                Job.status == StageStatus.DONE,
                Job.finished_at > since,
                StageRun.variant.in_((first, second)),
                Job.variant.in_((first, second)),
                Job.variant != StageRun.variant,
            )
            .options(undefer(StageRun.output), undefer(ShadowRun.output))
            .order_by(Job.finished_at.desc())
            .limit(LATEST_CALLS)
        )
        return [Pair(call=row.Call, main=row.StageRun, shadow=row.ShadowRun) for row in rows]


def _seconds(table: type[StageAttempt | Job]) -> ColumnElement[Any]:
    return func.extract("epoch", table.finished_at - table.started_at).label("seconds")
