"""How runs share a device."""

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from callytics.placement.sharing import SharedDevice, shares

limits = st.tuples(st.floats(0.01, 8), st.floats(0.01, 100))


@given(st.floats(0.1, 64), st.lists(limits, min_size=1, max_size=12))
def test_nobody_gets_more_than_it_can_use_and_nothing_is_left_that_somebody_could(
    capacity: float, runs: list[tuple[float, float]]
) -> None:
    found = shares(capacity, runs)

    assert all(part <= most + 1e-9 for part, (most, _) in zip(found, runs, strict=True))
    assert sum(found) == pytest.approx(min(capacity, sum(most for most, _ in runs)))


@given(st.floats(0.1, 64), st.lists(limits, min_size=2, max_size=12))
def test_who_is_not_satisfied_gets_as_much_for_its_weight_as_anybody(
    capacity: float, runs: list[tuple[float, float]]
) -> None:
    found = shares(capacity, runs)

    best = max(part / weight for part, (_, weight) in zip(found, runs, strict=True))
    for part, (most, weight) in zip(found, runs, strict=True):
        assert part == pytest.approx(most) or part / weight == pytest.approx(best)


def ends(
    capacity: float, *runs: tuple[float, float, float, float], loss: float = 0.0
) -> list[float]:
    """When runs (begins at, seconds alone, use, weight) end."""
    env = simpy.Environment()
    device = SharedDevice(env, capacity, loss)
    found = [0.0] * len(runs)

    def one(i: int, at_s: float, seconds: float, use: float, weight: float) -> object:
        yield env.timeout(at_s)
        yield device.work(seconds, use=use, weight=weight)
        found[i] = env.now

    for i, run in enumerate(runs):
        env.process(one(i, *run))  # type: ignore[arg-type]
    env.run()
    return found


def test_alone_a_run_takes_its_time() -> None:
    assert ends(2, (1, 3, 1.5, 1)) == [4]


def test_two_that_fill_a_device_take_twice_as_long_until_one_ends() -> None:
    # The second has done 1 of its 3 seconds when the first ends, and then has all of the device.
    assert ends(1, (0, 2, 1, 1), (1, 3, 1, 1)) == pytest.approx([3, 5])


def test_two_that_fill_half_a_device_each_do_not_meet() -> None:
    assert ends(2, (0, 2, 1, 1), (0, 3, 1, 1)) == pytest.approx([2, 3])


def test_where_runs_meet_a_part_of_the_device_is_lost_and_none_where_one_is_alone() -> None:
    # Half of it is left to both: the first has its 1 second done after 4, the second 1 of its 3.
    assert ends(1, (0, 1, 1, 1), (0, 3, 1, 1), loss=0.5) == pytest.approx([4, 6])


def test_a_heavier_run_goes_first_and_the_lighter_one_loses_no_work() -> None:
    # Three quarters against one: 3 work are done after 4 s, when the other has 3 - 1 left.
    assert ends(1, (0, 3, 1, 3), (0, 3, 1, 1)) == pytest.approx([4, 6])


def test_a_run_that_could_use_more_than_there_is_takes_longer() -> None:
    assert ends(2, (0, 2, 4, 1)) == pytest.approx([4])


def test_what_takes_no_time_ends_at_once() -> None:
    assert ends(1, (1, 0, 1, 1), (0, 5, 1, 1)) == pytest.approx([1, 5])
