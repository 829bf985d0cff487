"""What the rows say of two variants: runs that ended, and calls that both worked on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, exists, func, or_, select
from sqlalchemy.orm import Session, aliased, undefer

from callytics.db.models import (
    AnalysisItem,
    AnalysisResult,
    AnalysisRun,
    Call,
    Job,
    QuickSummary,
    ShadowRun,
    StageAttempt,
    StageRun,
)
from callytics.domain.jobs import JOBS, SHADOWS, JobKind
from callytics.domain.stages import PIPELINE, Queue, Stage, StageStatus
from callytics.errors import CallNotFoundError, ConversationEmptyError

LATEST_RUNS = 2000
LATEST_CALLS = 500
"""What a comparison rests on at most: a bootstrap over more takes minutes and says the same."""

NOT_COUNTED = ("abandoned", "handed_back")
"""Ends that say nothing of the model."""

NOT_OF_A_MODEL = (CallNotFoundError.code, ConversationEmptyError.code)
"""Problems of jobs that end before a model is asked, or after it was."""

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

    def has_any(self, queue: Queue, variant: str) -> bool:
        """Whether the variant ever began anything of the queue that is still kept."""
        stages = [spec.stage for spec in PIPELINE if spec.queue is queue]
        kinds = [kind for kind, spec in JOBS.items() if spec.queue is queue]
        attempts = exists().where(StageAttempt.stage.in_(stages), StageAttempt.variant == variant)
        jobs = exists().where(Job.kind.in_(kinds), Job.variant == variant)
        return bool(self._session.scalar(select(or_(attempts, jobs))))

    def ended_stages(
        self, stage: Stage, variant: str, since: datetime, *, ignoring: Collection[str]
    ) -> Sequence[EndedRun]:
        """The latest attempts of the variant at the stage, as the main run and as the shadow.

        Where none is named as the model, or one of `ignoring`, no model was asked.
        """
        rows = self._session.execute(
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
                StageAttempt.stage == stage,
                StageAttempt.variant == variant,
                StageAttempt.finished_at > since,
                StageAttempt.outcome.not_in(NOT_COUNTED),
                (StageAttempt.outcome != StageStatus.DONE) | StageRun.model.not_in(ignoring),
            )
            .order_by(StageAttempt.finished_at.desc())
            .limit(LATEST_RUNS)
        )
        attempts = [
            EndedRun(seconds=float(row.seconds), audio_s=row.audio_s, code=row.code) for row in rows
        ]
        return [*attempts, *self.ended_jobs([SHADOWS[stage]], variant, since)]

    def ended_jobs(
        self, kinds: Collection[JobKind], variant: str, since: datetime
    ) -> Sequence[EndedRun]:
        """The latest attempts of the variant at jobs of these kinds.

        A quick summary without a provider asked no model, an analysis that was re-run with a model that
        somebody named asked none of the variants'. Of one whose turns were sent ahead the seconds
        are left out: a shadow's engine has read nothing before.
        """
        rows = self._session.execute(
            select(
                case((QuickSummary.ahead, None), else_=_seconds(Job)).label("seconds"),
                ShadowRun.audio_s,
                Job.problem["code"].astext.label("code"),
                _retried().label("retried"),
            )
            .outerjoin(ShadowRun, ShadowRun.id == Job.id)
            .outerjoin(QuickSummary, QuickSummary.id == func.coalesce(ShadowRun.job_id, Job.id))
            .where(
                Job.kind.in_(kinds),
                Job.variant == variant,
                Job.finished_at > since,
                or_(
                    Job.status == StageStatus.FAILED,
                    (Job.status == StageStatus.DONE)
                    & ((Job.kind != JobKind.QUICK_SUMMARY) | QuickSummary.provider.is_not(None)),
                ),
                func.coalesce(Job.problem["code"].astext, "").not_in(NOT_OF_A_MODEL),
                ~_with_a_named_model(),
            )
            .order_by(Job.finished_at.desc())
            .limit(LATEST_RUNS)
        ).all()
        ended = [
            EndedRun(
                seconds=None if row.seconds is None else float(row.seconds),
                audio_s=row.audio_s,
                code=row.code,
            )
            for row in rows
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
            .where(StageRun.stage == stage, *_both_did(StageRun, (first, second), since))
            .options(undefer(StageRun.output), undefer(ShadowRun.output))
            .order_by(Job.finished_at.desc())
            .limit(LATEST_CALLS)
        )
        return [Pair(call=row.Call, main=row.StageRun, shadow=row.ShadowRun) for row in rows]

    def job_pairs(
        self, kind: JobKind, first: str, second: str, since: datetime
    ) -> Sequence[tuple[Any, Any]]:
        """What the first and the second found of the latest jobs that one of them has done, and the other,
        as its shadow, too.
        """
        main = aliased(Job)
        summary = func.jsonb_build_object("text", QuickSummary.text).concat(QuickSummary.checks)
        found = func.coalesce(AnalysisResult.analysis, summary).label("found")
        rows = self._session.execute(
            select(main.variant, found, ShadowRun.output)
            .join(
                ShadowRun,
                (ShadowRun.job_id == main.id) & (ShadowRun.main_attempt == main.attempt),
            )
            .join(Job, Job.id == ShadowRun.id)
            .outerjoin(QuickSummary, QuickSummary.id == main.id)
            .outerjoin(AnalysisItem, AnalysisItem.id == main.id)
            .outerjoin(
                AnalysisResult,
                (AnalysisResult.item_id == AnalysisItem.id)
                & (AnalysisResult.run_no == AnalysisItem.run_no),
            )
            .where(main.kind == kind, *_both_did(main, (first, second), since))
            .order_by(Job.finished_at.desc())
            .limit(LATEST_CALLS)
        )
        return [
            (row.found, row.output) if row.variant == first else (row.output, row.found)
            for row in rows
        ]


def _both_did(
    main: type[StageRun | Job], variants: Collection[str], since: datetime
) -> Sequence[ColumnElement[bool]]:
    """One of the variants has done the main work, and another, in the job, its shadow."""
    return [
        main.status == StageStatus.DONE,
        Job.status == StageStatus.DONE,
        Job.finished_at > since,
        main.variant.in_(variants),
        Job.variant.in_(variants),
        Job.variant != main.variant,
    ]


def _seconds(table: type[StageAttempt | Job]) -> ColumnElement[Any]:
    return func.extract("epoch", table.finished_at - table.started_at).label("seconds")


def _with_a_named_model() -> ColumnElement[bool]:
    """Whether the job is an analysis whose latest run was to take another model than the batch's first."""
    first, latest = aliased(AnalysisRun), aliased(AnalysisRun)
    return exists().where(
        AnalysisItem.id == Job.id,
        first.batch_id == AnalysisItem.batch_id,
        first.run_no == 1,
        latest.batch_id == AnalysisItem.batch_id,
        latest.run_no == AnalysisItem.run_no,
        latest.model != first.model,
    )


def _retried() -> ColumnElement[int]:
    """How many attempts of a job failed before its last one.

    What was handed back, put off, or begun by another variant has raised the limit by as much.
    """
    usual = case({kind: spec.max_attempts for kind, spec in JOBS.items()}, value=Job.kind)
    raised = func.greatest(Job.attempt_limit - usual, 0)
    return func.greatest(Job.attempt - 1 - raised, 0)
