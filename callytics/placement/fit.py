"""From measured runs to a profile: pure arithmetic."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, linear_regression, median

from callytics.domain.stages import SPECS, Stage
from callytics.placement.profile import Figure, Kind, Spread, WorkProfile

LEAST_USE = 0.05
LEAST_S = 1e-4


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One run of a stage while nothing else ran."""

    stage: Stage
    audio_s: float
    wait_s: float
    seconds: float
    cores: float | None
    """That the whole machine was busy with, what it always does left out; None: not known."""


FILLS_A_GPU = Figure(
    value=1.0, kind=Kind.ASSUMED, source="a run is taken to fill its GPU, so that two take turns"
)


def cost_of(samples: Sequence[Sample], source: str, *, on_gpu: bool = False) -> WorkProfile:
    """The straight line through the seconds by the length of the audio, and how runs lie about it."""
    fixed_s, per_audio_s = line([(one.audio_s, one.seconds) for one in samples])
    ratios = tuple(
        one.seconds / max(LEAST_S, fixed_s + per_audio_s * one.audio_s) for one in samples
    )

    def measured(value: float) -> Figure:
        return Figure(value=round(value, 6), kind=Kind.MEASURED, source=source)

    return WorkProfile(
        fixed_s=measured(fixed_s),
        per_audio_s=measured(per_audio_s),
        use=FILLS_A_GPU if on_gpu else _use(samples, source),
        spread=Spread(
            ratios=tuple(round(ratio, 4) for ratio in ratios), kind=Kind.MEASURED, source=source
        ),
    )


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Least squares, with neither part below zero: a longer call never takes less."""
    if len({x for x, _ in points}) > 1:
        slope, intercept = linear_regression(*zip(*points, strict=True))
        if slope >= 0 and intercept >= 0:
            return intercept, slope
        if slope > 0:
            return 0.0, sum(y for _, y in points) / sum(x for x, _ in points)
    return fmean(y for _, y in points), 0.0


def _use(samples: Sequence[Sample], source: str) -> Figure:
    """Cores while the stage runs: all runs together, since one may be shorter than the clock's step."""
    known = [one for one in samples if one.cores is not None]
    if not known:
        return Figure(value=1.0, kind=Kind.ASSUMED, source="the stack runs on another machine")
    seconds = sum(one.seconds for one in known)
    cores = sum((one.cores or 0.0) * one.seconds for one in known) / seconds
    return Figure(value=round(max(LEAST_USE, cores), 3), kind=Kind.MEASURED, source=source)


def hop_of(samples: Iterable[Sample], source: str) -> Figure:
    waits = [one.wait_s for one in samples if SPECS[one.stage].needs]
    return Figure(value=round(median(waits), 4), kind=Kind.MEASURED, source=source)
