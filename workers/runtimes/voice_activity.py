"""Where somebody speaks: Silero's voice activity model, as it comes inside faster-whisper."""

from typing import TYPE_CHECKING

import numpy as np
from faster_whisper.vad import VadOptions, get_speech_timestamps

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.domain.transcript import Interval

if TYPE_CHECKING:
    from callytics.ports import Audio

# Tight, because a stereo call takes its turns from these intervals: a breath ends none of them, a
# pause between two sentences does.
_OPTIONS = VadOptions(
    threshold=0.5,
    min_speech_duration_ms=100,
    min_silence_duration_ms=300,
    speech_pad_ms=100,
)

_MUTE_S = 2.0
_QUIET = 1e-4
"""-80 dBFS, which is the noise of a quiet line."""
_NOISE = np.random.default_rng(0).normal(0, _QUIET, SAMPLE_RATE_HZ).astype(np.float32)


class SileroVoiceActivity:
    """Costs about 2 ms a second of audio; 2 MB, loaded at the first use and once a process."""

    def speech(self, audio: "Audio") -> tuple[Interval, ...]:
        if not len(audio):
            return ()
        found = get_speech_timestamps(_unmuted(audio), _OPTIONS, SAMPLE_RATE_HZ)
        return tuple(
            Interval(start_s=span["start"] / SAMPLE_RATE_HZ, end_s=span["end"] / SAMPLE_RATE_HZ)
            for span in found
        )


def _unmuted(audio: "Audio") -> "Audio":
    """`audio` with a quiet line's noise where nothing comes for two seconds or longer.

    A muted line sends zeros. After half a minute of them the model notices speech half a second late, and a
    short first word is lost; after noise it does not.
    """
    nothing = (audio > -_QUIET) & (audio < _QUIET)
    edges = np.flatnonzero(np.diff(nothing, prepend=False, append=False)).reshape(-1, 2)
    mutes = edges[edges[:, 1] - edges[:, 0] >= _MUTE_S * SAMPLE_RATE_HZ]
    if not len(mutes):
        return audio
    noisy = audio.copy()
    for start, end in mutes:
        noisy[start:end] += np.resize(_NOISE, end - start)
    return noisy
