"""Silero's voice activity model on lines that were muted."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from callytics.domain.audio import SAMPLE_RATE_HZ
from workers.runtimes.voice_activity import SileroVoiceActivity

if TYPE_CHECKING:
    from callytics.ports import Audio


@pytest.mark.parametrize("muted_s", [0, 10, 40, 120])
def test_speech_is_noticed_when_it_begins_however_long_the_line_was_muted(
    call: "Audio", muted_s: int
) -> None:
    muted = np.zeros(muted_s * SAMPLE_RATE_HZ, np.float32)

    first = SileroVoiceActivity().speech(np.concatenate([muted, call[: 4 * SAMPLE_RATE_HZ]]))[0]

    assert first.start_s - muted_s == pytest.approx(1.1, abs=0.1)


def test_a_muted_line_has_no_speech() -> None:
    assert SileroVoiceActivity().speech(np.zeros(60 * SAMPLE_RATE_HZ, np.float32)) == ()


def test_no_audio_has_no_speech() -> None:
    assert SileroVoiceActivity().speech(np.zeros(0, np.float32)) == ()
