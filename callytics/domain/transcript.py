"""Words with times, turns of a conversation, and how the first become the second."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    AGENT = "agent"
    CUSTOMER = "customer"
    UNKNOWN = "unknown"


class SentimentLabel(StrEnum):
    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A span of audio, in seconds from its start."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeakerSegment:
    """Somebody speaks: the speaker's label, and when, in seconds from the start of the audio."""

    speaker: str
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Diarization:
    """Who speaks when, in order of start.

    `speech`: every speaker's segments; two may speak at once. `exclusive`: the same with one speaker at
    a time, the likelier one, which tells whose a word is; empty where channels tell that.
    """

    speech: tuple[SpeakerSegment, ...] = ()
    exclusive: tuple[SpeakerSegment, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A recognised word; `confidence` is 0..1; `channel` is the audio channel it was heard on.

    `segment` counts the recogniser's segments on that channel: words of one segment belong together.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float
    channel: int = 0
    segment: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentiment:
    """A label, and the model's probability of it (0..1)."""

    label: SentimentLabel
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    text: str
    sentiment: Sentiment | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """What one speaker says until another one does; times in seconds from the start of the audio."""

    index: int
    start_s: float
    end_s: float
    speaker: str
    text: str
    words: tuple[Word, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    role: Role = Role.UNKNOWN
    role_confidence: float = 0.0
    sentiment: Sentiment | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where in a call something is said: indices of turn and sentence, characters of that sentence."""

    turn: int
    sentence: int
    start: int
    end: int


PAUSE_S = 2.0
"""A speaker who is silent for longer begins a new turn, though nobody else spoke."""

BREATH_S = 0.5
"""Where speakers were recorded apart, a speaker whose gap is no longer keeps the turn: what the other
one says in it (a "yes", a "mm-hm") does not cut the sentence in two."""


def make_turns(
    words: Iterable[tuple[str, Word]], *, duration_s: float, breath_s: float = 0.0
) -> tuple[Turn, ...]:
    """The turns that speakers and their words make, in order of start.

    A turn is what one speaker says until another one does, or until a pause of PAUSE_S: its words' gaps
    are at most `breath_s` long, or at most PAUSE_S and nobody else speaks in them. Every word is in
    exactly one turn, as it was. Turns of different speakers overlap where their words do; a turn's
    times are those of its words, kept within the audio of `duration_s`.
    """
    turns: list[tuple[str, list[Word]]] = []
    current: dict[str, list[Word]] = {}
    last_end_s: dict[str, float] = {}
    for speaker, word in sorted(words, key=lambda pair: pair[1].start_s):
        if speaker in current and _goes_on(speaker, word, last_end_s, breath_s):
            current[speaker].append(word)
        else:
            current[speaker] = [word]
            turns.append((speaker, current[speaker]))
        last_end_s[speaker] = max(word.end_s, last_end_s.get(speaker, 0.0))
    return tuple(
        _turn(index, speaker, said, duration_s) for index, (speaker, said) in enumerate(turns)
    )


def _goes_on(speaker: str, word: Word, last_end_s: Mapping[str, float], breath_s: float) -> bool:
    """Whether `word` belongs to the speaker's open turn; `last_end_s` is when each one last spoke."""
    silent_since_s = last_end_s[speaker]
    gap_s = word.start_s - silent_since_s
    others = (end_s for other, end_s in last_end_s.items() if other != speaker)
    taken_over = gap_s > breath_s and any(end_s > silent_since_s for end_s in others)
    return gap_s <= PAUSE_S and not taken_over


def _turn(index: int, speaker: str, words: list[Word], duration_s: float) -> Turn:
    return Turn(
        index=index,
        start_s=min(words[0].start_s, duration_s),
        end_s=min(max(word.end_s for word in words), duration_s),
        speaker=speaker,
        text=" ".join(word.text for word in words),
        words=tuple(words),
    )
