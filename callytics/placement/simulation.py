"""Calls on their way through the pipeline, as a discrete-event simulation."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

import simpy

from callytics.domain.stages import PIPELINE, Stage
from callytics.placement.layout import Layout, Worker
from callytics.placement.profile import ANALYSIS, Profile, Work, queue_of
from callytics.placement.sharing import SharedDevice
from callytics.placement.workload import Call

Process: TypeAlias = Generator[simpy.Event, Any, None]


@dataclass(kw_only=True, slots=True, eq=False)
class Run:
    """One stage of one call, or the analysis of it."""

    work: Work
    call: int
    seconds: float
    """That it takes alone."""
    queued_at: float
    started_at: float = 0.0
    ended_at: float = 0.0
    worker: Worker | None = None
    done: simpy.Event

    @property
    def wait_s(self) -> float:
        return self.started_at - self.queued_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Batching:
    """When consultations that wait for the analysis go to the model."""

    size: int
    window_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulated:
    calls: Sequence[Call]
    runs: Sequence[Run]
    """Everything that ended, analyses too, in the order of their ends."""
    ended_at: Mapping[int, float]
    """When each call's last stage ended."""


def simulate(
    layout: Layout, profile: Profile, calls: Sequence[Call], draw: Random, batching: Batching
) -> Simulated:
    """Until every call, and every analysis, has ended."""
    simulation = _Simulation(layout, profile, draw, batching)
    return simulation.run(calls)


class _Simulation:
    def __init__(self, layout: Layout, profile: Profile, draw: Random, batching: Batching) -> None:
        self._env = simpy.Environment()
        self._profile = profile
        self._draw = draw
        self._batching = batching
        self._devices = {
            name: SharedDevice(self._env, capacity, profile.loss.value)
            for name, capacity in layout.capacities(profile).items()
        }
        self._queues = {name: simpy.Store(self._env) for name in profile.workers}
        self._queue_of = {
            work: self._queues[profile.queues[queue_of(work)]] for work in profile.works
        }
        self._runs: list[Run] = []
        self._ended_at: dict[int, float] = {}
        self._open_batch: list[int] = []
        self._full = self._env.event()
        for worker in layout.workers:
            for _ in range(profile.workers[worker.queues].at_once):
                self._env.process(self._serve(worker))

    def run(self, calls: Sequence[Call]) -> Simulated:
        for number, call in enumerate(calls):
            self._env.process(self._follow(number, call))
        self._env.run()
        return Simulated(calls=calls, runs=self._runs, ended_at=self._ended_at)

    def _serve(self, worker: Worker) -> Process:
        """One run after the other, the oldest in the queue first."""
        queue, device = self._queues[worker.queues], self._devices[worker.device]
        while True:
            run: Run = yield queue.get()
            run.started_at, run.worker = self._env.now, worker
            use = self._profile.works[run.work].use.value
            yield device.work(run.seconds, use=use, weight=worker.weight)
            run.ended_at = self._env.now
            self._runs.append(run)
            run.done.succeed()

    def _follow(self, number: int, call: Call) -> Process:
        """A call's way: a stage is queued when all that it needs are done."""
        yield self._env.timeout(call.at_s)
        done: dict[Stage, simpy.Event] = {}
        for spec in PIPELINE:
            needs = [done[need] for need in spec.needs]
            done[spec.stage] = self._env.process(self._stage(number, call, spec.stage, needs))
        for end in done.values():
            if not end.processed:
                yield end
        self._ended_at[number] = self._env.now
        if ANALYSIS in self._profile.works:
            self._join_batch(number, call)

    def _stage(self, number: int, call: Call, work: Work, needs: Iterable[simpy.Event]) -> Process:
        for need in needs:
            if not need.processed:
                yield need
        cost = self._profile.works[work]
        ratio = self._draw.choice(cost.spread.ratios)
        run = Run(
            work=work,
            call=number,
            seconds=cost.seconds(call.audio_s) * ratio,
            queued_at=self._env.now,
            done=self._env.event(),
        )
        yield self._env.timeout(self._profile.hop_s.value)
        self._queue_of[work].put(run)  # has room for any number
        yield run.done

    def _join_batch(self, number: int, call: Call) -> None:
        if not self._open_batch:
            self._full = self._env.event()
            self._env.process(self._close(self._full))
        self._open_batch.append(number)
        self._env.process(self._stage(number, call, ANALYSIS, [self._full]))
        if len(self._open_batch) == self._batching.size:
            self._full.succeed()
            self._open_batch = []

    def _close(self, full: simpy.Event) -> Process:
        """At the end of the window, unless the batch was full before."""
        yield self._env.timeout(self._batching.window_s)
        if not full.triggered:
            full.succeed()
            self._open_batch = []
