"""Five seconds of a telephone call with two speakers (a made one), which audio models warm up on."""

import wave
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from callytics.ports import Audio


def warm_up_audio() -> "Audio":
    with wave.open(str(Path(__file__).with_suffix(".wav"))) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples.astype(np.float32) / np.float32(2**15)
