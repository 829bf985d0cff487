"""Workers on GPUs."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callytics.placement import packing
from callytics.placement.layout import FULL
from callytics.placement.packing import Item, pack


def item(memory_mib: int, load: float = 0.1) -> Item:
    return Item(queues="stt", memory_mib=memory_mib, load=load)


items = st.lists(st.builds(item, st.integers(1, 20_000), st.floats(0, 1)), max_size=6)
gpus = st.lists(st.integers(8_000, 80_000), min_size=1, max_size=3)


def holds(items: Sequence[Item], spread: Sequence[int], gpus: Sequence[int]) -> bool:
    return all(
        sum(one.memory_mib for one, on in zip(items, spread, strict=True) if on == gpu)
        <= FULL * room
        for gpu, room in enumerate(gpus)
    )


@pytest.mark.parametrize("tried", [0, packing.TRIED])
@given(items, gpus)
def test_whatever_is_packed_fits(tried: int, items: list[Item], gpus: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "TRIED", tried)
        spread = pack(items, gpus)
    if spread is not None:
        assert len(spread) == len(items)
        assert holds(items, spread, gpus)


@settings(max_examples=50)
@given(items, gpus, st.integers(8_000, 80_000))
def test_what_fits_still_fits_beside_a_gpu_more_and_no_gpu_gets_busier(
    items: list[Item], gpus: list[int], another: int
) -> None:
    before = pack(items, gpus)
    if before is None:
        return
    after = pack(items, [*gpus, another])
    assert after is not None
    assert busiest(items, after) <= busiest(items, before) + 1e-9


def busiest(items: Sequence[Item], spread: Sequence[int]) -> float:
    return max(
        (
            sum(one.load for one, on in zip(items, spread, strict=True) if on == gpu)
            for gpu in set(spread)
        ),
        default=0.0,
    )


def test_compute_is_shared_evenly_where_memory_allows_it() -> None:
    spread = pack([item(1000, 0.6), item(1000, 0.3), item(1000, 0.3)], [24_000, 24_000])
    assert spread is not None
    assert spread[0] != spread[1] == spread[2]


def test_memory_that_fits_only_one_way_is_found() -> None:
    spread = pack([item(6000), item(5000), item(4000), item(4000)], [10_600, 10_600])
    assert spread is not None
    assert holds([item(6000), item(5000), item(4000), item(4000)], spread, [10_600, 10_600])


def test_what_fits_nowhere_is_none() -> None:
    assert pack([item(25_000)], [24_000, 24_000]) is None
