import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.formats import (
    CUE_LINES,
    CUE_S,
    FORMATS,
    LINE_COLUMNS,
    as_csv,
    as_srt,
    as_txt,
    as_vtt,
    timed_tokens,
)
from callytics.domain.transcript import Role, Sentiment, SentimentLabel, Turn, Word


def turn(text: str, start_s: float = 0.0, end_s: float = 5.0, **fields: object) -> Turn:
    given_fields = {"index": 0, "speaker": "SPEAKER_00", "role": Role.AGENT, **fields}
    return Turn(text=text, start_s=start_s, end_s=end_s, **given_fields)  # type: ignore[arg-type]


def word(text: str, start_s: float, end_s: float) -> Word:
    return Word(text=text, start_s=start_s, end_s=end_s, confidence=1.0)


def test_plain_text() -> None:
    turns = [
        turn("안녕하세요. 무엇을 도와드릴까요?", 1.1),
        turn("네,\n안녕하세요.", 3723.9, role=Role.UNKNOWN),
    ]
    assert as_txt(turns) == (
        "[00:00:01] agent: 안녕하세요. 무엇을 도와드릴까요?\n"
        "[01:02:03] SPEAKER_00: 네, 안녕하세요.\n"
    )


def test_subrip() -> None:
    words = (word("안녕하세요", 1.1, 2.0), word("고객님", 2.1, 3.0045))
    assert as_srt([turn("안녕하세요, 고객님.", 1.1, 3.0, words=words)]) == (
        "1\n00:00:01,100 --> 00:00:03,004\nagent: 안녕하세요, 고객님.\n\n"
    )


def test_webvtt_escapes_what_would_be_a_tag() -> None:
    found = as_vtt([turn("A&B <i>x</i> --> y", 3600.0, 3601.0)])
    assert found == (
        "WEBVTT\n\n01:00:00.000 --> 01:00:01.000\n<v agent>A&amp;B &lt;i&gt;x&lt;/i&gt; → y\n\n"
    )


def test_subrip_has_no_arrow_and_no_empty_line_in_its_text() -> None:
    found = as_srt([turn("가 --> 나\n\n다")])
    assert found.count("-->") == 1
    assert found.count("\n\n") == 1


def test_cues_of_overlapping_turns_are_in_order_of_start() -> None:
    long = turn(" ".join(["방문예약을"] * 30), 0.0, 20.0)
    starts = re.findall(r"^(\S+) -->", as_vtt([long, turn("네.", 9.0, 9.5)]), re.MULTILINE)
    assert starts == sorted(starts)
    assert len(starts) > 3


def test_a_table() -> None:
    feeling = Sentiment(label=SentimentLabel.NEGATIVE, score=0.91)
    [row] = csv.DictReader(
        io.StringIO(as_csv([turn('그가 "네, 네"\n했어요', 1.0, 2.5, sentiment=feeling)]))
    )
    assert row == {
        "index": "0",
        "start_s": "1.000",
        "end_s": "2.500",
        "speaker": "SPEAKER_00",
        "role": "agent",
        "role_confidence": "0.000",
        "sentiment": "negative",
        "sentiment_score": "0.9100",
        "text": '그가 "네, 네"\n했어요',
    }


@pytest.mark.parametrize("text", ["=1+1", "+82", "-1", "@SUM(A1)", " =cmd", "\t=1", "＝1"])
def test_no_cell_of_a_table_is_a_formula(text: str) -> None:
    [row] = csv.DictReader(io.StringIO(as_csv([turn(text, speaker=text)])))
    assert row["text"] == row["speaker"] == f"'{text}"


def test_tokens_take_the_times_of_the_words_though_spaced_in_another_way() -> None:
    words = (word("도와", 1.0, 1.4), word("드릴까요", 2.0, 2.8))
    found = timed_tokens(turn("도와드릴까요? 네", 1.0, 3.0, words=(*words, word("네", 2.9, 3.0))))
    assert [(one.text, one.start_s, one.end_s) for one in found] == [
        ("도와드릴까요?", 1.0, 2.8),
        ("네", 2.9, 3.0),
    ]


def test_tokens_without_words_spread_over_the_turn() -> None:
    found = timed_tokens(turn("가나 다라", 2.0, 4.0))
    assert [(one.start_s, one.end_s) for one in found] == [(2.0, 3.0), (3.0, 4.0)]


@pytest.mark.parametrize("name", FORMATS)
def test_no_turns(name: str) -> None:
    assert FORMATS[name]([]) in {"", "WEBVTT\n\n", ",".join(_columns()) + "\r\n"}


def _columns() -> list[str]:
    return next(csv.reader(io.StringIO(as_csv([]))))


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    start_s = draw(st.floats(0, 20_000))
    end_s = start_s + draw(st.floats(0, 120))
    texts = draw(st.lists(st.text(min_size=1, max_size=60), max_size=30))
    cuts = sorted(draw(st.floats(start_s, end_s)) for _ in range(2 * len(texts)))
    spoken = tuple(
        word(text, *cuts[2 * n : 2 * n + 2]) for n, text in enumerate(texts) if draw(st.booleans())
    )
    return turn(" ".join(texts), start_s, end_s, words=spoken)


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)


@given(turns())
def test_cues_hold_all_the_text_and_are_bounded(one: Turn) -> None:
    found = as_srt([one])
    blocks = [block.split("\n") for block in found.split("\n\n")[:-1]]
    assert [int(block[0]) for block in blocks] == list(range(1, len(blocks) + 1))
    for _, times, *lines in blocks:
        start, end = map(seconds, times.split(" --> "))
        assert 0 < end - start <= CUE_S + 0.001
        assert 1 <= len(lines) <= CUE_LINES
        assert all(len(line) <= LINE_COLUMNS for line in lines)
    shown = "".join("".join(block[2:]) for block in blocks)
    said = "agent:" + "".join(one.text.split())
    assert "".join(shown.split()).replace("→", "-->") == said.replace("→", "-->")
