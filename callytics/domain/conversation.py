"""Words and speakers put together: turns with roles, and what can be counted of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from callytics.domain.attribution import by_channel, by_diarization
from callytics.domain.audio import Attribution
from callytics.domain.metrics import CallMetrics, measure
from callytics.domain.roles import decide, with_roles
from callytics.domain.transcript import BREATH_S, Diarization, Turn, Word, make_turns


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What the stages before found, and what the client and a person said of the speakers.

    `channels`: role -> channel number, as asked for; `speaker_roles`: speaker -> role, as corrected.
    """

    duration_s: float
    attribution: Attribution
    words: Sequence[Word]
    diarization: Diarization
    channels: Mapping[str, int] | None = None
    speaker_roles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    turns: Sequence[Turn]
    metrics: CallMetrics


def converse(heard: Heard) -> Conversation:
    """Give every word to its speaker, speakers their roles, and measure."""
    if heard.attribution is Attribution.CHANNEL:
        spoken, breath_s = by_channel(heard.words), BREATH_S
    else:
        spoken, breath_s = by_diarization(heard.words, heard.diarization.exclusive), 0.0
    turns = make_turns(spoken, duration_s=heard.duration_s, breath_s=breath_s)
    return reassign(turns, heard)


def reassign(turns: Sequence[Turn], heard: Heard) -> Conversation:
    """The same turns, with roles and metrics found anew: what a correction of the speakers takes."""
    roles = decide(turns, channels=heard.channels, corrected=heard.speaker_roles)
    metrics = measure(turns, heard.diarization.speech, roles, duration_s=heard.duration_s)
    return Conversation(turns=with_roles(turns, roles), metrics=metrics)
