from random import Random
from statistics import fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain import statistics
from callytics.domain.statistics import Estimate


def test_wilsons_interval_is_that_of_the_literature() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263.
    found = statistics.share(81, 263)

    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)


def test_newcombes_interval_is_that_of_the_literature() -> None:
    # Newcombe 1998 (differences), table II, method 10: 56 of 70 against 48 of 80.
    found = statistics.share_difference(statistics.share(48, 80), statistics.share(56, 70))

    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)


@given(count=st.integers(1, 500), data=st.data())
def test_a_share_lies_in_its_interval_and_that_in_0_to_1(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    found = statistics.share(hits, count)

    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1


def test_the_bootstrap_says_the_same_each_time_and_covers_the_mean() -> None:
    draw = Random(1)
    covered = 0
    for _ in range(100):
        sample = [draw.gauss(10, 2) for _ in range(40)]
        found = statistics.bootstrap(sample, fmean)
        assert found == statistics.bootstrap(sample, fmean)
        covered += found.low <= 10 <= found.high
    # 95 of 100 are due; the percentile interval of 40 observations is a little narrow.
    assert covered >= 85


def test_the_ratio_of_medians_is_theirs() -> None:
    draw = Random(2)
    first = [draw.uniform(1, 2) for _ in range(200)]
    second = [draw.uniform(2, 4) for _ in range(150)]

    found = statistics.ratio_of_medians(first, second)

    assert found.value == median(second) / median(first)
    assert found.low < 2 < found.high
    assert found.count == 150


def test_calls_of_different_length_are_added_up() -> None:
    assert statistics.ratio_of_sums([(1, 10), (0, 90)]) == 0.01


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        # Cohen 1960's formula by hand: 0.7 agreed, 0.5 by chance.
        ([("a", "a")] * 35 + [("b", "b")] * 35 + [("a", "b")] * 15 + [("b", "a")] * 15, 0.4),
        ([("a", "a")] * 5, 1.0),
        ([], 1.0),
    ],
)
def test_kappa_is_agreement_beyond_chance(pairs: list[tuple[str, str]], wanted: float) -> None:
    assert statistics.kappa([pairs[:3], pairs[3:]]) == pytest.approx(wanted)


def test_an_interval_without_zero_says_that_there_is_a_difference() -> None:
    assert Estimate(value=0.2, low=0.1, high=0.3, count=9).excludes_zero
    assert not Estimate(value=0.0, low=-0.1, high=0.3, count=9).excludes_zero
