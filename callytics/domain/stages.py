"""The pipeline is a table: which stages a call goes through, on which queue, after what."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Queue(StrEnum):
    """Celery queues. A worker serves one of them, or a few light ones, on one device."""

    AUDIO = "audio"
    DIARIZE = "diarize"
    STT = "stt"
    PUNCTUATE = "punctuate"
    SENTIMENT = "sentiment"
    SLM = "slm"
    MLM = "mlm"
    CALLBACK = "callback"
    DIAGNOSIS = "diagnosis"
    CONTROL = "control"


class Stage(StrEnum):
    PREPROCESS = "preprocess"
    DIARIZE = "diarize"
    TRANSCRIBE = "transcribe"
    MERGE = "merge"
    PUNCTUATE = "punctuate"
    SENTIMENT = "sentiment"
    SUMMARIZE = "summarize"


class StageStatus(StrEnum):
    """`waiting` for its needs, `queued` for a worker, then `running` under a lease, then an end."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class StageSpec:
    """One line of the pipeline.

    A run may take `time_limit_s` and, beside it, `time_limit_per_audio_s` for each second of audio,
    so that a long call is not killed for being long and a hung model is not left alone for an hour.
    """

    stage: Stage
    queue: Queue
    needs: tuple[Stage, ...]
    time_limit_s: float
    time_limit_per_audio_s: float = 0.0
    max_attempts: int = 4

    def time_limit(self, duration_s: float | None) -> float:
        """Seconds that one attempt may take on `duration_s` seconds of audio (None: not known yet)."""
        return self.time_limit_s + self.time_limit_per_audio_s * (duration_s or 0.0)


PIPELINE: tuple[StageSpec, ...] = (
    StageSpec(stage=Stage.PREPROCESS, queue=Queue.AUDIO, needs=(), time_limit_s=900),
    StageSpec(
        stage=Stage.DIARIZE,
        queue=Queue.DIARIZE,
        needs=(Stage.PREPROCESS,),
        time_limit_s=120,
        time_limit_per_audio_s=2.0,
    ),
    StageSpec(
        stage=Stage.TRANSCRIBE,
        queue=Queue.STT,
        needs=(Stage.PREPROCESS,),
        time_limit_s=120,
        time_limit_per_audio_s=4.0,
    ),
    StageSpec(
        stage=Stage.MERGE,
        queue=Queue.AUDIO,
        needs=(Stage.DIARIZE, Stage.TRANSCRIBE),
        time_limit_s=120,
    ),
    StageSpec(
        stage=Stage.PUNCTUATE,
        queue=Queue.PUNCTUATE,
        needs=(Stage.MERGE,),
        time_limit_s=120,
        time_limit_per_audio_s=0.5,
    ),
    StageSpec(
        stage=Stage.SENTIMENT,
        queue=Queue.SENTIMENT,
        needs=(Stage.PUNCTUATE,),
        time_limit_s=120,
        time_limit_per_audio_s=0.5,
    ),
    StageSpec(
        stage=Stage.SUMMARIZE,
        queue=Queue.SLM,
        needs=(Stage.PUNCTUATE,),
        time_limit_s=300,
    ),
)

SPECS: Mapping[Stage, StageSpec] = {spec.stage: spec for spec in PIPELINE}
EVERY_STAGE: tuple[Stage, ...] = tuple(SPECS)


def plan(wanted: Iterable[Stage]) -> tuple[Stage, ...]:
    """The stages that `wanted` takes, what they need included, in the order of the pipeline."""
    taken: set[Stage] = set()
    open_stages = list(wanted)
    while open_stages:
        stage = open_stages.pop()
        if stage not in taken:
            taken.add(stage)
            open_stages.extend(SPECS[stage].needs)
    return tuple(stage for stage in SPECS if stage in taken)


def downstream(start: Stage, of: Collection[Stage]) -> tuple[Stage, ...]:
    """`start` and every stage of the plan `of` that rests on it, in the order of the pipeline."""
    found = {start}
    for stage in SPECS:
        if found.intersection(SPECS[stage].needs):
            found.add(stage)
    return tuple(stage for stage in SPECS if stage in found and stage in of)


def became_ready(statuses: Mapping[Stage, StageStatus]) -> tuple[Stage, ...]:
    """The waiting stages of a call whose needs are all done."""
    return tuple(
        stage
        for stage, status in statuses.items()
        if status is StageStatus.WAITING
        and all(statuses.get(need) is StageStatus.DONE for need in SPECS[stage].needs)
    )


def next_in_chain(stage: Stage, of: Collection[Stage]) -> Stage | None:
    """The stage that a Celery chain goes on to after `stage` in the plan `of`.

    Only where the way is single: `stage` has one dependent, and that dependent needs nothing else.
    At a fork or a join the database says what follows, never the message.
    """
    dependents = [other for other in of if stage in SPECS[other].needs]
    if len(dependents) == 1 and SPECS[dependents[0]].needs == (stage,):
        return dependents[0]
    return None


def chain_from(stage: Stage, of: Collection[Stage]) -> tuple[Stage, ...]:
    """`stage` and what one Celery chain carries on to after it."""
    chain = [stage]
    while (following := next_in_chain(chain[-1], of)) is not None:
        chain.append(following)
    return tuple(chain)
