"""Calls that many requests make at the same moment, made as one."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from api.askers import Askers

T = TypeVar("T")


class Together:
    """Has a function called by an asker, one call at a time, with all that was asked of it meanwhile.

    Who asks alone waits for nobody; who asks during a call is part of the next one.
    """

    def __init__(self, ask: Askers) -> None:
        self._ask = ask
        self._asked: dict[Callable[..., None], list[tuple[Any, asyncio.Future[None]]]] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def __call__(self, function: Callable[[Sequence[T]], None], item: T) -> None:
        """Return once `function` was called with `item` and others; raise what it raised."""
        done = asyncio.get_running_loop().create_future()
        if function in self._asked:
            self._asked[function].append((item, done))
        else:
            self._asked[function] = [(item, done)]
            call = asyncio.create_task(self._call(function))
            self._calls.add(call)  # the loop itself forgets a task that nobody holds
            call.add_done_callback(self._calls.discard)
        await done

    async def _call(self, function: Callable[[Sequence[Any]], None]) -> None:
        while asked := self._asked[function]:
            self._asked[function] = []
            items = [item for item, _ in asked]
            try:
                await self._ask(function, items)
            except Exception as error:  # each who asked raises it
                _tell(asked, error)
            else:
                _tell(asked, None)
        del self._asked[function]


def _tell(asked: Sequence[tuple[Any, asyncio.Future[None]]], error: Exception | None) -> None:
    """Those that still wait: a request may have been given up."""
    for _, done in asked:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
