"""What the rows say of two variants: runs that ended, and calls that both worked on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, literal, select
from sqlalchemy.orm import Session, undefer

from callytics.db.models import Call, Job, ShadowRun, StageAttempt, StageRun
from callytics.domain.jobs import JOBS, SHADOWS, kinds_of
from callytics.domain.stages import PIPELINE, Queue, Stage, StageStatus

LATEST_RUNS = 2000
LATEST_CALLS = 500
"""What a comparison rests on at most: a bootstrap over more takes minutes and says the same."""

NOT_COUNTED = ("abandoned", "handed_back")
"""Ends that say nothing of the model."""

RETRIED = "retried"
"""The code of a job's attempt before its last one: the row keeps the problem of the last alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedRun:
    """One attempt at a stage or a job; `code` None: it was done."""

    seconds: float | None
    """None: the row does not keep it."""
    audio_s: float | None
    code: str | None


FAILED_BEFORE = EndedRun(seconds=None, audio_s=None, code=RETRIED)


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
        """The latest attempts of the variant at the queue's stage, as the main run and as the shadow; where
        the queue has no stage, at its jobs.

        Other jobs of a stage's queue are left out: a quick summary is not as long as that of a call. Where
        none is named as the model, or one of `ignoring`, no model was asked.
        """
        stages = [spec.stage for spec in PIPELINE if spec.queue is queue]
        attempts = self._session.execute(
            select(
                _seconds(StageAttempt),
                StageRun.audio_s,
                func.nullif(StageAttempt.outcome, StageStatus.DONE.value).label("code"),
                literal(0).label("retried"),
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
        kinds = [SHADOWS[stage] for stage in stages if stage in SHADOWS] or kinds_of([queue])
        jobs = self._session.execute(
            select(
                _seconds(Job),
                ShadowRun.audio_s,
                Job.problem["code"].astext.label("code"),
                _retried().label("retried"),
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
        rows = [*attempts, *jobs]
        ended = [
            EndedRun(seconds=float(row.seconds), audio_s=row.audio_s, code=row.code) for row in rows
        ]
        return [*ended, *[FAILED_BEFORE] * sum(row.retried for row in rows)]

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


def _retried() -> ColumnElement[int]:
    """How many attempts of a job failed before its last one.

    What was handed back, put off, or begun by another variant has raised the limit by as much.
    """
    usual = case({kind: spec.max_attempts for kind, spec in JOBS.items()}, value=Job.kind)
    raised = func.greatest(Job.attempt_limit - usual, 0)
    return func.greatest(Job.attempt - 1 - raised, 0)
