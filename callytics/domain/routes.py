"""Which variant of a model works on what: lanes, routes, and the stable assignment of keys to variants."""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from callytics.domain.stages import Queue

FIRST = "v1"
"""The variant that a model's own settings describe; others are overrides of it."""

MODEL_OF: Mapping[Queue, str] = {
    Queue.DIARIZE: "diarize",
    Queue.STT: "transcribe",
    Queue.PUNCTUATE: "punctuate",
    Queue.SENTIMENT: "sentiment",
    Queue.SLM: "summarize",
    Queue.MLM: "analyse",
}
"""The queues whose work has a model, and what that is called in the settings."""

MAX_WEIGHT = 1_000_000
"""Weights are computed with as floats, and nobody shares work more finely."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def is_variant_name(text: str) -> bool:
    """Small letters, digits, `-` and `_`, 32 at most: it becomes a part of a queue's name."""
    return _NAME.fullmatch(text) is not None


def queue_named(task: str) -> Queue:
    """The queue of `task`, by its own name or its model's; raises ValueError."""
    for queue, model in MODEL_OF.items():
        if task in (queue, model):
            return queue
    known = ", ".join(MODEL_OF)
    raise ValueError(f"`{task}` has no model; there are {known}")


@dataclass(frozen=True, slots=True)
class Lane:
    """A queue as the workers of one variant serve it: `stt`, and `stt.v2` beside it."""

    queue: Queue
    variant: str = FIRST

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError with a sentence for a person."""
        name, dot, variant = text.strip().partition(".")
        if name not in list(Queue):
            raise ValueError(f"`{text}` is no queue; there are {', '.join(Queue)}")
        lane = cls(Queue(name), variant if dot else FIRST)
        if lane.variant != FIRST and lane.queue not in MODEL_OF:
            raise ValueError(f"`{name}` has no model, and so no variants")
        if not is_variant_name(lane.variant):
            raise ValueError(f"`{variant}` is no name of a variant, such as v2")
        return lane

    def __str__(self) -> str:
        return self.queue.value if self.variant == FIRST else f"{self.queue}.{self.variant}"


def alone() -> Mapping[str, int]:
    return {FIRST: 1}


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """How the work of a queue is shared among variants, and the one that repeats what they did unseen.

    Weights are relative, whole numbers up to MAX_WEIGHT; at least one is above zero.
    """

    weights: Mapping[str, int] = field(default_factory=alone)
    shadow: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError with a sentence for a person."""
        for name in [*self.weights, *([self.shadow] if self.shadow is not None else [])]:
            if not is_variant_name(name):
                raise ValueError(f"`{name}` is no name of a variant, such as v2")
        if any(not 0 <= weight <= MAX_WEIGHT for weight in self.weights.values()):
            raise ValueError(f"a weight is 0 to {MAX_WEIGHT:,}")
        if not self.variants:
            raise ValueError("at least one weight must be above 0")

    @property
    def variants(self) -> tuple[str, ...]:
        """Those that have weight."""
        return tuple(name for name, weight in self.weights.items() if weight > 0)

    @property
    def named(self) -> tuple[str, ...]:
        """Those that workers must serve: with weight, and the shadow."""
        return tuple(dict.fromkeys([*self.variants, *([self.shadow] if self.shadow else [])]))


ALONE = Route()


def assign(queue: Queue, key: UUID, weights: Mapping[str, int]) -> str:
    """The variant that works on `key` (a call, or a job), the same each time.

    Weighted rendezvous hashing (Thaler and Ravishankar 1998; Schindelhauer and Schomaker 2005): a
    variant's share is its weight's, and where the weight of one changes beside the others, keys move to
    or from that one alone.
    """
    return max(
        (name for name, weight in weights.items() if weight > 0),
        key=lambda name: (weights[name] / -math.log(_number(queue, key, name)), name),
    )


def key_of(text: str) -> UUID:
    """The key of a text, for work that has no id of its own: the same text goes the same way."""
    return UUID(bytes=hashlib.sha256(text.encode()).digest()[:16])


def _number(queue: Queue, key: UUID, variant: str) -> float:
    """In 0..1, both excluded: the first 52 bits of SHA-256, which a float holds exactly."""
    digest = hashlib.sha256(f"{queue}:{variant}:{key}".encode()).digest()
    return ((int.from_bytes(digest[:8], "big") >> 12) + 0.5) / 2**52
