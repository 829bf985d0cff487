"""The GPUs and cores that work is placed on, and how they are written: `2x24GB`, `1x24GB,1x80GB`, `0`."""

import re
from dataclasses import dataclass
from itertools import chain

MIB_PER_GB = 1000**3 / 2**20
MOST_GPUS = 64

_GPUS = re.compile(r"(?:([0-9]{1,3})x)?([0-9]{1,4}(?:\.[0-9])?)GB", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    gpus: tuple[int, ...]
    """Memory of each in MiB; its place is its index."""
    cores: float

    @property
    def names(self) -> str:
        return ", ".join(
            [*(f"GPU {i} with {gb(m)}" for i, m in enumerate(self.gpus)), f"{self.cores:g} cores"]
        )


def gb(memory_mib: float) -> str:
    return f"{round(memory_mib / MIB_PER_GB, 1):g} GB"


def parse_gpus(text: str) -> tuple[int, ...]:
    """Memory of each GPU in MiB; raises ValueError with a sentence for what is written otherwise."""
    if text.strip() == "0":
        return ()
    found = tuple(chain.from_iterable(_kind(part.strip()) for part in text.split(",")))
    if len(found) > MOST_GPUS:
        raise ValueError(f"{len(found)} GPUs are more than the {MOST_GPUS} that are planned for")
    return found


def _kind(text: str) -> tuple[int, ...]:
    match = _GPUS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is written as 2x24GB, 1x24GB,1x80GB, or 0 for none")
    count, memory = int(match[1] or 1), float(match[2])
    if not count or not memory:
        raise ValueError(f"{text!r} names no GPU; 0 alone means none")
    return (int(memory * MIB_PER_GB),) * count
