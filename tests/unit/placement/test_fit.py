"""From measured runs to costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.stages import Stage
from callytics.placement.fit import Sample, cost_of, hop_of, line
from callytics.placement.profile import Kind


def sample(
    audio_s: float, seconds: float, *, cores: float | None = 1.5, stage: Stage = Stage.TRANSCRIBE
) -> Sample:
    return Sample(stage=stage, audio_s=audio_s, wait_s=0.01, seconds=seconds, cores=cores)


@given(st.floats(0, 10), st.floats(0, 1), st.sets(st.integers(1, 300), min_size=2, max_size=20))
def test_points_on_a_line_give_the_line(fixed: float, slope: float, lengths: set[int]) -> None:
    found = line([(float(x), fixed + slope * x) for x in lengths])

    for x in lengths:
        assert found[0] + found[1] * x == pytest.approx(fixed + slope * x, abs=1e-6)


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0, 100)), min_size=1, max_size=20))
def test_no_part_of_a_cost_is_below_zero(points: list[tuple[int, float]]) -> None:
    fixed, slope = line([(float(x), y) for x, y in points])
    assert fixed >= 0
    assert slope >= 0


def test_what_costs_nothing_for_no_audio_is_a_rate() -> None:
    assert line([(10, 1), (20, 4)]) == pytest.approx((0, 5 / 30))


def test_the_spread_is_what_runs_took_by_the_line() -> None:
    found = cost_of([sample(10, 1.8), sample(10, 2.2), sample(20, 4)], "here")

    assert found.mean_s(10) == pytest.approx(2, rel=0.05)
    assert min(found.spread.ratios) == pytest.approx(0.9, rel=0.05)
    assert max(found.spread.ratios) == pytest.approx(1.1, rel=0.05)
    assert found.spread.kind is Kind.MEASURED
    assert found.fixed_s.source == "here"


def test_cores_are_those_of_all_runs_together_so_that_long_ones_count_for_more() -> None:
    found = cost_of([sample(10, 1, cores=2), sample(10, 3, cores=1)], "here")
    assert found.use.value == pytest.approx(5 / 4)


def test_cores_that_nobody_could_see_are_assumed_and_said_to_be() -> None:
    found = cost_of([sample(10, 1, cores=None)], "here")
    assert (found.use.value, found.use.kind) == (1, Kind.ASSUMED)


def test_a_hop_is_the_median_wait_behind_another_stage() -> None:
    first = Sample(stage=Stage.PREPROCESS, audio_s=1, wait_s=9, seconds=1, cores=None)
    assert hop_of([first, sample(1, 1), sample(2, 1)], "here").value == pytest.approx(0.01)
