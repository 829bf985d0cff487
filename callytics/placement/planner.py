"""The search for a placement: as few GPUs and workers as hold the rate within the wait that is allowed."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from callytics.errors import NoPlacementError
from callytics.placement.demand import (
    BUSY,
    Task,
    binds,
    device_loads,
    used,
    useful_workers,
    worker_loads,
)
from callytics.placement.forecast import Effort, Forecast, forecast, highest_per_hour
from callytics.placement.hardware import Hardware, gb
from callytics.placement.layout import CPU, Layout, Worker, gpu_name, gpu_share_mib
from callytics.placement.missing import Missing, no_room, overloaded, waited_for
from callytics.placement.packing import Item, pack

QUICK = Effort(calls=600, replications=2)
"""For hardware that is not there: how much more would do."""
MORE_GPUS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    layout: Layout
    forecast: Forecast
    highest_per_hour: float
    binds: str
    """What a higher rate overloads first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    layout: Layout
    forecast: Forecast


def plan(task: Task, effort: Effort) -> Plan:
    """Raises NoPlacementError that says what is missing."""
    found = search(task, effort)
    if isinstance(found, Missing):
        raise NoPlacementError(f"{found.what} {_what_would_do(task)}" if found.gpus else found.what)
    return Plan(
        layout=found.layout,
        forecast=found.forecast,
        highest_per_hour=highest_per_hour(
            found.layout, task.profile, task.workload, effort.seed, task.batching
        ),
        binds=binds(found.layout, task),
    )


def search(task: Task, effort: Effort) -> Found | Missing:
    """On as few of the GPUs as will do, in their order."""
    names = [name for name, one in task.profile.workers.items() if one.device == "gpu"]
    gpus = task.hardware.gpus
    if names and not gpus:
        return Missing(
            what=f"The profile {task.profile.name} knows {', '.join(names)} on GPUs alone: name "
            "some with --gpus, or a profile that was measured without."
        )
    found: Found | Missing = Missing(what="")
    for number in range(1, len(gpus) + 1) if names else (0,):
        some = replace(task, hardware=replace(task.hardware, gpus=gpus[:number]))
        found = _grow(some, effort)
        if isinstance(found, Found):
            layout = replace(found.layout, hardware=task.hardware)
            return replace(found, layout=layout)
    return found


def _grow(task: Task, effort: Effort) -> Found | Missing:
    """Add a worker where it is waited for longest, until nobody waits too long."""
    counts = {name: max(1, math.ceil(load / BUSY)) for name, load in worker_loads(task).items()}
    why = ""
    while True:
        layout = _pack(task, counts)
        if layout is None:
            return Missing(what=f"{why} {no_room(task, counts)}".strip(), gpus=True)
        for device, load in device_loads(layout, task).items():
            if load > BUSY:
                return Missing(what=overloaded(task, device, load), gpus=device != CPU)
        expected = forecast(layout, task.profile, task.workload, effort, task.batching)
        if expected.worst.p95_wait_s.value <= task.max_wait_s:
            return Found(layout=layout, forecast=expected)
        why = waited_for(task, expected.worst)
        name = task.profile.queues[expected.worst.queue]
        if counts[name] >= useful_workers(task, name):
            on_gpu = task.profile.workers[name].device == "gpu"
            return Missing(
                what=f"{why} More workers would only share the same devices.", gpus=on_gpu
            )
        counts[name] += 1


def _pack(task: Task, counts: Mapping[str, int]) -> Layout | None:
    """The workers on the GPUs, so that memory suffices and compute is shared as evenly as can be."""
    workers, gpus = task.profile.workers, task.hardware.gpus
    on_cpu = [
        Worker(queues=name)
        for name, count in counts.items()
        if workers[name].device == CPU
        for _ in range(count)
    ]
    items = [
        Item(
            queues=name,
            memory_mib=gpu_share_mib(workers[name]),
            load=used(task, name) / count,
        )
        for name, count in counts.items()
        if workers[name].device == "gpu"
        for _ in range(count)
    ]
    placed = pack(items, gpus)
    if placed is None:
        return None
    on_gpus = [
        Worker(queues=item.queues, device=gpu_name(gpu))
        for gpu, item in sorted(zip(placed, items, strict=True), key=lambda pair: pair[0])
    ]
    return Layout(hardware=task.hardware, workers=(*on_cpu, *on_gpus))


def _what_would_do(task: Task) -> str:
    """How many more GPUs of the largest kind hold the rate, if any number does."""
    for hardware in _more(task.hardware):
        if isinstance(_grow(replace(task, hardware=hardware), QUICK), Found):
            more = len(hardware.gpus) - len(task.hardware.gpus)
            return f"With {more} more of {gb(max(task.hardware.gpus))} it holds."
    return f"Up to {MORE_GPUS} more of {gb(max(task.hardware.gpus))} do not change that."


def _more(hardware: Hardware) -> Iterator[Hardware]:
    for more in range(1, MORE_GPUS + 1):
        yield replace(hardware, gpus=(*hardware.gpus, *[max(hardware.gpus)] * more))
