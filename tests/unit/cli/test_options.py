from contextlib import suppress
from datetime import timedelta

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from callytics.cli.options import duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", timedelta(minutes=90)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("45s", timedelta(seconds=45)),
        ("1h30m", timedelta(minutes=90)),
    ],
)
def test_durations_are_read(text: str, expected: timedelta) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "24", "h", "24 h", "-1h", "1.5h", "24hours", "0m", "yesterday", "9999999w", "٣h"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        duration(text)


@given(st.text(max_size=30))
def test_nothing_but_a_bad_parameter_is_raised(text: str) -> None:
    with suppress(typer.BadParameter):
        assert duration(text) > timedelta()
