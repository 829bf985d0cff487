from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.routes import FIRST, MAX_WEIGHT, Lane, Route, assign, queue_named
from callytics.domain.stages import Queue

keys = st.uuids()
weights = st.dictionaries(
    st.sampled_from(["v1", "v2", "v3", "large"]), st.integers(0, 1000), min_size=1
).filter(lambda found: any(found.values()))


@pytest.mark.parametrize("text", ["stt", "stt.v2", "mlm.qwen3-8b", "control"])
def test_a_lane_is_read_as_it_is_written(text: str) -> None:
    assert str(Lane.parse(text)) == text


def test_the_first_variant_works_on_the_queue_itself() -> None:
    assert Lane.parse("stt.v1") == Lane.parse("stt") == Lane(Queue.STT, FIRST)


@pytest.mark.parametrize("text", ["", "sst", "stt.", "stt.V2", "stt.v2.1", "control.v2", "stt v2"])
def test_what_is_no_lane_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="`"):
        Lane.parse(text)


def test_a_task_is_named_by_its_queue_or_its_model() -> None:
    assert queue_named("stt") is queue_named("transcribe") is Queue.STT
    with pytest.raises(ValueError, match="diarize, stt"):
        queue_named("audio")


@pytest.mark.parametrize(
    ("given_weights", "shadow"),
    [
        ({}, None),
        ({"v1": 0}, None),
        ({"v1": 1, "v2": -1}, None),
        ({"v1": 1, "v2": MAX_WEIGHT + 1}, None),
        ({"v1": 10**309}, None),
        ({"V 1": 1}, None),
        ({"v1": 1}, ""),
    ],
)
def test_a_route_that_leads_nowhere_is_refused(
    given_weights: dict[str, int], shadow: str | None
) -> None:
    with pytest.raises(ValueError, match=r"variant|weight"):
        Route(weights=given_weights, shadow=shadow)


@given(key=keys, weights=weights)
def test_the_same_key_gets_the_same_variant_and_one_with_weight(
    key: UUID, weights: dict[str, int]
) -> None:
    chosen = assign(Queue.STT, key, weights)

    assert weights[chosen] > 0
    assert chosen == assign(Queue.STT, key, dict(reversed(weights.items())))


@given(key=keys)
def test_the_greatest_weight_can_be_assigned(key: UUID) -> None:
    assert assign(Queue.STT, key, Route(weights={"v2": MAX_WEIGHT}).weights) == "v2"


@given(key=keys, weights=weights, more=st.integers(1, 1000), name=st.sampled_from(["v1", "v2"]))
def test_more_weight_moves_keys_to_that_variant_alone(
    key: UUID, weights: dict[str, int], more: int, name: str
) -> None:
    before = assign(Queue.STT, key, weights)

    after = assign(Queue.STT, key, {**weights, name: weights.get(name, 0) + more})

    assert after in (before, name)


@given(key=keys, share=st.integers(0, 99), more=st.integers(1, 100))
def test_of_two_variants_the_one_that_grows_only_takes_from_the_other(
    key: UUID, share: int, more: int
) -> None:
    grown = min(100, share + more)
    before = assign(Queue.STT, key, {"v1": 100 - share, "v2": share})
    after = assign(Queue.STT, key, {"v1": 100 - grown, "v2": grown})

    assert (before, after) != ("v2", "v1")


@given(key=keys, weights=weights)
def test_what_loses_all_its_weight_moves_nobody_elses_keys(
    key: UUID, weights: dict[str, int]
) -> None:
    before = assign(Queue.STT, key, {**weights, "v1": weights.get("v1", 0) + 1})
    left = {**weights, "v1": 0}
    if before != "v1":
        assert assign(Queue.STT, key, left) == before


def test_shares_are_those_of_the_weights() -> None:
    found = Counter(
        assign(Queue.STT, UUID(int=number), {"v1": 90, "v2": 8, "v3": 2})
        for number in range(20_000)
    )

    # Five standard errors of the binomial distribution.
    for name, share in (("v1", 0.9), ("v2", 0.08), ("v3", 0.02)):
        assert abs(found[name] / 20_000 - share) < 5 * (share * (1 - share) / 20_000) ** 0.5


def test_tasks_draw_independently() -> None:
    halves = {"v1": 1, "v2": 1}
    same = sum(
        assign(Queue.STT, UUID(int=n), halves) == assign(Queue.SLM, UUID(int=n), halves)
        for n in range(10_000)
    )

    assert abs(same - 5000) < 5 * 50
