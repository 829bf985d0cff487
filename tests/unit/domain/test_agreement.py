import pytest

from callytics.domain.agreement import same_sentences, same_speaker
from callytics.domain.transcript import Diarization, SpeakerSegment


def spoken(*segments: tuple[str, float, float]) -> Diarization:
    found = tuple(SpeakerSegment(speaker=who, start_s=a, end_s=b) for who, a, b in segments)
    return Diarization(speech=found, exclusive=found)


def test_other_names_for_the_same_speakers_agree_wholly() -> None:
    found = same_speaker(
        spoken(("A", 0, 4), ("B", 5, 9)), spoken(("SPEAKER_01", 0, 4), ("SPEAKER_00", 5, 9))
    )

    assert found == pytest.approx((8, 8))


def test_the_mapping_is_the_one_with_the_longest_overlap() -> None:
    agreed, total = same_speaker(
        spoken(("A", 0, 6), ("B", 6, 10)), spoken(("X", 0, 5), ("Y", 5, 10))
    )

    assert (agreed, total) == pytest.approx((9, 10))


def test_a_speaker_that_one_of_them_has_not_agrees_with_nobody() -> None:
    whole = spoken(("A", 0, 10))
    split = spoken(("X", 0, 6), ("Y", 6, 9), ("Z", 9, 10))

    assert same_speaker(whole, split) == pytest.approx((6, 10))
    assert same_speaker(split, whole) == pytest.approx((6, 10))


def test_silence_on_one_side_agrees_with_nothing() -> None:
    assert same_speaker(spoken(), spoken(("A", 0, 2))) == pytest.approx((0, 2))
    assert same_speaker(spoken(), spoken()) == (0, 0)


def test_sentences_count_turn_by_turn() -> None:
    assert same_sentences([["a.", "b."], ["c."]], [["a.", "x."], ["c.", "d."]]) == (2, 4)
    assert same_sentences([["a.", "a."]], [["a."]]) == (1, 2)
