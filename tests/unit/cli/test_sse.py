from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.cli.sse import Event, parse

STREAM = (
    b": ping\r\n\r\n"
    b'event: stage\r\nid: 1\r\ndata: {"text": "a\xe2\x80\xa8b"}\r\n\r\n'
    b"data: one\ndata: two\n\n"
    b"event: nothing\n\n"
    b"event:status\rdata:{}\r\r"
    b"data: cut off"
)
EVENTS = [
    Event(name="stage", data='{"text": "a\u2028b"}'),
    Event(name="message", data="one\ntwo"),
    Event(name="status", data="{}"),
]


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM))))
def test_events_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in pairwise(edges)]
    assert list(parse(chunks)) == EVENTS


def test_an_event_is_given_as_soon_as_it_is_complete() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"data: first\n\n"
        pytest.fail("the second chunk was asked for before the first event was given")

    assert next(parse(chunks())).data == "first"
