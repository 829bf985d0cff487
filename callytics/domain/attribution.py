"""Whose words are they? By the channel they were heard on, or by who speaks at that time."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from callytics.domain.audio import channel_label
from callytics.domain.intervals import Track
from callytics.domain.transcript import Interval, SpeakerSegment, Word

CHANGE_IN_SENTENCE_S = 0.6
CHANGE_AT_BREAK_S = 0.1
"""What a change of speaker costs between two words, in seconds of speech given to the wrong speaker:
little where a sentence or a segment of the recogniser ends, or after a pause, much in mid-sentence."""

BREAK_S = 0.5
"""A pause between two words that is taken for a break."""

SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")

SOLE_SPEAKER = "SPEAKER_00"
"""Who speaks where words were recognised but no speaker was found."""


def by_channel(words: Iterable[Word]) -> list[tuple[str, Word]]:
    return [(channel_label(word.channel), word) for word in words]


def by_diarization(
    words: Iterable[Word], segments: Iterable[SpeakerSegment]
) -> list[tuple[str, Word]]:
    """Each of `words` (of one channel) with its speaker, in order of time.

    Of all ways to give the words to speakers, the one where the least speech goes to the wrong speaker,
    when each change of speaker costs something too (a Viterbi search). So a word follows the segment
    it overlaps most, or is nearest to; a lone word inside another's sentence stays with the sentence,
    since word times are not that exact; and a long enough stretch changes speaker in mid-sentence.
    """
    in_order = sorted(words, key=lambda word: word.start_s)
    tracks = tracks_of(segments)
    if not in_order or len(tracks) <= 1:
        return [(next(iter(tracks), SOLE_SPEAKER), word) for word in in_order]
    misfits = [_misfit_s(word, tracks) for word in in_order]
    changes = [0.0, *(_change_cost_s(left, right) for left, right in pairwise(in_order))]
    return list(zip(_cheapest(misfits, changes), in_order, strict=True))


def tracks_of(segments: Iterable[SpeakerSegment]) -> dict[str, Track]:
    """Where each speaker speaks; speakers in order of their first word."""
    spans: dict[str, list[Interval]] = {}
    for one in sorted(segments, key=lambda segment: segment.start_s):
        spans.setdefault(one.speaker, []).append(Interval(start_s=one.start_s, end_s=one.end_s))
    return {speaker: Track(intervals) for speaker, intervals in spans.items()}


def _misfit_s(word: Word, tracks: Mapping[str, Track]) -> dict[str, float]:
    """For each speaker, the seconds of `word` that speak against them."""
    span = (word.start_s, word.end_s)
    covered = {speaker: track.overlap_s(*span) for speaker, track in tracks.items()}
    if any(covered.values()):
        most = max(covered.values())
        return {speaker: most - seconds for speaker, seconds in covered.items()}
    # Nobody speaks then: the nearer speaker, though no more surely than the word is long.
    away = {speaker: track.distance_s(*span) for speaker, track in tracks.items()}
    longest = max(away.values()) or 1.0
    length_s = word.end_s - word.start_s
    return {speaker: length_s * distance / longest for speaker, distance in away.items()}


def _change_cost_s(left: Word, right: Word) -> float:
    at_break = (
        left.segment != right.segment
        or left.text.endswith(SENTENCE_ENDS)
        or right.start_s - left.end_s >= BREAK_S
    )
    return CHANGE_AT_BREAK_S if at_break else CHANGE_IN_SENTENCE_S


def _cheapest(misfits: Sequence[Mapping[str, float]], changes: Sequence[float]) -> list[str]:
    """The sequence of speakers with the lowest sum of misfits and changes."""
    costs = dict.fromkeys(misfits[0], 0.0)
    steps: list[dict[str, str]] = []
    for misfit, change in zip(misfits, changes, strict=True):
        cheapest = min(costs, key=costs.__getitem__)
        before = {
            speaker: speaker if cost <= costs[cheapest] + change else cheapest
            for speaker, cost in costs.items()
        }
        costs = {
            speaker: misfit[speaker] + costs[last] + (change if last != speaker else 0.0)
            for speaker, last in before.items()
        }
        steps.append(before)
    path = [min(costs, key=costs.__getitem__)]
    for before in reversed(steps[1:]):
        path.append(before[path[-1]])
    return path[::-1]
