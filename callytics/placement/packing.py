"""Workers on GPUs, so that memory suffices and compute is shared evenly."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias

from callytics.placement.layout import FULL

TRIED = 20_000
"""Ways to spread workers over GPUs that are all looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A worker that wants a GPU: its part of one's compute, and of its memory."""

    queues: str
    memory_mib: int
    load: float


Spread: TypeAlias = Sequence[int]
"""The GPU of each item."""


def pack(items: Sequence[Item], gpus: Sequence[int]) -> Spread | None:
    """On GPUs with so much memory each; None: not found.

    The best of all ways where they are few; else what is put where there is room, one after the other.
    """
    if not items:
        return ()
    few = len(gpus) ** len(items) <= TRIED
    return _evenest(items, gpus) if few else _where_there_is_room(items, gpus)


def _evenest(items: Sequence[Item], gpus: Sequence[int]) -> Spread | None:
    """Of all ways, the one whose busiest GPU is the least busy."""
    ways = product(range(len(gpus)), repeat=len(items))
    fitting = [way for way in ways if _fits(items, way, gpus)]
    return min(fitting, key=lambda way: max(_sums(items, way, gpus, "load")), default=None)


def _where_there_is_room(items: Sequence[Item], gpus: Sequence[int]) -> Spread | None:
    """One after the other, the largest first, each on the least busy GPU that has room."""
    placed: dict[int, int] = {}
    for i in sorted(range(len(items)), key=lambda i: items[i].memory_mib, reverse=True):
        here = [items[j] for j in placed], list(placed.values())
        free = [
            FULL * room - taken
            for room, taken in zip(gpus, _sums(*here, gpus, "memory_mib"), strict=True)
        ]
        roomy = [gpu for gpu, mib in enumerate(free) if mib >= items[i].memory_mib]
        if not roomy:
            return None
        placed[i] = min(roomy, key=_sums(*here, gpus, "load").__getitem__)
    return [placed[i] for i in range(len(items))]


def _fits(items: Sequence[Item], way: Spread, gpus: Sequence[int]) -> bool:
    taken = _sums(items, way, gpus, "memory_mib")
    return all(mib <= FULL * room for mib, room in zip(taken, gpus, strict=True))


def _sums(
    items: Sequence[Item], way: Spread, gpus: Sequence[int], what: Literal["load", "memory_mib"]
) -> list[float]:
    """What the items take of each GPU."""
    found = [0.0] * len(gpus)
    for item, gpu in zip(items, way, strict=True):
        found[gpu] += item.load if what == "load" else item.memory_mib
    return found
