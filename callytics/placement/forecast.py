"""What a placement is expected to do: replications of the simulation, summed up with their uncertainty."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from callytics.domain import statistics
from callytics.domain.stages import PIPELINE, Queue, Stage
from callytics.domain.statistics import Estimate
from callytics.placement.layout import Layout
from callytics.placement.profile import Profile, Work, queue_of
from callytics.placement.simulation import Batching, Run, Simulated, simulate
from callytics.placement.workload import Workload, seeds

WARM_UP = 0.2
"""Of the calls: they meet a system that is still empty, and are left out."""
CALLS = 1500
BURST_CALLS = 1000
NEARLY_ALL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How long is simulated: so many calls, so many times, each from its own seed."""

    calls: int = CALLS
    replications: int = 8
    seed: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueForecast:
    queue: Queue
    mean_wait_s: Estimate
    p95_wait_s: Estimate
    mean_run_s: Estimate
    """With what shares its device."""
    per_hour: Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    queues: Sequence[QueueForecast]
    workers: Mapping[str, Estimate]
    """Share of the time that the workers of these queues are busy."""
    devices: Mapping[str, Estimate]
    """Share of each device that is used."""
    mean_wait_s: Estimate
    """All waits of a call together."""
    mean_s: Estimate
    """From its arrival to its last stage."""
    p95_s: Estimate

    @property
    def worst(self) -> QueueForecast:
        """The queue that calls wait for longest; analyses have time, so a whole batch comes at once."""
        waited_for = [each for each in self.queues if each.queue in OF_CALLS]
        return max(waited_for, key=lambda each: each.p95_wait_s.value)


def forecast(
    layout: Layout, profile: Profile, workload: Workload, effort: Effort, batching: Batching
) -> Forecast:
    views = [
        _View(simulate(layout, profile, workload.draw(effort.calls, draw), draw, batching))
        for draw in seeds(effort.seed, effort.replications)
    ]

    def over(figure: Callable[[_View], float]) -> Estimate:
        return statistics.bootstrap([figure(view) for view in views], fmean)

    return Forecast(
        queues=[_of_queue(queue, profile, over) for queue in _in_use(profile)],
        workers={
            name: over(partial(_busy, works=profile.works_of(name), slots=slots))
            for name, slots in _slots(layout, profile).items()
        },
        devices={
            name: over(partial(_used, device=name, capacity=capacity, profile=profile))
            for name, capacity in layout.capacities(profile).items()
        },
        mean_wait_s=over(_View.wait_of_a_call),
        mean_s=over(lambda view: fmean(view.spans())),
        p95_s=over(lambda view: p95(view.spans())),
    )


def _busy(view: "_View", works: Sequence[Work], slots: int) -> float:
    return view.busy(works) / slots


def _used(view: "_View", device: str, capacity: float, profile: Profile) -> float:
    return view.used(device, profile) / capacity


def _of_queue(
    queue: Queue, profile: Profile, over: Callable[[Callable[["_View"], float]], Estimate]
) -> QueueForecast:
    works = [work for work in profile.works if queue_of(work) is queue]
    return QueueForecast(
        queue=queue,
        mean_wait_s=over(lambda view: fmean(run.wait_s for run in view.of(works))),
        p95_wait_s=over(lambda view: p95([run.wait_s for run in view.of(works)])),
        mean_run_s=over(lambda view: fmean(r.ended_at - r.started_at for r in view.of(works))),
        per_hour=over(lambda view: view.per_hour(works)),
    )


def _in_use(profile: Profile) -> list[Queue]:
    return list(dict.fromkeys(queue_of(work) for work in profile.works))


def _slots(layout: Layout, profile: Profile) -> Mapping[str, int]:
    return {name: layout.count(name) * one.at_once for name, one in profile.workers.items()}


def highest_per_hour(
    layout: Layout, profile: Profile, workload: Workload, seed: int, batching: Batching
) -> float:
    """Calls an hour that come out while there are always more to take in: what can be sustained.

    By the time until nearly all of many calls that came at once have ended, their analyses too; the last few
    leave workers idle.
    """
    [draw] = seeds(seed, 1)
    calls = workload.at_once(BURST_CALLS, draw)
    runs = simulate(layout, profile, calls, draw, batching).runs
    ends = sorted({run.call: run.ended_at for run in runs}.values())  # of each call the last one
    nearly = int(NEARLY_ALL * len(ends))
    return 3600 * nearly / ends[nearly - 1]


OF_CALLS = frozenset(spec.queue for spec in PIPELINE)


def p95(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


class _View:
    """One replication without its beginning."""

    def __init__(self, simulated: Simulated) -> None:
        self._all = simulated
        self._first = int(WARM_UP * len(simulated.calls))
        self._since = simulated.calls[self._first].at_s
        self._until = simulated.calls[-1].at_s
        self._runs = [run for run in simulated.runs if run.call >= self._first]

    def of(self, works: Sequence[Work]) -> list[Run]:
        return [run for run in self._runs if run.work in works]

    def spans(self) -> list[float]:
        """Of each call, from its arrival to its end."""
        return [
            ended_at - self._all.calls[number].at_s
            for number, ended_at in self._all.ended_at.items()
            if number >= self._first
        ]

    def wait_of_a_call(self) -> float:
        waits = sum(run.wait_s for run in self._runs if isinstance(run.work, Stage))
        return waits / (len(self._all.calls) - self._first)

    def busy(self, works: Sequence[Work]) -> float:
        """How many runs of these works there are at a time, on average."""
        return sum(self._overlap(run) for run in self._all.runs if run.work in works) / self._window

    def used(self, device: str, profile: Profile) -> float:
        """Of a device: cores, or the share of a GPU, on average."""
        return (
            sum(
                self._overlap(run)
                * profile.works[run.work].use.value
                * run.seconds
                / (run.ended_at - run.started_at)
                for run in self._all.runs
                if run.worker and run.worker.device == device and run.ended_at > run.started_at
            )
            / self._window
        )

    def per_hour(self, works: Sequence[Work]) -> float:
        ended = sum(
            run.work in works and self._since <= run.ended_at < self._until
            for run in self._all.runs
        )
        return 3600 * ended / self._window

    @property
    def _window(self) -> float:
        return self._until - self._since

    def _overlap(self, run: Run) -> float:
        return max(0.0, min(run.ended_at, self._until) - max(run.started_at, self._since))
