"""The calls that come in: when, and how long they are."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

MEAN_CALL_S, CV = 188.0, 1.28
"""Mean and coefficient of variation of calls: 188 s and 240 s of standard deviation, log-normal, at the bank
of Brown, Gans, Mandelbaum, Sakov, Shen, Zeltyn and Zhao, "Statistical Analysis of a Telephone Call Center",
JASA 100 (2005), section 4."""

SHORTEST_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    at_s: float
    audio_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """Calls at a steady mean rate, `burst` of them at a time."""

    calls_per_hour: float
    durations: Sequence[float] = ()
    """Seconds of calls that were seen, to draw from; none: log-normal ones by `mean_s`."""
    mean_s: float = MEAN_CALL_S
    cv: float = CV
    burst: int = 1

    @property
    def mean_audio_s(self) -> float:
        return sum(self.durations) / len(self.durations) if self.durations else self.mean_s

    def draw(self, number: int, draw: Random) -> list[Call]:
        """So many calls, with exponential times between the bursts (a Poisson process)."""
        every_s = 3600 * self.burst / self.calls_per_hour
        found: list[Call] = []
        at_s = 0.0
        while len(found) < number:
            at_s += draw.expovariate(1 / every_s)
            together = range(min(self.burst, number - len(found)))
            found += [Call(at_s=at_s, audio_s=self._audio_s(draw)) for _ in together]
        return found

    def at_once(self, number: int, draw: Random) -> list[Call]:
        return [Call(at_s=0.0, audio_s=self._audio_s(draw)) for _ in range(number)]

    def _audio_s(self, draw: Random) -> float:
        if self.durations:
            return draw.choice(self.durations)
        variance = math.log1p(self.cv**2)
        drawn = draw.lognormvariate(math.log(self.mean_s) - variance / 2, math.sqrt(variance))
        return max(SHORTEST_S, drawn)


def seeds(seed: int, number: int) -> Iterator[Random]:
    """Independent streams; the same ones for the same seed."""
    for each in range(number):
        yield Random(f"{seed}/{each}")  # noqa: S311 (no secret)
