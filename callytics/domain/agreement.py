"""How far two results on the same call agree: parts of a whole, so that calls can be added up."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations

from callytics.domain.intervals import total_s, union
from callytics.domain.transcript import Diarization, Interval, SpeakerSegment

MOST_MAPPED = 6
"""Speakers whose every mapping is tried; of more of them, those who speak longest."""


def same_speaker(first: Diarization, second: Diarization) -> tuple[float, float]:
    """Seconds with the same speaker under the best one-to-one mapping, and seconds in which anybody speaks.

    The mapping is that of the diarization error rate (NIST RT-09): the one with the longest overlap.
    """
    left, right = _longest(first), _longest(second)
    overlaps = [[_overlap_s(a, b) for b in right.values()] for a in left.values()]
    if len(left) > len(right):
        overlaps = [list(column) for column in zip(*overlaps, strict=True)]
    width = max(len(left), len(right))
    best = max(
        sum(row[column] for row, column in zip(overlaps, columns, strict=True))
        for columns in permutations(range(width), len(overlaps))
    )
    spoken = [Interval(start_s=one.start_s, end_s=one.end_s) for one in _said(first, second)]
    return best, total_s(union(spoken))


def _said(*found: Diarization) -> Iterable[SpeakerSegment]:
    return (segment for one in found for segment in one.exclusive or one.speech)


def _longest(found: Diarization) -> Mapping[str, Sequence[Interval]]:
    """Each speaker's intervals, of those who speak longest."""
    spans: dict[str, list[Interval]] = {}
    for one in _said(found):
        spans.setdefault(one.speaker, []).append(Interval(start_s=one.start_s, end_s=one.end_s))
    ranked = sorted(spans, key=lambda speaker: -total_s(spans[speaker]))
    return {speaker: union(spans[speaker]) for speaker in ranked[:MOST_MAPPED]}


def _overlap_s(first: Sequence[Interval], second: Sequence[Interval]) -> float:
    return total_s(first) + total_s(second) - total_s(union([*first, *second]))


def same_sentences(
    first: Sequence[Sequence[str]], second: Sequence[Sequence[str]]
) -> tuple[float, float]:
    """Sentences that both have, turn by turn, and sentences in all (of the side with more of them)."""
    turns = list(zip(first, second, strict=False))
    same = sum((Counter(one) & Counter(other)).total() for one, other in turns)
    return same, sum(max(len(one), len(other)) for one, other in turns)
