"""Why hardware does not hold a rate, in sentences for who has to buy some."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from callytics.placement.demand import BUSY, Task, device_called
from callytics.placement.forecast import QueueForecast
from callytics.placement.hardware import MIB_PER_GB, gb
from callytics.placement.layout import CPU, FULL, gpu_share_mib


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """Why a placement is not found on some hardware."""

    what: str
    gpus: bool = False
    """Whether more of them may mend it."""


def no_room(task: Task, counts: Mapping[str, int]) -> str:
    workers = task.profile.workers
    wanted = {n: gpu_share_mib(workers[n]) for n in counts if workers[n].device == "gpu"}
    largest, room = max(wanted, key=wanted.__getitem__), max(task.hardware.gpus)
    if wanted[largest] > FULL * room:
        return f"{largest} takes {_gb_up(wanted[largest])} of a GPU; the largest has {gb(room)}."
    needed = sum(mib * counts[name] for name, mib in wanted.items())
    said = ", ".join(f"{counts[name]} x {name} of {_gb_up(mib)}" for name, mib in wanted.items())
    return (
        f"GPU memory is missing: {said} are {_gb_up(needed)}, and they do not fit into "
        f"{FULL:.0%} of {' + '.join(gb(mib) for mib in task.hardware.gpus)}."
    )


def _gb_up(mib: float) -> str:
    return f"{math.ceil(10 * mib / MIB_PER_GB) / 10:g} GB"


def overloaded(task: Task, device: str, load: float) -> str:
    rate = f"{task.workload.calls_per_hour:g} calls an hour"
    limit = f"and {BUSY:.0%} are planned for at most."
    if device == CPU:
        cores = math.ceil(load * task.hardware.cores / BUSY)
        return (
            f"Cores are missing: {rate} take {load:.0%} of {task.hardware.cores:g}, {limit} "
            f"About {cores} would do."
        )
    return f"Compute is missing: {rate} take {load:.0%} of {device_called(device)}, {limit}"


def waited_for(task: Task, worst: QueueForecast) -> str:
    return (
        f"At {worst.queue} 95 of 100 calls wait up to {worst.p95_wait_s.value:.0f} s, and "
        f"{task.max_wait_s:g} s are allowed."
    )
