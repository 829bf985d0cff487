"""Leaves a provider alone for a while that keeps failing, and then tries it with one request."""

from collections.abc import Callable
from threading import Lock
from time import monotonic

from callytics.domain.providers import BreakerState


class Breaker:
    """Closed at first; `after` failures in a row open it. After `rest_s` seconds it lets one request
    through, and after each further `rest_s` another, until one of them succeeds.

    Any number of threads may use it, and none waits for another's request. (pybreaker 1.4.1 holds its
    lock for as long as a request takes, so a worker's threads would ask one after the other.)
    """

    def __init__(
        self, *, after: int, rest_s: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._after = after
        self._rest_s = rest_s
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._probe_at = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= self._after

    @property
    def state(self) -> BreakerState:
        return BreakerState.OPEN if self.is_open else BreakerState.CLOSED

    def admits(self) -> bool:
        """Whether to ask it now. A probe that is admitted puts the next one off, however it ends."""
        with self._lock:
            if self._failures < self._after:
                return True
            now = self._clock()
            if now < self._probe_at:
                return False
            self._probe_at = now + self._rest_s
            return True

    def succeeded(self) -> bool:
        """Note that it answered; whether that closes the breaker."""
        with self._lock:
            was_open = self._failures >= self._after
            self._failures = 0
            return was_open

    def failed(self) -> bool:
        """Note that it did not; whether that opens the breaker."""
        with self._lock:
            self._failures += 1
            if self._failures < self._after:
                return False
            self._probe_at = self._clock() + self._rest_s
            return self._failures == self._after
