"""Many requests' calls made as one, on a real event loop and in real threads."""

import asyncio
from collections.abc import Sequence
from threading import Event

import pytest

from api.askers import Askers
from api.together import Together


class Calls:
    """Notes what it is called with; the first call lasts until `go` is set."""

    def __init__(self) -> None:
        self.made: list[list[int]] = []
        self.begun = Event()
        self.go = Event()

    def __call__(self, items: Sequence[int]) -> None:
        self.made.append(list(items))
        self.begun.set()
        assert self.go.wait(5)
        if 13 in items:
            raise ValueError("13")


async def _ask_during_the_first(
    together: Together, calls: Calls, *numbers: int
) -> list[asyncio.Task[None]]:
    """The tasks of 0, whose call has begun, and of `numbers`, which have asked since."""
    tasks = [asyncio.create_task(together(calls, 0))]
    await asyncio.to_thread(calls.begun.wait, 5)
    tasks += [asyncio.create_task(together(calls, number)) for number in numbers]
    await asyncio.sleep(0)
    return tasks


def test_what_is_asked_during_a_call_is_the_next_one() -> None:
    calls = Calls()

    async def ask() -> None:
        tasks = await _ask_during_the_first(Together(Askers(2, wait_s=5)), calls, 1, 2, 3)
        calls.go.set()
        await asyncio.gather(*tasks)

    asyncio.run(ask())
    assert calls.made == [[0], [1, 2, 3]]


def test_a_call_that_fails_fails_for_those_who_asked_for_it_alone() -> None:
    calls = Calls()

    async def ask() -> Sequence[object]:
        together = Together(Askers(2, wait_s=5))
        first, *others = await _ask_during_the_first(together, calls, 1, 13)
        calls.go.set()
        await first
        told = await asyncio.gather(*others, return_exceptions=True)
        await together(calls, 4)
        return told

    assert [type(one) for one in asyncio.run(ask())] == [ValueError, ValueError]
    assert calls.made[-1] == [4]


def test_who_gives_up_takes_nothing_from_the_others() -> None:
    calls = Calls()

    async def ask() -> None:
        first, given_up, other = await _ask_during_the_first(
            Together(Askers(2, wait_s=5)), calls, 1, 2
        )
        given_up.cancel()
        calls.go.set()
        await asyncio.gather(first, other)
        with pytest.raises(asyncio.CancelledError):
            await given_up

    asyncio.run(ask())
    assert calls.made == [[0], [1, 2]]


def test_functions_do_not_wait_for_each_other() -> None:
    calls, others = Calls(), Calls()
    others.go.set()

    async def ask() -> None:
        together = Together(Askers(2, wait_s=5))
        first = asyncio.create_task(together(calls, 0))
        await asyncio.to_thread(calls.begun.wait, 5)
        await together(others, 1)
        assert not first.done()
        calls.go.set()
        await first

    asyncio.run(ask())
