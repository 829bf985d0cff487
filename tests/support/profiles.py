"""Profiles whose every figure is chosen, so that what a simulation should say is known."""

from collections.abc import Mapping, Sequence
from random import Random

from callytics.domain.stages import Stage
from callytics.placement.hardware import Hardware
from callytics.placement.layout import Layout, Worker
from callytics.placement.profile import Figure, Kind, Profile, Spread, WorkerProfile, WorkProfile
from callytics.placement.simulation import Batching

BATCHING = Batching(size=20, window_s=900)
WORKERS = ("audio", "diarize", "stt", "punctuate,sentiment", "slm")


def figure(value: float) -> Figure:
    return Figure(value=value, kind=Kind.ASSUMED, source="chosen for a test")


def cost(
    fixed_s: float, *, per_audio_s: float = 0.0, use: float = 1.0, ratios: Sequence[float] = (1.0,)
) -> WorkProfile:
    return WorkProfile(
        fixed_s=figure(fixed_s),
        per_audio_s=figure(per_audio_s),
        use=figure(use),
        spread=Spread(ratios=tuple(ratios), kind=Kind.ASSUMED, source="chosen for a test"),
    )


def worker(*, at_once: int = 1, gpu_memory_mib: float | None = None) -> WorkerProfile:
    return WorkerProfile(
        device="cpu" if gpu_memory_mib is None else "gpu",
        at_once=at_once,
        memory_mib=figure(100),
        gpu_memory_mib=None if gpu_memory_mib is None else figure(gpu_memory_mib),
    )


def profile(
    works: Mapping[Stage, WorkProfile], workers: Mapping[str, WorkerProfile] | None = None
) -> Profile:
    """Stages that are not named take no time."""
    return Profile(
        name="test",
        about="Chosen for a test.",
        hop_s=figure(0),
        idle_cores=figure(0),
        works={stage: works.get(stage, cost(0)) for stage in Stage},
        workers={name: worker() for name in WORKERS} | dict(workers or {}),
    )


def layout(*, cores: float = 64, **counts: int) -> Layout:
    """One worker of each on the CPU, but where `counts` says otherwise."""
    return Layout(
        hardware=Hardware(gpus=(), cores=cores),
        workers=tuple(
            Worker(queues=name)
            for name in WORKERS
            for _ in range(counts.get(name.split(",")[0], 1))
        ),
    )


def exponential(number: int, seed: int = 7) -> list[float]:
    """Draws with mean 1 exactly, so that a formula's load is that of the sample."""
    draw = Random(seed)
    found = [draw.expovariate(1) for _ in range(number)]
    mean = sum(found) / number
    return [value / mean for value in found]
