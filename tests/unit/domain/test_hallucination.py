import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.hallucination import (
    SPEECH_MARGIN_S,
    RecognisedSegment,
    is_credible,
    spoken_words,
    within_speech,
    without_loops,
)
from callytics.domain.transcript import Interval, Word


def words(text: str, *, start_s: float = 0.0, each_s: float = 0.5) -> tuple[Word, ...]:
    return tuple(
        Word(
            text=word,
            start_s=start_s + number * each_s,
            end_s=start_s + (number + 1) * each_s,
            confidence=0.9,
        )
        for number, word in enumerate(text.split())
    )


def segment(
    text: str, *, no_speech: float = 0.0, log_probability: float = -0.3, ratio: float = 1.2
) -> RecognisedSegment:
    return RecognisedSegment(
        words=words(text),
        no_speech_probability=no_speech,
        mean_log_probability=log_probability,
        compression_ratio=ratio,
    )


def text_of(found: tuple[Word, ...] | list[Word]) -> str:
    return " ".join(word.text for word in found)


@pytest.mark.parametrize(
    ("no_speech", "log_probability"), [(0.72, -0.84), (0.95, -0.3), (0.1, -1.5)]
)
def test_text_out_of_silence_is_not_believed(no_speech: float, log_probability: float) -> None:
    made_up = "시청해 주셔서 감사합니다"
    found = segment(made_up, no_speech=no_speech, log_probability=log_probability)
    assert not is_credible(found)


@pytest.mark.parametrize(
    ("no_speech", "log_probability"), [(0.45, -0.95), (0.71, -0.28), (0.19, -1.07)]
)
def test_noisy_speech_is_believed(no_speech: float, log_probability: float) -> None:
    found = segment("네 알겠습니다", no_speech=no_speech, log_probability=log_probability)
    assert is_credible(found)


def test_a_loop_is_kept_once_and_what_surrounds_it_whole() -> None:
    looped = "고객님 " + "확인해 드리겠습니다 " * 12 + "감사합니다"
    assert text_of(without_loops(words(looped))) == "고객님 확인해 드리겠습니다 감사합니다"


def test_a_loop_is_seen_through_punctuation() -> None:
    assert text_of(without_loops(words("감사합니다. 감사합니다, " * 4))) == "감사합니다."


def test_people_may_repeat_themselves() -> None:
    said = "네 네 네 공 공 공 공 안 돼요 안 돼요 안 돼요"
    assert text_of(without_loops(words(said))) == said


def test_text_that_is_little_but_repetition_is_not_believed() -> None:
    assert not is_credible(segment("네 알겠습니다 " * 5, ratio=3.1))


def test_words_outside_speech_are_dropped() -> None:
    speech = [Interval(start_s=1.0, end_s=2.0), Interval(start_s=10.0, end_s=11.0)]
    found = within_speech(words("하나 둘 셋 넷 다섯 여섯", start_s=0.1), speech)
    assert text_of(found) == "둘 셋 넷 다섯"


def test_a_word_that_reaches_into_silence_is_drawn_in_to_its_speech() -> None:
    stretched = Word(text="네", start_s=2.0, end_s=9.0, confidence=0.4)
    (found,) = within_speech([stretched], [Interval(start_s=8.0, end_s=9.5)])
    assert found.start_s == 8.0 - SPEECH_MARGIN_S
    assert found.end_s == 9.0


def test_nothing_was_said_where_nobody_speaks() -> None:
    assert spoken_words([segment("시청해 주셔서 감사합니다")], []) == ()


MOMENTS = st.integers(min_value=0, max_value=600).map(lambda tenth: tenth / 10)


@st.composite
def intervals(draw: st.DrawFn) -> list[Interval]:
    edges = sorted(draw(st.sets(MOMENTS, max_size=20)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return [Interval(start_s=start, end_s=end) for start, end in pairs]


@st.composite
def spoken(draw: st.DrawFn) -> list[Word]:
    edges = sorted(draw(st.lists(MOMENTS, max_size=30)))
    texts = st.sampled_from(["네", "아니요", "고객님", "네."])
    return [
        Word(text=draw(texts), start_s=start, end_s=end, confidence=0.5)
        for start, end in zip(edges[::2], edges[1::2], strict=False)
    ]


@given(spoken(), intervals())
def test_every_word_kept_meets_speech_and_keeps_its_order(
    said: list[Word], speech: list[Interval]
) -> None:
    found = within_speech(said, speech)
    for word in found:
        assert word.start_s <= word.end_s
        assert any(
            word.start_s >= interval.start_s - SPEECH_MARGIN_S
            and word.start_s <= interval.end_s + SPEECH_MARGIN_S
            for interval in speech
        )
    assert [word.end_s for word in found] == sorted(word.end_s for word in found)


@given(spoken(), intervals())
def test_a_word_inside_speech_is_kept_as_it_is(said: list[Word], speech: list[Interval]) -> None:
    found = within_speech(said, speech)
    for word in said:
        if any(span.start_s <= word.start_s and word.end_s <= span.end_s for span in speech):
            assert word in found


@given(spoken())
def test_dropping_loops_twice_changes_nothing_more(said: list[Word]) -> None:
    once = without_loops(said)
    assert set(once) <= set(said)
    assert [word.start_s for word in once] == sorted(word.start_s for word in once)
