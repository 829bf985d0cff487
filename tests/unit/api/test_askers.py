"""A few threads, for which nobody waits without an end."""

import asyncio
from threading import Event

import pytest

from api.askers import Askers
from callytics.errors import UnavailableError


def test_a_question_is_answered_and_its_error_raised() -> None:
    ask = Askers(1, wait_s=5)
    assert asyncio.run(ask(divmod, 7, 2)) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(ask(divmod, 7, 0))


def test_who_finds_no_thread_free_is_told_and_holds_up_nobody() -> None:
    async def ask_all() -> list[object]:
        ask, go = Askers(1, wait_s=0.05), Event()
        first = asyncio.create_task(ask(go.wait, 5))
        told = await asyncio.gather(*(ask(int) for _ in range(3)), return_exceptions=True)
        go.set()
        assert await first
        assert await ask(int) == 0
        return list(told)

    assert [type(one) for one in asyncio.run(ask_all())] == [UnavailableError] * 3
