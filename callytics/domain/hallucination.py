"""Tells words that were spoken from words that a recogniser makes up out of silence, music and loops.

Whisper fills what it cannot hear with likely text, and repeats itself when it is lost. Three checks
on what it returns: the segment's own scores, repetition, and whether anybody spoke at that time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from callytics.domain.transcript import Interval, Word

NO_SPEECH_PROBABILITY = 0.6
LOG_PROBABILITY = -0.8
"""Above the one and below the other (the mean of the tokens), a segment is taken for silence."""

CERTAIN_NO_SPEECH_PROBABILITY = 0.9
WORTHLESS_LOG_PROBABILITY = -1.2
"""Either is enough by itself. Of speech, even under noise as loud as itself, none crossed these
bounds; silence, noise, ringing and music all did (Whisper base)."""

COMPRESSION_RATIO = 2.4
"""Text that packs better than this repeats itself; half a minute of spoken Korean gives 1.5."""

SPEECH_MARGIN_S = 0.3
"""How far a word may reach beyond detected speech: word times are about that exact."""

LONGEST_LOOP_WORDS = 12
SINGLE_WORD_REPEATS = 6
"""People do say "yes, yes, yes" or a digit four times; from this many on it is a loop."""
PHRASE_REPEATS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class RecognisedSegment:
    """Words that a recogniser gave together, with its scores of them.

    `compression_ratio`: bytes of the decoded text by bytes of its zlib form.
    """

    words: tuple[Word, ...]
    no_speech_probability: float
    mean_log_probability: float
    compression_ratio: float


def spoken_words(
    segments: Sequence[RecognisedSegment], speech: Sequence[Interval]
) -> tuple[Word, ...]:
    """The words of `segments` that somebody spoke, in order. `speech` is in order, without overlap."""
    believed = [word for segment in segments if is_credible(segment) for word in segment.words]
    return without_loops(within_speech(believed, speech))


def is_credible(segment: RecognisedSegment) -> bool:
    """False for text out of silence and for text that is little but repetition."""
    return (
        not _is_silence(segment.no_speech_probability, segment.mean_log_probability)
        and segment.compression_ratio <= COMPRESSION_RATIO
    )


def _is_silence(no_speech: float, log_probability: float) -> bool:
    return (
        no_speech > CERTAIN_NO_SPEECH_PROBABILITY
        or log_probability < WORTHLESS_LOG_PROBABILITY
        or (no_speech > NO_SPEECH_PROBABILITY and log_probability < LOG_PROBABILITY)
    )


def within_speech(words: Sequence[Word], speech: Sequence[Interval]) -> list[Word]:
    """The words that meet speech, drawn in to it where a word reaches far into silence."""
    starts = [interval.start_s - SPEECH_MARGIN_S for interval in speech]
    ends = [interval.end_s + SPEECH_MARGIN_S for interval in speech]
    kept = []
    for word in words:
        first = bisect_right(ends, word.start_s)
        last = bisect_left(starts, word.end_s) - 1
        if first <= last:
            start_s, end_s = max(word.start_s, starts[first]), min(word.end_s, ends[last])
            kept.append(replace(word, start_s=start_s, end_s=end_s))
    return kept


def without_loops(words: Sequence[Word]) -> tuple[Word, ...]:
    """`words` with every phrase that is repeated again and again kept once."""
    kept: list[Word] = []
    position = 0
    while position < len(words):
        length, repeats = _loop_at(words, position)
        kept.extend(words[position : position + length])
        position += length * repeats
    return tuple(kept)


def _loop_at(words: Sequence[Word], start: int) -> tuple[int, int]:
    """Length in words of the loop that begins at `start` and how often it runs; (1, 1) if none does."""
    for length in range(1, min(LONGEST_LOOP_WORDS, len(words) - start) + 1):
        repeats = _repeats(words, start, length)
        if repeats >= (SINGLE_WORD_REPEATS if length == 1 else PHRASE_REPEATS):
            return length, repeats
    return 1, 1


def _repeats(words: Sequence[Word], start: int, length: int) -> int:
    """How often the phrase of `length` words at `start` stands there in a row."""
    phrase = _plain(words[start : start + length])
    count = 1
    while _plain(words[start + count * length : start + (count + 1) * length]) == phrase:
        count += 1
    return count


def _plain(words: Sequence[Word]) -> list[str]:
    """The words without what punctuation and case add."""
    return [word.text.casefold().strip(".,!?…~ ") for word in words]
