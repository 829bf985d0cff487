import itertools

from hypothesis import given
from hypothesis import strategies as st

from callytics.domain import attribution
from callytics.domain.attribution import SOLE_SPEAKER, by_diarization
from callytics.domain.transcript import SpeakerSegment, Word


def segment(speaker: str, start_s: float, end_s: float) -> SpeakerSegment:
    return SpeakerSegment(speaker=speaker, start_s=start_s, end_s=end_s)


def spoken(text: str, start_s: float, end_s: float, *, segment: int = 0) -> list[Word]:
    """The words of `text`, evenly spread."""
    texts = text.split()
    step_s = (end_s - start_s) / len(texts)
    return [
        Word(
            text=each,
            start_s=start_s + n * step_s,
            end_s=start_s + (n + 1) * step_s,
            confidence=1.0,
            segment=segment,
        )
        for n, each in enumerate(texts)
    ]


def speakers(words: list[Word], who: list[SpeakerSegment]) -> str:
    return "".join(speaker for speaker, _ in by_diarization(words, who))


def test_a_word_goes_to_whom_it_overlaps_most() -> None:
    words = [*spoken("네 맞아요.", 0.0, 1.0), *spoken("확인했습니다 고객님", 1.4, 3.0, segment=1)]
    assert speakers(words, [segment("a", 0.1, 1.5), segment("b", 1.5, 3.0)]) == "aabb"


def test_a_word_in_a_gap_goes_to_the_nearest_segment() -> None:
    words = spoken("네.", 2.0, 2.3) + spoken("여보세요.", 4.5, 4.9, segment=1)
    assert speakers(words, [segment("a", 0.0, 1.8), segment("b", 5.0, 6.0)]) == "ab"


def test_a_lone_word_inside_a_sentence_stays_with_it() -> None:
    words = spoken("어제부터 집 인터넷이 자꾸 끊겨서 전화드렸어요", 0.0, 3.0)
    who = [segment("a", 0.0, 1.5), segment("b", 1.5, 2.0), segment("a", 2.0, 3.0)]
    assert speakers(words, who) == "aaaaaa"


def test_a_sentence_that_ends_late_by_the_word_times_stays_whole() -> None:
    words = spoken("주소를 말씀해 주시겠습니까?", 0.0, 2.3) + spoken("마포구입니다.", 2.3, 3.2)
    assert speakers(words, [segment("a", 0.0, 1.9), segment("b", 1.9, 3.2)]) == "aaab"


def test_a_recognisers_segment_of_two_speakers_is_split_where_a_sentence_ends() -> None:
    words = spoken("무엇을 도와드릴까요? 네 인터넷이 안 돼요", 0.0, 6.0)
    assert speakers(words, [segment("a", 0.0, 2.1), segment("b", 2.1, 6.0)]) == "aabbbb"


def test_a_clear_change_is_followed_without_any_mark() -> None:
    words = spoken("무엇을 도와드릴까요 네 인터넷이 안 돼요", 0.0, 6.0)
    assert speakers(words, [segment("a", 0.0, 2.1), segment("b", 2.1, 6.0)]) == "aabbbb"


def test_a_short_answer_between_sentences_is_the_others() -> None:
    words = [
        *spoken("맞으시죠?", 0.0, 1.0),
        *spoken("네.", 1.1, 1.4),
        *spoken("감사합니다.", 1.5, 2.5),
    ]
    who = [segment("a", 0.0, 1.05), segment("b", 1.08, 1.4), segment("a", 1.5, 2.5)]
    assert speakers(words, who) == "aba"


def test_without_segments_all_words_are_one_speakers() -> None:
    assert [who for who, _ in by_diarization(spoken("네 네", 0, 1), [])] == [SOLE_SPEAKER] * 2


def test_no_words() -> None:
    assert by_diarization([], [segment("a", 0, 1), segment("b", 1, 2)]) == []


times = st.lists(st.floats(0, 10), min_size=1, max_size=6).map(sorted)


@given(times, st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 3)), min_size=2, max_size=5))
def test_no_other_attribution_is_cheaper(
    starts: list[float], spans: list[tuple[float, float]]
) -> None:
    words = [
        Word(text="네.", start_s=start_s, end_s=start_s + 0.5, confidence=1.0, segment=n)
        for n, start_s in enumerate(starts)
    ]
    who = [segment("ab"[n % 2], start_s, start_s + s) for n, (start_s, s) in enumerate(spans)]
    tracks = attribution.tracks_of(who)
    misfits = [attribution._misfit_s(one, tracks) for one in words]

    def cost(path: tuple[str, ...]) -> float:
        changes = sum(left != right for left, right in itertools.pairwise(path))
        misfit = sum(each[speaker] for each, speaker in zip(misfits, path, strict=True))
        return misfit + changes * attribution.CHANGE_AT_BREAK_S

    found = tuple(speaker for speaker, _ in by_diarization(words, who))
    assert cost(found) <= min(map(cost, itertools.product("ab", repeat=len(words)))) + 1e-9
