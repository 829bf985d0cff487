from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from workers.runtimes.breaker import Breaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(after=3, rest_s=30, clock=clock)


def test_it_opens_after_so_many_failures_in_a_row(breaker: Breaker) -> None:
    assert [breaker.failed() for _ in range(2)] == [False, False]
    breaker.succeeded()
    assert [breaker.failed() for _ in range(3)] == [False, False, True]
    assert breaker.is_open
    assert not breaker.admits()
    assert not breaker.failed()  # of a request that was under way: it is open already


def test_a_probe_that_succeeds_closes_it(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
    clock.now += 30
    assert breaker.admits()
    assert breaker.succeeded()
    assert not breaker.is_open
    assert breaker.admits()


def test_a_probe_that_fails_or_is_never_heard_of_is_followed_by_one_after_the_rest(
    breaker: Breaker, clock: Clock
) -> None:
    for _ in range(3):
        breaker.failed()
    clock.now += 30
    assert breaker.admits()
    assert not breaker.failed()
    clock.now += 29
    assert not breaker.admits()
    clock.now += 1
    assert breaker.admits()
    clock.now += 30
    assert breaker.admits()


def test_of_many_threads_one_probes(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
    clock.now += 30
    at_once = Barrier(16)

    def ask(_: int) -> bool:
        at_once.wait()
        return breaker.admits()

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(16))) == 1


def test_of_many_threads_that_fail_one_opens_it() -> None:
    breaker = Breaker(after=50, rest_s=30)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: breaker.failed(), range(400))) == 1
