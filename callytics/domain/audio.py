"""What preprocessing hands on: where the prepared channels lie and where in them somebody speaks."""

from dataclasses import dataclass
from enum import StrEnum

from callytics.domain.transcript import Interval

SAMPLE_RATE_HZ = 16_000
"""Every prepared channel has this rate: what Whisper, pyannote and Silero were trained on."""


def channel_label(index: int) -> str:
    """What the speaker on the channel `index` is called, where words find their speaker by channel."""
    return f"channel-{index}"


class Attribution(StrEnum):
    """How words find their speaker."""

    CHANNEL = "channel"
    DIARIZATION = "diarization"


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedChannel:
    """One channel as the models read it: mono, 16 kHz, 16 bit WAV under `key` in the audio store.

    `index` is the channel's number in the original file; `speech` is what voice activity found, without
    the crosstalk of other channels; `rms_dbfs` is the level of that speech in the original (of all of
    it, if nobody speaks).
    """

    index: int
    key: str
    speech: tuple[Interval, ...]
    rms_dbfs: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedAudio:
    """A call's audio, ready for the models. `sha256` is of the original file's bytes."""

    sha256: str
    codec: str
    sample_rate_hz: int
    source_channels: int
    duration_s: float
    attribution: Attribution
    channels: tuple[PreparedChannel, ...]

    @property
    def has_speech(self) -> bool:
        return any(channel.speech for channel in self.channels)
