"""How GPUs are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.placement.hardware import MIB_PER_GB, MOST_GPUS, Hardware, gb, parse_gpus

GB_24, GB_80 = int(24 * MIB_PER_GB), int(80 * MIB_PER_GB)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2x24GB", (GB_24, GB_24)),
        ("1x24GB,1x80GB", (GB_24, GB_80)),
        ("24gb, 80GB", (GB_24, GB_80)),
        ("0", ()),
    ],
)
def test_gpus_are_counted_and_sized(text: str, found: tuple[int, ...]) -> None:
    assert parse_gpus(text) == found


@pytest.mark.parametrize("text", ["", "2", "x24GB", "2x24", "2x24TB", "-1x24GB", "2x24GB,", "two"])
def test_what_is_written_otherwise_is_told_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="2x24GB"):
        parse_gpus(text)


@pytest.mark.parametrize("text", ["0x24GB", "2x0GB"])
def test_a_gpu_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="0 alone"):
        parse_gpus(text)


def test_there_is_a_limit_to_what_is_planned_for() -> None:
    with pytest.raises(ValueError, match=str(MOST_GPUS)):
        parse_gpus("999x24GB")


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 141)), min_size=1, max_size=8))
def test_every_kind_comes_in_its_order(kinds: list[tuple[int, int]]) -> None:
    text = ",".join(f"{count}x{memory}GB" for count, memory in kinds)
    assert parse_gpus(text) == tuple(
        int(memory * MIB_PER_GB) for count, memory in kinds for _ in range(count)
    )


def test_a_machine_is_named_with_its_gpus_and_cores() -> None:
    assert Hardware(gpus=(GB_24,), cores=16).names == "GPU 0 with 24 GB, 16 cores"
    assert gb(GB_80) == "80 GB"
