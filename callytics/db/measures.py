"""Counters and histograms that rows tell of, as a table: what each is called, and which log it is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Text, case, cast, func, literal

from callytics.db.models import (
    AnalysisBatch,
    AnalysisRun,
    Call,
    DeliveryAttempt,
    Diagnosis,
    Job,
    QuickSummary,
    StageAttempt,
)
from callytics.domain.job import FINISHED, JobStatus
from callytics.domain.stages import StageStatus

Column: TypeAlias = ColumnElement[Any]

SECONDS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
FACTORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5)
SIZES = (1, 2, 5, 10, 15, 20, 50, 100, 200, 500, 1000)

ONE = literal(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A histogram of `value`, or, without `bounds`, a counter that `value` is added to.

    It is made of the rows that `where` lets through, each counted when it has ended; without `ended` it is
    counted by whoever does what it counts (MetricSums.count), and `known` is shown before that.
    """

    name: str
    about: str
    labels: Mapping[str, Any] = field(default_factory=dict)
    bounds: Sequence[float] = ()
    value: Any = ONE
    ended: Any = None
    where: Sequence[Any] = ()
    known: Sequence[str] = ()


def _seconds(start: Any, end: Any) -> Column:
    return func.greatest(0, func.extract("epoch", end - start))


SWEEPS, SWEEPER_ACTIONS = "callytics_sweeps", "callytics_sweeper_actions"
LEASE_LAPSED, GIVEN_UP, HINT_SENT, MOVED = "lease_lapsed", "given_up", "hint_sent", "moved"

_STAGE: Mapping[str, Any] = {
    "stage": StageAttempt.stage,
    "variant": StageAttempt.variant,
}
_ATTEMPT_ENDED = StageAttempt.finished_at
_RUN_S = _seconds(StageAttempt.started_at, StageAttempt.finished_at)
_DONE = StageAttempt.outcome == StageStatus.DONE.value
_NO_FAILURES = ("done", "abandoned", "handed_back")
_FAILED = StageAttempt.outcome.not_in(_NO_FAILURES)

_JOB: Mapping[str, Any] = {"kind": Job.kind, "variant": Job.variant}
_JOB_ENDED = (StageStatus.DONE, StageStatus.FAILED)
_JOB_OUTCOME = case(
    (Job.status == StageStatus.FAILED, func.coalesce(Job.problem["code"].astext, "failed")),
    else_=cast(Job.status, Text),
)

_ANSWERED = (QuickSummary.id == Job.id, Job.status.in_(_JOB_ENDED))
_DIAGNOSED = (Diagnosis.id == Job.id, Job.status.in_(_JOB_ENDED))
_RUN_OF_BATCH = (AnalysisRun.batch_id == AnalysisBatch.id,)

_STATUS_CLASS = case(
    (DeliveryAttempt.status.is_(None), "none"),
    else_=func.concat(cast(DeliveryAttempt.status // 100, Text), "xx"),
)

MEASURES: Sequence[Measure] = (
    Measure(
        name="slm_response_time",
        about="Seconds from the arrival of a quick-summary request to its answer, late ones included.",
        bounds=SECONDS,
        value=_seconds(QuickSummary.received_at, Job.finished_at),
        ended=Job.finished_at,
        where=_ANSWERED,
    ),
    Measure(
        name="callytics_quick_summaries_late",
        about="Quick summaries that were not made within the budget.",
        ended=Job.finished_at,
        where=(*_ANSWERED, QuickSummary.late),
    ),
    Measure(
        name="callytics_stage_seconds",
        about="Seconds that a successful attempt at a stage took, by the variant of its model.",
        labels=_STAGE,
        bounds=SECONDS,
        value=_RUN_S,
        ended=_ATTEMPT_ENDED,
        where=(_DONE,),
    ),
    Measure(
        name="callytics_stage_wait_seconds",
        about="Seconds that a stage was due before a worker took it, of each attempt.",
        labels=_STAGE,
        bounds=SECONDS,
        value=StageAttempt.wait_s,
        ended=_ATTEMPT_ENDED,
        where=(StageAttempt.wait_s.is_not(None),),
    ),
    Measure(
        name="callytics_stage_attempts",
        about="Attempts at a stage by outcome: done, failed, abandoned, handed_back.",
        labels={**_STAGE, "outcome": case((_FAILED, "failed"), else_=StageAttempt.outcome)},
        ended=_ATTEMPT_ENDED,
        where=(StageAttempt.outcome.is_not(None),),
    ),
    Measure(
        name="callytics_stage_failures",
        about="Attempts at a stage that ended with a problem.",
        labels={**_STAGE, "code": StageAttempt.outcome},
        ended=_ATTEMPT_ENDED,
        where=(_FAILED,),
    ),
    Measure(
        name="callytics_stage_audio_seconds",
        about="Seconds of audio that successful attempts worked through.",
        labels=_STAGE,
        value=StageAttempt.audio_s,
        ended=_ATTEMPT_ENDED,
        where=(_DONE, StageAttempt.audio_s.is_not(None)),
    ),
    Measure(
        name="callytics_stage_realtime_factor",
        about="Seconds that a successful attempt took for each second of its audio.",
        labels=_STAGE,
        bounds=FACTORS,
        value=_RUN_S / StageAttempt.audio_s,
        ended=_ATTEMPT_ENDED,
        where=(_DONE, StageAttempt.audio_s > 0),
    ),
    Measure(
        name="callytics_job_seconds",
        about="Seconds that the last attempt at a job took that was done.",
        labels=_JOB,
        bounds=SECONDS,
        value=_seconds(Job.started_at, Job.finished_at),
        ended=Job.finished_at,
        where=(Job.status == StageStatus.DONE, Job.started_at.is_not(None)),
    ),
    Measure(
        name="callytics_job_wait_seconds",
        about="Seconds that a job was due before a worker took it, where its first attempt was its last.",
        labels=_JOB,
        bounds=SECONDS,
        value=_seconds(Job.queued_at, Job.started_at),
        ended=Job.finished_at,
        where=(Job.status.in_(_JOB_ENDED), Job.attempt == 1, Job.started_at.is_not(None)),
    ),
    Measure(
        name="callytics_job_ends",
        about="Jobs that ended, by outcome: done, cancelled, or the problem's code.",
        labels={**_JOB, "outcome": _JOB_OUTCOME},
        ended=Job.finished_at,
        where=(Job.status.in_((*_JOB_ENDED, StageStatus.CANCELLED)),),
    ),
    Measure(
        name="callytics_calls_ended",
        about="Calls that came to an end, by status; one that is run again counts again.",
        labels={"status": Call.status},
        ended=Call.completed_at,
        where=(Call.status.in_(FINISHED),),
    ),
    Measure(
        name="callytics_call_seconds",
        about="Seconds from the submission of a call to its completion.",
        bounds=(*SECONDS, 3600, 7200),
        value=_seconds(Call.created_at, Call.completed_at),
        ended=Call.completed_at,
        where=(Call.status == JobStatus.COMPLETED,),
    ),
    Measure(
        name="callytics_batch_consultations",
        about="Consultations in a batch when it closed.",
        bounds=SIZES,
        value=AnalysisBatch.size,
        ended=AnalysisBatch.closed_at,
    ),
    Measure(
        name="callytics_batch_seconds",
        about="Seconds that a run over a batch took, by how the batch stood then.",
        labels={"status": AnalysisBatch.status},
        bounds=(*SECONDS, 3600, 7200),
        value=_seconds(AnalysisRun.started_at, AnalysisRun.completed_at),
        ended=AnalysisRun.completed_at,
        where=_RUN_OF_BATCH,
    ),
    Measure(
        name="callytics_callback_attempts",
        about="Attempts at a callback, by the class of the answer's status and what follows from it.",
        labels={"status": _STATUS_CLASS, "verdict": DeliveryAttempt.verdict},
        ended=DeliveryAttempt.recorded_at,
    ),
    Measure(
        name="callytics_callback_seconds",
        about="Seconds that an attempt at a callback took.",
        bounds=SECONDS,
        value=DeliveryAttempt.seconds,
        ended=DeliveryAttempt.recorded_at,
    ),
    Measure(
        name="callytics_diagnoses",
        about="Diagnoses by what they rest on (text, image) and outcome: done, or the problem's code.",
        labels={"kind": Diagnosis.rests_on, "outcome": _JOB_OUTCOME},
        ended=Job.finished_at,
        where=_DIAGNOSED,
    ),
    Measure(
        name="callytics_diagnosis_seconds",
        about="Seconds from the arrival of a complaint to its diagnosis.",
        labels={"kind": Diagnosis.rests_on},
        bounds=SECONDS,
        value=_seconds(Diagnosis.received_at, Job.finished_at),
        ended=Job.finished_at,
        where=(*_DIAGNOSED, Job.status == StageStatus.DONE),
    ),
    Measure(name=SWEEPS, about="Rounds of the sweeper."),
    Measure(
        name=SWEEPER_ACTIONS,
        about="What the sweeper did: leases taken back, work given up, hints sent again, work moved to "
        "another variant.",
        labels={"action": literal("")},
        known=(LEASE_LAPSED, GIVEN_UP, HINT_SENT, MOVED),
    ),
)
