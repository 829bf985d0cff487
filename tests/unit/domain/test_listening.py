from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.listening import (
    PADDING_S,
    UNHEARD_S,
    in_gaps,
    spans_to_hear,
    unheard,
    windows,
)
from callytics.domain.transcript import Interval, Word

DURATION_S = 120.0


def interval(start_s: float, end_s: float) -> Interval:
    return Interval(start_s=start_s, end_s=end_s)


def word(text: str, start_s: float, end_s: float) -> Word:
    return Word(text=text, start_s=start_s, end_s=end_s, confidence=0.9)


@st.composite
def speeches(draw: st.DrawFn) -> list[Interval]:
    tenths = draw(st.sets(st.integers(0, int(DURATION_S * 10)), min_size=2, max_size=40))
    edges = [tenth / 10 for tenth in sorted(tenths)]
    return [interval(*pair) for pair in zip(edges[::2], edges[1::2], strict=False)]


def test_speech_is_heard_with_a_little_silence_around_it() -> None:
    assert spans_to_hear([interval(5.0, 6.0)], 10.0) == (
        interval(5.0 - PADDING_S, 6.0 + PADDING_S),
    )


def test_padding_stays_inside_the_audio() -> None:
    assert spans_to_hear([interval(0.1, 9.9)], 10.0) == (interval(0.0, 10.0),)


def test_short_silences_are_heard_and_long_ones_are_not() -> None:
    spans = spans_to_hear([interval(1, 2), interval(4, 5), interval(7.5, 8)], 10.0)
    assert spans == (interval(0.6, 5.4), interval(7.1, 8.4))


def test_windows_end_in_pauses() -> None:
    speech = [interval(0, 12), interval(13, 25), interval(26, 40)]
    spans = spans_to_hear(speech, 40.0)
    assert windows(spans, speech, 30.0) == (interval(0.0, 25.5), interval(25.5, 40.0))


def test_speech_without_a_pause_is_cut_all_the_same() -> None:
    speech = [interval(0, 70)]
    found = windows(spans_to_hear(speech, 70.0), speech, 30.0)
    assert found == (interval(0.0, 30.0), interval(30.0, 60.0), interval(60.0, 70.0))


def test_speech_without_words_was_not_heard() -> None:
    speech = [interval(0, 4), interval(10, 20)]
    said = [word("네", 0.2, 3.5), word("고객님", 10.1, 11), word("감사합니다", 19, 20)]
    assert unheard(speech, said) == (interval(11, 19),)


def test_a_pause_for_breath_was_heard() -> None:
    assert unheard([interval(0, UNHEARD_S)], [word("네", 0.1, UNHEARD_S)]) == ()


def test_only_words_that_fall_between_others_are_added() -> None:
    first = [word("하나", 0, 1), word("셋", 5, 6)]
    again = [word("하나", 0.2, 0.9), word("둘", 2, 3), word("넷", 7, 8)]
    assert [found.text for found in in_gaps(first, again)] == ["하나", "둘", "셋", "넷"]


@given(speeches())
def test_all_speech_is_heard_in_order(speech: list[Interval]) -> None:
    spans = spans_to_hear(speech, DURATION_S)
    for one in speech:
        assert any(span.start_s <= one.start_s and one.end_s <= span.end_s for span in spans)
    for left, right in pairwise(spans):
        assert left.end_s < right.start_s


@given(speeches(), st.floats(min_value=5.0, max_value=30.0))
def test_windows_cover_what_is_heard_without_overlap(
    speech: list[Interval], longest_s: float
) -> None:
    spans = spans_to_hear(speech, DURATION_S)
    found = windows(spans, speech, longest_s)
    assert found[0].start_s == 0.0
    assert found[-1].end_s == sum(span.duration_s for span in spans)
    assert all(0 < window.duration_s <= longest_s + 1e-9 for window in found)
    for left, right in pairwise(found):
        assert left.end_s == right.start_s


@given(speeches())
def test_without_a_word_all_long_speech_is_unheard(speech: list[Interval]) -> None:
    assert unheard(speech, []) == tuple(one for one in speech if one.duration_s >= UNHEARD_S)
