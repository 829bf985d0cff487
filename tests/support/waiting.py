"""Waiting for a condition, never for a time."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any


def wait_until(what: Callable[[], Any], timeout_s: float = 60, *, every_s: float = 0.05) -> Any:
    """The first true answer of `what`; fails with its last answer."""
    end = monotonic() + timeout_s
    while not (answer := what()):
        assert monotonic() < end, f"still {answer!r} after {timeout_s} s"
        sleep(every_s)
    return answer
