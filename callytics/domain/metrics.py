"""What can be counted of a call: who talks how much, how fast, over whom, and how long nobody does.

Terms follow Heldner & Edlund, "Pauses, gaps and overlaps in conversations", Journal of Phonetics 38
(2010): an overlap in which the floor passes on is told from one inside the other's speech.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from callytics.domain.attribution import tracks_of
from callytics.domain.intervals import Track, clipped, complement, total_s, union
from callytics.domain.roles import UNKNOWN, RoleGuess
from callytics.domain.transcript import Interval, Role, SpeakerSegment, Turn

INTERRUPTION_S = 0.4
"""Shorter overlaps are smooth changes of speaker: people start 0.2 s around the other's end (Levinson &
Torreira 2015), and speech is found with 0.1 s of margin on either side."""

HESITATION_S = 0.5
"""A speaker's pause that is no longer does not count as having stopped."""

_HANGUL_SYLLABLE = re.compile("[가-힣]")
_WORD = re.compile(r"\S*\w\S*")


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleMetrics:
    """Of all who have one role.

    talk_s: seconds in which they speak.
    talk_share: talk_s by the sum of everybody's talk_s (overlapping speech counts for each).
    turns: how often they take the floor (`make_turns`).
    words: what spaces part and has a letter or a digit in it (Korean: eojeol).
    syllables: Hangul syllables; other scripts, digits among them, have none.
    words_per_minute, syllables_per_minute: by talk_s, so pauses between turns do not count (that is the
        speaking rate; Jacewicz et al. 2009 tell it from the articulation rate).
    interruptions: how often they begin while another one speaks, for INTERRUPTION_S and more, and still
        speak when that one has stopped.
    interruptions_at_s: when they do; empty in calls that were measured before this was kept.
    """

    talk_s: float
    talk_share: float
    turns: int
    words: int
    syllables: int
    words_per_minute: float
    syllables_per_minute: float
    interruptions: int
    interruptions_at_s: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CallMetrics:
    """Of the whole call.

    speech_s: seconds in which anybody speaks; silence_s: the rest of duration_s, hold music included.
    silence_share: silence_s by duration_s.
    longest_silence_s, longest_silence_start_s: the longest time without speech, and when it begins.
    overlap_s: seconds in which two or more speak; overlap_share: by speech_s.
    """

    duration_s: float
    speech_s: float
    silence_s: float
    silence_share: float
    longest_silence_s: float
    longest_silence_start_s: float | None
    overlap_s: float
    overlap_share: float
    roles: Mapping[Role, RoleMetrics]


def measure(
    turns: Sequence[Turn],
    segments: Iterable[SpeakerSegment],
    roles: Mapping[str, RoleGuess],
    *,
    duration_s: float,
) -> CallMetrics:
    """`segments` say when each speaker speaks; without any, the turns do."""
    speech = _speech(turns, segments, duration_s)
    anybody = union(chain.from_iterable(speech.values()))
    silences = complement(anybody, duration_s)
    speech_s, silence_s = total_s(anybody), total_s(silences)
    longest = max(silences, key=lambda silence: silence.duration_s, default=None)
    talk_s = sum(map(total_s, speech.values()))
    overlap_s = _overlap_s(speech)
    return CallMetrics(
        duration_s=_rounded(duration_s),
        speech_s=_rounded(speech_s),
        silence_s=_rounded(silence_s),
        silence_share=_ratio(silence_s, duration_s),
        longest_silence_s=_rounded(longest.duration_s) if longest else 0.0,
        longest_silence_start_s=_rounded(longest.start_s) if longest else None,
        overlap_s=_rounded(overlap_s),
        overlap_share=_ratio(overlap_s, speech_s),
        roles={
            role: _of_role(speakers, turns, speech, talk_s)
            for role, speakers in _by_role(speech, roles).items()
        },
    )


def _speech(
    turns: Sequence[Turn], segments: Iterable[SpeakerSegment], duration_s: float
) -> dict[str, tuple[Interval, ...]]:
    spoken = list(segments) or [
        SpeakerSegment(speaker=turn.speaker, start_s=turn.start_s, end_s=turn.end_s)
        for turn in turns
    ]
    tracks = tracks_of(spoken)
    silent = {turn.speaker: () for turn in turns}
    return {
        **silent,
        **{speaker: clipped(track.intervals, duration_s) for speaker, track in tracks.items()},
    }


def _by_role(speakers: Iterable[str], roles: Mapping[str, RoleGuess]) -> dict[Role, list[str]]:
    found: dict[Role, list[str]] = {}
    for speaker in speakers:
        found.setdefault(roles.get(speaker, UNKNOWN).role, []).append(speaker)
    return {role: found[role] for role in Role if role in found}


def _of_role(
    speakers: Sequence[str],
    turns: Iterable[Turn],
    speech: Mapping[str, Sequence[Interval]],
    talk_of_all_s: float,
) -> RoleMetrics:
    talk_s = sum(total_s(speech[speaker]) for speaker in speakers)
    texts = [turn.text for turn in turns if turn.speaker in speakers]
    words = sum(len(_WORD.findall(text)) for text in texts)
    syllables = sum(len(_HANGUL_SYLLABLE.findall(text)) for text in texts)
    interruptions_at_s = _interruptions_at_s(speakers, speech)
    return RoleMetrics(
        talk_s=_rounded(talk_s),
        talk_share=_ratio(talk_s, talk_of_all_s),
        turns=len(texts),
        words=words,
        syllables=syllables,
        words_per_minute=_ratio(60 * words, talk_s),
        syllables_per_minute=_ratio(60 * syllables, talk_s),
        interruptions=len(interruptions_at_s),
        interruptions_at_s=interruptions_at_s,
    )


def _interruptions_at_s(
    speakers: Sequence[str], speech: Mapping[str, Sequence[Interval]]
) -> tuple[float, ...]:
    floor = {name: Track(spans, join_s=HESITATION_S) for name, spans in speech.items()}
    found = (
        _rounded(mine.start_s)
        for speaker in speakers
        for mine in floor[speaker].intervals
        if any(_interrupts(mine, floor[other]) for other in floor if other != speaker)
    )
    return tuple(sorted(found))


def _interrupts(mine: Interval, other: Track) -> bool:
    theirs = other.at(mine.start_s)
    return theirs is not None and mine.start_s + INTERRUPTION_S <= theirs.end_s < mine.end_s


def _overlap_s(speech: Mapping[str, Sequence[Interval]]) -> float:
    """Seconds in which two or more speak: sweep over starts (+1) and ends (-1)."""
    edges = sorted(
        edge
        for spans in speech.values()
        for span in spans
        for edge in ((span.start_s, 1), (span.end_s, -1))
    )
    speaking, since_s, overlap_s = 0, 0.0, 0.0
    for time_s, change in edges:
        overlap_s += (time_s - since_s) * (speaking > 1)
        speaking, since_s = speaking + change, time_s
    return overlap_s


def _ratio(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole > 0 else 0.0


def _rounded(seconds: float) -> float:
    return round(seconds, 3)
