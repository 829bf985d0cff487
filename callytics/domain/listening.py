"""Which parts of a channel a recogniser is to hear: speech with its context, long silences left out."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from callytics.domain.transcript import Interval, Word

PADDING_S = 0.4
"""Silence left on either side of speech: words begin softly."""

LONGEST_SILENCE_S = 2.0
"""A longer silence is taken out; a shorter one tells where a sentence ends."""

UNHEARD_S = 1.0
"""Speech without a word for so long was missed, not merely spoken slowly."""


def spans_to_hear(speech: Sequence[Interval], duration_s: float) -> tuple[Interval, ...]:
    """`speech` (in order, without overlap) joined over short silences, with padding."""
    joined: list[Interval] = []
    for interval in speech:
        if joined and interval.start_s - joined[-1].end_s <= LONGEST_SILENCE_S:
            interval = replace(joined.pop(), end_s=interval.end_s)  # noqa: PLW2901
        joined.append(interval)
    return tuple(
        Interval(
            start_s=max(0.0, span.start_s - PADDING_S),
            end_s=min(duration_s, span.end_s + PADDING_S),
        )
        for span in joined
    )


def windows(
    spans: Sequence[Interval], speech: Sequence[Interval], longest_s: float
) -> tuple[Interval, ...]:
    """The joined `spans`, cut into windows of at most `longest_s`, in pauses where there are any.

    Times count in what is heard: the spans put one after the other.
    """
    total_s = sum(span.duration_s for span in spans)
    cuts = [_heard_at((left.end_s + right.start_s) / 2, spans) for left, right in pairwise(speech)]
    found: list[Interval] = []
    start_s = 0.0
    while start_s < total_s:
        limit_s = start_s + longest_s
        in_reach = [cut for cut in (*cuts, total_s) if start_s < cut <= limit_s]
        end_s = max(in_reach, default=limit_s)
        found.append(Interval(start_s=start_s, end_s=end_s))
        start_s = end_s
    return tuple(found)


def unheard(speech: Sequence[Interval], words: Sequence[Word]) -> tuple[Interval, ...]:
    """The stretches of `speech` without any word (both in order) that are too long to be a pause."""
    starts = [word.start_s for word in words]
    ends = [word.end_s for word in words]
    missed = []
    for interval in speech:
        inside = slice(bisect_right(ends, interval.start_s), bisect_left(starts, interval.end_s))
        gaps = zip(
            [interval.start_s, *ends[inside]], [*starts[inside], interval.end_s], strict=True
        )
        missed += [
            Interval(start_s=start_s, end_s=end_s)
            for start_s, end_s in gaps
            if end_s - start_s >= UNHEARD_S
        ]
    return tuple(missed)


def in_gaps(words: Sequence[Word], more: Sequence[Word]) -> tuple[Word, ...]:
    """`words` with those of `more` that fall between them, in order of time (both are in order)."""
    ends = [word.end_s for word in words]
    fitting = []
    for word in more:
        middle_s = (word.start_s + word.end_s) / 2
        following = bisect_right(ends, middle_s)
        if following == len(words) or middle_s <= words[following].start_s:
            fitting.append(word)
    return tuple(sorted([*words, *fitting], key=lambda word: word.start_s))


def _heard_at(time_s: float, spans: Sequence[Interval]) -> float:
    """When the moment `time_s` of the audio, or else the nearest one before it, is heard."""
    return sum(min(max(0.0, time_s - span.start_s), span.duration_s) for span in spans)
