from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.attribution import by_channel, by_diarization
from callytics.domain.transcript import PAUSE_S, SpeakerSegment, Turn, Word, make_turns

DURATION_S = 60.0


def word(text: str, start_s: float, end_s: float, *, channel: int = 0, segment: int = 0) -> Word:
    return Word(
        text=text,
        start_s=start_s,
        end_s=end_s,
        confidence=0.9,
        channel=channel,
        segment=segment,
    )


def said(turns: tuple[Turn, ...]) -> list[tuple[str, str]]:
    return [(turn.speaker, turn.text) for turn in turns]


def test_a_turn_lasts_until_somebody_else_speaks() -> None:
    turns = make_turns(
        [
            ("a", word("안녕하세요", 1.0, 1.8)),
            ("a", word("고객센터입니다", 1.9, 2.9)),
            ("b", word("네", 3.1, 3.3)),
            ("a", word("말씀하세요", 3.5, 4.2)),
        ],
        duration_s=DURATION_S,
    )
    assert said(turns) == [("a", "안녕하세요 고객센터입니다"), ("b", "네"), ("a", "말씀하세요")]
    assert [(turn.start_s, turn.end_s) for turn in turns] == [(1.0, 2.9), (3.1, 3.3), (3.5, 4.2)]


def test_a_long_pause_ends_a_turn() -> None:
    turns = make_turns(
        [
            ("a", word("잠시만요", 0.0, 1.0)),
            ("a", word("네", 1.0 + PAUSE_S, 4.0)),
            ("a", word("확인했습니다", 4.1 + PAUSE_S, 8.0)),
        ],
        duration_s=DURATION_S,
    )
    assert said(turns) == [("a", "잠시만요 네"), ("a", "확인했습니다")]


def test_a_yes_in_a_breath_does_not_cut_the_sentence_of_another_channel() -> None:
    words = [
        word("요금이", 0.0, 1.0),
        word("네", 1.05, 1.2, channel=1),
        word("잘못", 1.3, 1.8),
        word("나왔어요", 1.8, 2.5),
    ]
    turns = make_turns(by_channel(words), duration_s=DURATION_S, breath_s=0.5)
    assert said(turns) == [("channel-0", "요금이 잘못 나왔어요"), ("channel-1", "네")]


def test_speech_over_another_channel_is_kept_whole_and_ordered_by_its_start() -> None:
    words = [
        word("네", 4.6, 4.8, channel=1),
        word("좋습니다", 4.8, 5.5, channel=1),
        word("방문", 4.0, 4.5),
        word("괜찮으십니까", 4.5, 5.2),
    ]
    turns = make_turns(by_channel(words), duration_s=DURATION_S, breath_s=0.5)
    assert said(turns) == [("channel-0", "방문 괜찮으십니까"), ("channel-1", "네 좋습니다")]


def test_who_speaks_in_a_longer_gap_takes_the_turn() -> None:
    words = [
        word("그래서", 0.0, 1.0),
        word("네", 1.2, 1.5, channel=1),
        word("전화했어요", 1.9, 2.8),
    ]
    turns = make_turns(by_channel(words), duration_s=DURATION_S, breath_s=0.5)
    assert [turn.speaker for turn in turns] == ["channel-0", "channel-1", "channel-0"]


def test_no_words_make_no_turn() -> None:
    assert make_turns([], duration_s=DURATION_S) == ()


def test_times_stay_within_the_audio() -> None:
    [turn] = make_turns([("a", word("네", 9.9, 10.4))], duration_s=10.0)
    assert (turn.start_s, turn.end_s) == (9.9, 10.0)
    assert turn.words[0].end_s == 10.4


@st.composite
def words(draw: st.DrawFn, channels: int = 2) -> list[Word]:
    found = []
    for index in range(draw(st.integers(0, 40))):
        start_s = draw(st.floats(0, DURATION_S))
        found.append(
            Word(
                text=draw(st.text("가나다abc.?", min_size=1, max_size=5)) + str(index),
                start_s=start_s,
                end_s=start_s + draw(st.floats(0, 2)),
                confidence=draw(st.floats(0, 1)),
                channel=draw(st.integers(0, channels - 1)),
                segment=draw(st.integers(0, 5)),
            )
        )
    return found


@st.composite
def segments(draw: st.DrawFn) -> list[SpeakerSegment]:
    return [
        SpeakerSegment(
            speaker=draw(st.sampled_from("abc")),
            start_s=(start_s := draw(st.floats(0, DURATION_S))),
            end_s=start_s + draw(st.floats(0.01, 10)),
        )
        for _ in range(draw(st.integers(0, 10)))
    ]


def check(spoken: list[Word], turns: tuple[Turn, ...]) -> None:
    kept = [one for turn in turns for one in turn.words]
    assert sorted(map(repr, kept)) == sorted(map(repr, spoken)), "lost, doubled or altered"
    assert [turn.index for turn in turns] == list(range(len(turns)))
    starts = [turn.start_s for turn in turns]
    assert starts == sorted(starts)
    assert all(0 <= turn.start_s <= turn.end_s <= DURATION_S for turn in turns)
    assert all(turn.text == " ".join(one.text for one in turn.words) for turn in turns)


@given(words(), st.sampled_from([0.0, 0.5]))
def test_turns_of_channels_keep_every_word(spoken: list[Word], breath_s: float) -> None:
    turns = make_turns(by_channel(spoken), duration_s=DURATION_S, breath_s=breath_s)
    check(spoken, turns)
    assert all(turn.speaker == f"channel-{one.channel}" for turn in turns for one in turn.words)


@given(words(channels=1), segments())
def test_turns_of_diarized_speech_keep_every_word(
    spoken: list[Word], who: list[SpeakerSegment]
) -> None:
    turns = make_turns(by_diarization(spoken, who), duration_s=DURATION_S)
    check(spoken, turns)
    known = {one.speaker for one in who} or {"SPEAKER_00"}
    assert {turn.speaker for turn in turns} <= known
