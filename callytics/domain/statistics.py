"""What figures of two variants allow to say: intervals of shares, of medians and of agreement."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import TypeVar

T = TypeVar("T")

Z = 1.959964
"""The standard normal distribution's 97.5 % point: all intervals are at 95 %."""

RESAMPLES = 1000
SEED = 20261121
"""Fixed, so that the same rows give the same figures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure, its 95 % confidence interval, and how many observations it rests on."""

    value: float
    low: float
    high: float
    count: int

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def share(hits: int, count: int) -> Estimate:
    """`hits` of `count` (above 0), with Wilson's score interval (Wilson 1927)."""
    found = hits / count
    centre = (found + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = (Z / (1 + Z**2 / count)) * math.sqrt(found * (1 - found) / count + Z**2 / (4 * count**2))
    return Estimate(
        value=found, low=max(0.0, centre - half), high=min(1.0, centre + half), count=count
    )


def share_difference(first: Estimate, second: Estimate) -> Estimate:
    """How much larger the second share is, from both Wilson intervals (Newcombe 1998, method 10)."""
    value = second.value - first.value
    low = math.hypot(second.value - second.low, first.high - first.value)
    high = math.hypot(second.high - second.value, first.value - first.low)
    return Estimate(
        value=value, low=value - low, high=value + high, count=min(first.count, second.count)
    )


def bootstrap(observations: Sequence[T], figure: Callable[[Sequence[T]], float]) -> Estimate:
    """`figure` of the observations (one at least), by the percentile bootstrap (Efron 1979)."""
    draw = Random(SEED)  # noqa: S311 (no secret)
    count = len(observations)
    found = [figure(draw.choices(observations, k=count)) for _ in range(RESAMPLES)]
    return _between(figure(observations), found, count)


def ratio_of_medians(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Median of `second` by that of `first`, both drawn anew each time; first's must be above 0."""
    draw = Random(SEED)  # noqa: S311 (no secret)

    def once() -> float:
        return median(draw.choices(second, k=len(second))) / median(
            draw.choices(first, k=len(first))
        )

    found = [once() for _ in range(RESAMPLES)]
    return _between(median(second) / median(first), found, min(len(first), len(second)))


def _between(value: float, found: list[float], count: int) -> Estimate:
    found.sort()
    tail = round(0.025 * (len(found) - 1))
    return Estimate(value=value, low=found[tail], high=found[-1 - tail], count=count)


def ratio_of_sums(pairs: Sequence[tuple[float, float]]) -> float:
    """First parts by second parts, all together: what calls of different length have in common."""
    return sum(part for part, _ in pairs) / (sum(whole for _, whole in pairs) or 1.0)


def kappa(calls: Sequence[Sequence[tuple[str, str]]]) -> float:
    """Cohen's kappa (Cohen 1960) of two judges' labels, all calls together; 1 where both know one label."""
    pairs = [pair for call in calls for pair in call]
    if not pairs:
        return 1.0
    agreed = sum(a == b for a, b in pairs) / len(pairs)
    labels = {label for pair in pairs for label in pair}
    chance = (
        sum(
            sum(a == label for a, _ in pairs) * sum(b == label for _, b in pairs)
            for label in labels
        )
        / len(pairs) ** 2
    )
    return 1.0 if chance == 1 else (agreed - chance) / (1 - chance)
