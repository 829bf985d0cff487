"""A device that several runs share: each gets its part, and none more than it can use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import simpy


@dataclass(kw_only=True, slots=True, eq=False)
class _Run:
    left: float
    """Work that is still to be done: core-seconds, or seconds of a whole GPU."""
    most: float
    weight: float
    done: simpy.Event
    rate: float = 0.0


class SharedDevice:
    """Processor sharing (Kleinrock 1967), weighted, with a limit a run.

    What a run cannot use goes to the others, so nothing is idle that somebody could use. Rates change only
    when a run begins or ends; in between the device sleeps until the first end. While there are several
    runs, the share `loss` of the device does no work.
    """

    def __init__(self, env: simpy.Environment, capacity: float, loss: float = 0.0) -> None:
        self._env = env
        self._capacity = capacity
        self._loss = loss
        self._runs: list[_Run] = []
        self._seen_at = env.now
        self._alarm: simpy.Event | None = None

    def work(self, seconds: float, *, use: float, weight: float = 1.0) -> simpy.Event:
        """What takes `seconds` alone, at `use` of the device; the event of its end."""
        most = min(use, self._capacity)
        run = _Run(left=seconds * use, most=most, weight=weight, done=self._env.event())
        self._catch_up()
        self._runs.append(run)
        self._go_on()
        return run.done

    def _catch_up(self) -> None:
        passed = self._env.now - self._seen_at
        self._seen_at = self._env.now
        for run in self._runs:
            run.left -= run.rate * passed

    def _go_on(self) -> None:
        """Share the device anew, and wake up at the next end."""
        capacity = self._capacity * (1 - self._loss if len(self._runs) > 1 else 1)
        limits = [(run.most, run.weight) for run in self._runs]
        for run, rate in zip(self._runs, shares(capacity, limits), strict=True):
            run.rate = rate
        self._alarm = None
        if self._runs:
            next_s = min(max(0.0, run.left) / run.rate for run in self._runs)
            self._alarm = self._env.timeout(next_s)
            self._alarm.callbacks.append(self._wake)

    def _wake(self, alarm: simpy.Event) -> None:
        if alarm is not self._alarm:
            return  # the rates have changed since it was set
        self._catch_up()
        # The first of all ends now, whatever rounding left of it.
        end = min(run.left / run.rate for run in self._runs)
        ended = [run for run in self._runs if run.left / run.rate <= max(end, _ROUNDING_S)]
        self._runs = [run for run in self._runs if run not in ended]
        self._go_on()
        for run in ended:
            run.done.succeed()


_ROUNDING_S = 1e-9

Limit: TypeAlias = tuple[float, float]
"""The most that a run can use, and its weight."""


def _need(numbered: tuple[int, Limit]) -> float:
    most, weight = numbered[1]
    return most / weight


def shares(capacity: float, runs: Sequence[Limit]) -> list[float]:
    """Weighted max-min fair parts of `capacity`: who can use less leaves the rest to the others."""
    if sum(most for most, _ in runs) <= capacity:
        return [most for most, _ in runs]
    found = [0.0] * len(runs)
    weights = sum(weight for _, weight in runs)
    for i, (most, weight) in sorted(enumerate(runs), key=_need):
        found[i] = min(most, capacity * weight / weights)
        capacity -= found[i]
        weights -= weight
    return found
