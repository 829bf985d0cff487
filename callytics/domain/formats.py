"""A transcript as a file: plain text, subtitles (SubRip, WebVTT), a table (CSV)."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil
from unicodedata import east_asian_width

from callytics.domain.transcript import Role, Turn

# What subtitle guidelines ask for (BBC, Netflix): two lines of 42 columns, where a Hangul syllable
# takes two, and no more than seven seconds.
LINE_COLUMNS = 42
CUE_LINES = 2
CUE_S = 7.0
SHORTEST_CUE_S = 0.5

CSV_COLUMNS = (
    "index",
    "start_s",
    "end_s",
    "speaker",
    "role",
    "role_confidence",
    "sentiment",
    "sentiment_score",
    "text",
)

_FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def as_txt(turns: Iterable[Turn]) -> str:
    """One line a turn: when it starts, who speaks, what."""
    return "".join(
        f"[{_clock(turn.start_s, '.')[:8]}] {name_of(turn)}: {' '.join(turn.text.split())}\n"
        for turn in turns
    )


def as_srt(turns: Iterable[Turn]) -> str:
    """SubRip. The first cue of a turn names the speaker."""
    cues = _in_order(
        cue for turn in turns for cue in _cues([_name_token(turn), *timed_tokens(turn)])
    )
    return "".join(
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{cue.text}\n\n"
        for number, cue in enumerate(cues, start=1)
    )


def as_vtt(turns: Iterable[Turn]) -> str:
    """WebVTT. Each cue names its speaker in a voice span."""
    spoken = [(name_of(turn), cue) for turn in turns for cue in _cues(timed_tokens(turn))]
    spoken.sort(key=lambda pair: pair[1].start_s)
    return "WEBVTT\n\n" + "".join(
        f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n"
        f"<v {escape(name, quote=False)}>{escape(cue.text, quote=False)}\n\n"
        for name, cue in spoken
    )


def as_csv(turns: Iterable[Turn]) -> str:
    """RFC 4180, one row a turn. Text that a spreadsheet would run as a formula is disarmed by a quote."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for turn in turns:
        feeling = turn.sentiment
        writer.writerow(
            [
                turn.index,
                f"{turn.start_s:.3f}",
                f"{turn.end_s:.3f}",
                _disarmed(turn.speaker),
                turn.role.value,
                f"{turn.role_confidence:.3f}",
                feeling.label.value if feeling else "",
                f"{feeling.score:.4f}" if feeling else "",
                _disarmed(turn.text),
            ]
        )
    return file.getvalue()


FORMATS: Mapping[str, Callable[[Iterable[Turn]], str]] = {
    "txt": as_txt,
    "srt": as_srt,
    "vtt": as_vtt,
    "csv": as_csv,
}


def name_of(turn: Turn) -> str:
    """The speaker's role, or their label where the role is unknown."""
    return turn.speaker if turn.role is Role.UNKNOWN else turn.role.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """Text that is spoken from `start_s` to `end_s`."""

    text: str
    start_s: float
    end_s: float


def timed_tokens(turn: Turn) -> list[Timed]:
    """What spaces part in the turn's text, with times; none is wider than a line.

    Times are those of the turn's words, letter by letter: the text may be spaced and punctuated in
    another way than they are. Without words the letters spread evenly over the turn.
    """
    pieces = [piece for token in turn.text.split() for piece in _cut(token)]
    in_text = sum(map(_letters, pieces))
    times = _letter_times(turn, in_text)
    tokens, before = [], 0
    for piece in pieces:
        after = before + _letters(piece)
        first = min(before * len(times) // in_text, len(times) - 1)
        last = max(ceil(after * len(times) / in_text) - 1, first)
        tokens.append(Timed(text=piece, start_s=times[first][0], end_s=times[last][1]))
        before = after
    return tokens


def _letter_times(turn: Turn, letters: int) -> list[tuple[float, float]]:
    spans = [(word.start_s, word.end_s, _letters(word.text)) for word in turn.words]
    if not spans:
        spans = [(turn.start_s, turn.end_s, letters)]
    return [
        (start_s + (end_s - start_s) * n / count, start_s + (end_s - start_s) * (n + 1) / count)
        for start_s, end_s, count in spans
        for n in range(count)
    ]


def _letters(text: str) -> int:
    """At least one, so that every token has its time."""
    return max(1, sum(character.isalnum() for character in text))


def _cut(token: str) -> Iterator[str]:
    piece = ""
    for character in token:
        if _columns(piece + character) > LINE_COLUMNS:
            yield piece
            piece = ""
        piece += character
    yield piece


def _columns(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _name_token(turn: Turn) -> Timed:
    return Timed(text=f"{name_of(turn)}:", start_s=turn.start_s, end_s=turn.start_s)


def _cues(tokens: Sequence[Timed]) -> Iterator[Timed]:
    """`tokens` put together to cues as long as allowed."""
    cue: list[Timed] = []
    for token in tokens:
        grown = [*cue, token]
        if cue and (len(_lines(grown)) > CUE_LINES or token.end_s - cue[0].start_s > CUE_S):
            yield _cue(cue)
            grown = [token]
        cue = grown
    if cue:
        yield _cue(cue)


def _cue(tokens: Sequence[Timed]) -> Timed:
    start_s = tokens[0].start_s
    end_s = min(max(tokens[-1].end_s, start_s + SHORTEST_CUE_S), start_s + CUE_S)
    # An arrow in the text could be taken for a line of times.
    text = "\n".join(_lines(tokens)).replace("-->", "→")
    return Timed(text=text, start_s=start_s, end_s=end_s)


def _lines(tokens: Iterable[Timed]) -> list[str]:
    lines: list[str] = []
    for token in tokens:
        if lines and _columns(f"{lines[-1]} {token.text}") <= LINE_COLUMNS:
            lines[-1] += f" {token.text}"
        else:
            lines.append(token.text)
    return lines


def _in_order(cues: Iterable[Timed]) -> list[Timed]:
    return sorted(cues, key=lambda cue: cue.start_s)


def _clock(seconds: float, mark: str) -> str:
    """`HH:MM:SS` and, after `mark`, milliseconds."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    whole, fraction = divmod(milliseconds, 1000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{whole:02}{mark}{fraction:03}"


def _disarmed(text: str) -> str:
    return f"'{text}" if text.lstrip().startswith(_FORMULA_STARTS) else text
