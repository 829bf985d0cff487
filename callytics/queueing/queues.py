"""Names that the broker knows: queues, tasks, priorities. Stable across deployments."""

from collections.abc import Mapping
from enum import StrEnum

from callytics.domain.job import Priority
from callytics.domain.jobs import JOBS, SHADOW_KINDS, JobKind
from callytics.domain.stages import SPECS, Queue, Stage


class TaskName(StrEnum):
    """A worker discards names that it does not know: a renamed task keeps its old name for a version."""

    PREPROCESS = "callytics.preprocess"
    DIARIZE = "callytics.diarize"
    TRANSCRIBE = "callytics.transcribe"
    MERGE = "callytics.merge"
    PUNCTUATE = "callytics.punctuate"
    SENTIMENT = "callytics.sentiment"
    CLASSIFY = "callytics.classify"
    SUMMARIZE = "callytics.summarize"
    QUICK_SUMMARY = "callytics.quick_summary"
    READ_AHEAD = "callytics.read_ahead"
    ANALYSE = "callytics.analyse"
    CALL_ENDED = "callytics.call_ended"
    DELIVER = "callytics.deliver"
    DIAGNOSE = "callytics.diagnose"
    CLOSE_BATCHES = "callytics.close_batches"
    SHADOW_DIARIZE = "callytics.shadow_diarize"
    SHADOW_TRANSCRIBE = "callytics.shadow_transcribe"
    SHADOW_PUNCTUATE = "callytics.shadow_punctuate"
    SHADOW_SENTIMENT = "callytics.shadow_sentiment"
    SHADOW_SUMMARIZE = "callytics.shadow_summarize"
    SHADOW_QUICK_SUMMARY = "callytics.shadow_quick_summary"
    SHADOW_ANALYSIS = "callytics.shadow_analysis"
    SWEEP = "callytics.sweep"
    TIDY = "callytics.tidy"


STAGE_TASK: Mapping[Stage, TaskName] = {stage: TaskName[stage.name] for stage in Stage}

JOB_TASK: Mapping[JobKind, TaskName] = {
    JobKind.QUICK_SUMMARY: TaskName.QUICK_SUMMARY,
    JobKind.ANALYSIS: TaskName.ANALYSE,
    JobKind.CALL_ENDED: TaskName.CALL_ENDED,
    JobKind.DELIVERY: TaskName.DELIVER,
    JobKind.DIAGNOSIS: TaskName.DIAGNOSE,
    **{kind: TaskName[kind.name] for kind in SHADOW_KINDS},
}

ROUTES: Mapping[TaskName, Queue] = {
    **{STAGE_TASK[stage]: spec.queue for stage, spec in SPECS.items()},
    **{JOB_TASK[kind]: spec.queue for kind, spec in JOBS.items()},
    TaskName.CLASSIFY: Queue.SENTIMENT,
    TaskName.READ_AHEAD: Queue.SLM,
    TaskName.CLOSE_BATCHES: Queue.CONTROL,
    TaskName.SWEEP: Queue.CONTROL,
    TaskName.TIDY: Queue.CONTROL,
}

MESSAGE_PRIORITY: Mapping[Priority, int] = {Priority.HIGH: 0, Priority.NORMAL: 3, Priority.LOW: 6}
"""On Redis, 0 is served first; each step is a list of its own."""

SHADOW_PRIORITY = 9
"""A shadow run never goes before what somebody waits for."""
