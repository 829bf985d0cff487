from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.intervals import Track, clipped, complement, total_s, union
from callytics.domain.transcript import Interval

DURATION_S = 100.0


def interval(start_s: float, end_s: float) -> Interval:
    return Interval(start_s=start_s, end_s=end_s)


spans = st.lists(
    st.tuples(st.integers(-10, 110), st.integers(1, 30)).map(
        lambda pair: interval(pair[0], pair[0] + pair[1])
    ),
    max_size=12,
)


def covers(intervals: tuple[Interval, ...] | list[Interval], time_s: float) -> bool:
    return any(one.start_s <= time_s < one.end_s for one in intervals)


@given(spans)
def test_a_union_covers_the_same_time_once_and_in_order(intervals: list[Interval]) -> None:
    joined = union(intervals)
    half_seconds = [n + 0.5 for n in range(-10, 150)]
    assert all(covers(joined, time) == covers(intervals, time) for time in half_seconds)
    assert all(left.end_s < right.start_s for left, right in pairwise(joined))


def test_a_union_closes_short_gaps() -> None:
    joined = union([interval(0, 1), interval(1.4, 2), interval(3, 4)], join_s=0.5)
    assert joined == (interval(0, 2), interval(3, 4))


@given(spans)
def test_what_is_covered_and_its_complement_make_up_the_audio(intervals: list[Interval]) -> None:
    covered = clipped(union(intervals), DURATION_S)
    gaps = complement(covered, DURATION_S)
    assert total_s(covered) + total_s(gaps) == pytest.approx(DURATION_S)
    assert not any(covers(covered, gap.start_s) for gap in gaps)


@given(spans.filter(bool), st.integers(-10, 120), st.integers(1, 20))
def test_a_track_answers_as_counting_does(
    intervals: list[Interval], start_s: int, length_s: int
) -> None:
    track, end_s = Track(intervals), start_s + length_s
    counted = sum(covers(intervals, n + 0.5) for n in range(start_s, end_s))
    assert track.overlap_s(start_s, end_s) == counted
    away = min(max(one.start_s - end_s, start_s - one.end_s, 0) for one in intervals)
    assert track.distance_s(start_s, end_s) == away
    found = track.at(start_s + 0.5)
    assert (found is not None) == covers(intervals, start_s + 0.5)
