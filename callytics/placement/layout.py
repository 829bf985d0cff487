"""A placement: which workers there are, on which device, and what memory that takes."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from callytics.placement.hardware import Hardware
from callytics.placement.profile import Profile, WorkerProfile

CPU = "cpu"
MARGIN = 1.1
"""Memory that a worker is given, by what it was seen to take; an engine takes what it is given, no more."""
FULL = 0.95
"""Of a GPU's memory: the rest is the driver's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One process (or engine) that serves `queues`, written as in the profile, on a device."""

    queues: str
    device: str = CPU
    nice: int = 0

    @property
    def weight(self) -> float:
        """Its part of cores that are wanted by several, as the kernel weighs nice levels (sched(7))."""
        return float(1.25**-self.nice)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    hardware: Hardware
    workers: tuple[Worker, ...]

    def count(self, queues: str) -> int:
        return sum(worker.queues == queues for worker in self.workers)

    def capacities(self, profile: Profile) -> Mapping[str, float]:
        """What each device has to give: cores, or 1 for a GPU."""
        cores = max(0.1, self.hardware.cores - profile.idle_cores.value)
        return {CPU: cores, **{gpu_name(i): 1.0 for i, _ in enumerate(self.hardware.gpus)}}

    def groups(self) -> Iterator[tuple[Worker, int]]:
        """Workers that are alike, and how many there are of them."""
        yield from Counter(self.workers).items()


def gpu_name(index: int) -> str:
    return f"gpu{index}"


def index_of(device: str) -> int:
    return int(device.removeprefix("gpu"))


def gpu_share_mib(worker: WorkerProfile) -> int:
    """What one such worker is given of a GPU's memory."""
    taken = worker.gpu_memory_mib.value if worker.gpu_memory_mib else 0.0
    return math.ceil(taken if worker.engine else taken * MARGIN)


def fraction(worker: WorkerProfile, gpu_mib: int) -> float:
    """The same as the share to configure: rounded up, so that two digits say enough."""
    return math.ceil(100 * gpu_share_mib(worker) / gpu_mib) / 100


def host_memory_mib(layout: Layout, profile: Profile) -> float:
    return sum(profile.workers[worker.queues].memory_mib.value for worker in layout.workers)
