"""Words with times, turns of a conversation, and how the first become the second."""

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
