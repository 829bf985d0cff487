"""Work beside the pipeline's stages, as a table: which kinds there are, on which queue, with which models."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from callytics.domain.stages import SPECS, Queue, Stage


class JobKind(StrEnum):
    QUICK_SUMMARY = "quick_summary"
    """One sentence for the agent who waits for it."""
    ANALYSIS = "analysis"
    """The full analysis of one consultation of a batch."""
    CALL_ENDED = "call_ended"
    """What follows the end of a call: its callback, or its place in a batch."""
    DELIVERY = "delivery"
    """A callback on its way to its endpoint."""
    DIAGNOSIS = "diagnosis"
    """What a skin lesion may be, by a text, a photo or both."""
    SHADOW_DIARIZE = "shadow_diarize"
    SHADOW_TRANSCRIBE = "shadow_transcribe"
    SHADOW_PUNCTUATE = "shadow_punctuate"
    SHADOW_SENTIMENT = "shadow_sentiment"
    SHADOW_SUMMARIZE = "shadow_summarize"
    """What a stage did, done once more by another variant of its model, for comparison."""
    SHADOW_QUICK_SUMMARY = "shadow_quick_summary"
    SHADOW_ANALYSIS = "shadow_analysis"
    """The same of a job."""


SHADOWS: Mapping[Stage, JobKind] = {
    stage: JobKind(f"shadow_{stage}")
    for stage in (
        Stage.DIARIZE,
        Stage.TRANSCRIBE,
        Stage.PUNCTUATE,
        Stage.SENTIMENT,
        Stage.SUMMARIZE,
    )
}
"""The stages that a shadow can repeat."""

SHADOWED: Mapping[JobKind, Stage] = {kind: stage for stage, kind in SHADOWS.items()}

JOB_SHADOWS: Mapping[JobKind, JobKind] = {
    JobKind.QUICK_SUMMARY: JobKind.SHADOW_QUICK_SUMMARY,
    JobKind.ANALYSIS: JobKind.SHADOW_ANALYSIS,
}
"""The jobs that a shadow can repeat."""

SHADOW_KINDS = frozenset([*SHADOWED, *JOB_SHADOWS.values()])


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSpec:
    """One kind. `models` are fields of ModelsSettings; without the `optional` of them it does its other
    jobs.

    `max_attempts` is how often a job is begun before it is given up; how often a callback is tried its
    schedule says (delivery.py), so a delivery's own limit only ends what kills its worker each time.
    """

    kind: JobKind
    queue: Queue
    models: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    max_attempts: int

    @property
    def needed(self) -> tuple[str, ...]:
        return tuple(name for name in self.models if name not in self.optional)


JOBS: Mapping[JobKind, JobSpec] = {
    spec.kind: spec
    for spec in (
        JobSpec(kind=JobKind.QUICK_SUMMARY, queue=Queue.SLM, models=("summarize",), max_attempts=3),
        JobSpec(kind=JobKind.ANALYSIS, queue=Queue.MLM, models=("analyse",), max_attempts=4),
        JobSpec(kind=JobKind.CALL_ENDED, queue=Queue.CONTROL, max_attempts=20),
        JobSpec(kind=JobKind.DELIVERY, queue=Queue.CALLBACK, max_attempts=100),
        JobSpec(
            kind=JobKind.DIAGNOSIS,
            queue=Queue.DIAGNOSIS,
            models=("diagnosis_text", "diagnosis_image"),
            optional=("diagnosis_image",),
            max_attempts=3,
        ),
        *(
            JobSpec(kind=kind, queue=SPECS[stage].queue, models=(stage.value,), max_attempts=2)
            for stage, kind in SHADOWS.items()
        ),
        JobSpec(
            kind=JobKind.SHADOW_QUICK_SUMMARY,
            queue=Queue.SLM,
            models=("summarize",),
            max_attempts=2,
        ),
        JobSpec(kind=JobKind.SHADOW_ANALYSIS, queue=Queue.MLM, models=("analyse",), max_attempts=2),
    )
}


def kinds_of(queues: Collection[Queue]) -> tuple[JobKind, ...]:
    """The kinds that workers of `queues` do."""
    return tuple(spec.kind for spec in JOBS.values() if spec.queue in queues)
