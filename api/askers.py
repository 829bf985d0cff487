"""The few threads in which requests ask the database and Redis a little."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from anyio import CapacityLimiter, fail_after, to_thread

from callytics.errors import UnavailableError

T = TypeVar("T")


class Askers:
    """`count` threads for questions that take milliseconds and compute next to nothing. More threads take
    each other the interpreter away: with 40 instead of 4 a fifth fewer texts were judged
    (docs/measurements.md).
    """

    def __init__(self, count: int, *, wait_s: float) -> None:
        """Who finds no thread free for `wait_s` seconds is told so: where the database is away the others
        would wait for one another without an end.
        """
        self._places = CapacityLimiter(count)
        self._wait_s = wait_s

    async def __call__(self, question: Callable[..., T], *args: Any, **named: Any) -> T:
        """What `question` returns; raises UnavailableError where no thread is free in time."""
        asker = object()
        try:
            with fail_after(self._wait_s):
                await self._places.acquire_on_behalf_of(asker)
        except TimeoutError as error:
            raise UnavailableError("The servers behind do not answer.", retry_after_s=2) from error
        try:
            # The place is taken: a limiter of its own has room for it.
            return await to_thread.run_sync(
                partial(question, *args, **named), limiter=CapacityLimiter(1)
            )
        finally:
            self._places.release_on_behalf_of(asker)
