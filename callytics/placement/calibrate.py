"""How much of a device is lost where runs meet, from calls that came together."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from callytics.placement.hardware import Hardware
from callytics.placement.layout import Layout, Worker
from callytics.placement.profile import Figure, Kind, Profile
from callytics.placement.simulation import Batching, simulate
from callytics.placement.workload import Call, seeds

MOST = 0.8
REPLICATIONS = 20
STEPS = 12
"""Halvings of the interval: to 0.0002."""

NO_BATCHES = Batching(size=1, window_s=0)
"""A measured profile has no analysis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Burst:
    """Calls that came at nearly the same time, and how long they took on average until their results."""

    calls: Sequence[Call]
    mean_s: float


def loss_of(
    bursts: Sequence[Burst],
    profile: Profile,
    running: Sequence[Worker],
    *,
    cores: float,
    source: str,
) -> Figure:
    """The loss with which the simulation takes as long for the bursts as they took, by bisection."""
    layout = Layout(hardware=Hardware(gpus=(), cores=cores), workers=tuple(running))
    took_s = fmean(burst.mean_s for burst in bursts)
    low, high = 0.0, MOST
    for _ in range(STEPS):
        tried = (low + high) / 2
        if fmean(_mean_s(burst, profile, layout, tried) for burst in bursts) < took_s:
            low = tried
        else:
            high = tried
    return Figure(value=round(low, 3), kind=Kind.MEASURED, source=source)


def _mean_s(burst: Burst, profile: Profile, layout: Layout, loss: float) -> float:
    losing = profile.model_copy(update={"loss": profile.loss.model_copy(update={"value": loss})})
    found = (
        simulate(layout, losing, burst.calls, draw, NO_BATCHES) for draw in seeds(1, REPLICATIONS)
    )
    return fmean(
        ended_at - one.calls[number].at_s
        for one in found
        for number, ended_at in one.ended_at.items()
    )
