"""What a rate of calls takes of workers and devices: plain arithmetic, before anything is simulated."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from callytics.placement.hardware import Hardware
from callytics.placement.layout import CPU, Layout, index_of
from callytics.placement.profile import Profile
from callytics.placement.simulation import Batching
from callytics.placement.workload import Workload

BUSY = 0.9
"""Share of its time that a worker or a device is planned to be busy at most: beyond it, waits grow faster
than what is known of calls and machines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    profile: Profile
    hardware: Hardware
    workload: Workload
    max_wait_s: float
    """For every queue, that 95 of 100 wait no longer."""
    batching: Batching


def useful_workers(task: Task, name: str) -> int:
    """So many workers use all that there is: more would only turn waits into longer runs."""
    worker = task.profile.workers[name]
    use = max(task.profile.works[work].use.value for work in task.profile.works_of(name))
    there = task.hardware.cores if worker.device == CPU else len(task.hardware.gpus)
    return math.ceil(there / (use * worker.at_once))


def worker_loads(task: Task) -> Mapping[str, float]:
    """How many workers would be busy all the time, were nothing else on their devices."""
    per_s = task.workload.calls_per_hour / 3600
    audio_s = task.workload.mean_audio_s
    works = task.profile.works
    return {
        name: per_s
        * sum(works[work].mean_s(audio_s) for work in task.profile.works_of(name))
        / worker.at_once
        for name, worker in task.profile.workers.items()
    }


def used(task: Task, name: str) -> float:
    """What all workers of these queues take of their devices: cores, or GPUs."""
    per_s = task.workload.calls_per_hour / 3600
    works = [task.profile.works[work] for work in task.profile.works_of(name)]
    audio_s = task.workload.mean_audio_s
    return per_s * sum(cost.mean_s(audio_s) * cost.use.value for cost in works)


def device_loads(layout: Layout, task: Task) -> dict[str, float]:
    """Share of each device that is taken, on average; what is lost where runs meet is not there to take."""
    found = dict.fromkeys(layout.capacities(task.profile), 0.0)
    for worker in layout.workers:
        found[worker.device] += used(task, worker.queues) / layout.count(worker.queues)
    kept = 1 - task.profile.loss.value
    return {
        name: used / (kept * layout.capacities(task.profile)[name]) for name, used in found.items()
    }


def binds(layout: Layout, task: Task) -> str:
    """What is nearest to its end, in words."""
    loads = {
        f"the workers of {name}": load / layout.count(name)
        for name, load in worker_loads(task).items()
    }
    for device, load in device_loads(layout, task).items():
        loads[device_called(device)] = load
    name = max(loads, key=loads.__getitem__)
    return f"{name}, busy {loads[name]:.0%} of the time"


def device_called(device: str) -> str:
    return "the cores" if device == CPU else f"the compute of GPU {index_of(device)}"
