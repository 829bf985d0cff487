"""Prepared channels out of the audio store, as the models take them."""

import wave
from typing import TYPE_CHECKING

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.ports import AudioStore

if TYPE_CHECKING:
    from callytics.ports import Audio


def read_channel(store: AudioStore, key: str) -> "Audio":
    """The channel that preprocessing stored under `key`; raises AudioMissingError."""
    import numpy as np  # noqa: PLC0415 (the API reads no audio and has no numpy)

    with store.open_local(key) as path, wave.open(str(path), "rb") as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (
            SAMPLE_RATE_HZ,
            1,
            2,
        ):
            raise ValueError("a prepared channel is mono, 16 kHz, 16 bit")
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return samples.astype(np.float32) / np.float32(2**15)
