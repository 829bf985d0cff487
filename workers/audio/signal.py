"""Levels, crosstalk and noise of speech at 16 kHz. Arrays may be mapped from the disk: all go in blocks."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from math import log10, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.domain.intervals import complement, union
from callytics.domain.transcript import Interval

if TYPE_CHECKING:
    from callytics.ports import Audio

BLOCK_S = 60.0
SILENCE_DBFS = -120.0
"""Stands for digital silence, whose level is minus infinity."""

SAME_SIGNAL = 0.98
"""Correlation above which two channels are one recorded twice (telephone calls: below 0.1)."""

CROSSTALK_DB = 12.0
CROSSTALK_LIKENESS = 0.35
"""Speech on a channel is crosstalk if another channel has it so much louder, and so like in shape.
On 1 s pieces of a call through a telephone filter, mu-law and delays up to 0.25 s, crosstalk of -14 to
-35 dB had a likeness of 0.45 to 0.9, two people who talk at once of 0.22 at most."""

PIECE_S = 1.0
ECHO_S = 0.3
"""Longest delay of crosstalk (a line echo)."""

DENOISE_LIMIT_DB = 12.0
"""Noise is taken down by no more: what is taken away whole takes words with it."""

NOISE_SAMPLE_S = 30.0
"""So much of what is no speech tells what the noise is like."""

LIMIT_FROM = 0.7
"""Samples above this (-3 dBFS) are bent towards 1 instead of being cut off there."""


def blocks(interval: Interval, block_s: float = BLOCK_S) -> Iterator[slice]:
    """The samples of `interval` in slices of at most `block_s`."""
    start, end = _sample(interval.start_s), _sample(interval.end_s)
    step = _sample(block_s)
    for begin in range(start, end, step):
        yield slice(begin, min(begin + step, end))


def whole(audio: "Audio") -> Interval:
    return Interval(start_s=0.0, end_s=len(audio) / SAMPLE_RATE_HZ)


def level_dbfs(audio: "Audio", intervals: Iterable[Interval] | None = None) -> float:
    """Root mean square of `audio` within `intervals` (None: of all of it), in dB below full scale."""
    energy = samples = 0.0
    for interval in (whole(audio),) if intervals is None else intervals:
        for part in blocks(interval):
            energy += _energy(audio[part])
            samples += len(audio[part])
    return _decibel(energy / samples) if samples else SILENCE_DBFS


def peak(audio: "Audio") -> float:
    return max(float(np.abs(audio[part]).max()) for part in blocks(whole(audio)))


def snr_db(audio: "Audio", speech: Sequence[Interval]) -> float | None:
    """Level of the speech above that of the rest; None if there is no rest to compare with."""
    rest = pauses(audio, speech)
    if not speech or not rest:
        return None
    return level_dbfs(audio, speech) - level_dbfs(audio, rest)


def pauses(audio: "Audio", speech: Sequence[Interval]) -> tuple[Interval, ...]:
    return complement(speech, whole(audio).end_s)


def same_signal(left: "Audio", right: "Audio") -> bool:
    """Whether the channels carry one signal, at whatever levels."""
    product = left_energy = right_energy = 0.0
    for part in blocks(whole(left)):
        product += float(np.dot(left[part], right[part]))
        left_energy += _energy(left[part])
        right_energy += _energy(right[part])
    return abs(product) > SAME_SIGNAL * sqrt(left_energy * right_energy)


def own_speech(
    audio: "Audio", speech: Iterable[Interval], others: Sequence["Audio"]
) -> tuple[Interval, ...]:
    """The `speech` of a channel that is not crosstalk of one of the `others`."""
    pieces = (piece for interval in speech for piece in _pieces(interval))
    own = [
        piece for piece in pieces if not any(_is_crosstalk(piece, audio, other) for other in others)
    ]
    return union(own, join_s=1 / SAMPLE_RATE_HZ)


def _pieces(interval: Interval) -> Iterator[Interval]:
    number = max(1, round(interval.duration_s / PIECE_S))
    length_s = interval.duration_s / number
    for n in range(number):
        start_s = interval.start_s + n * length_s
        yield Interval(start_s=start_s, end_s=start_s + length_s)


def _is_crosstalk(piece: Interval, audio: "Audio", other: "Audio") -> bool:
    start, end = _sample(piece.start_s), _sample(piece.end_s)
    weak, strong = audio[start:end], other[max(0, start - _sample(ECHO_S)) : end]
    louder_db = _power_db(strong) - _power_db(weak)
    return louder_db >= CROSSTALK_DB and _likeness(weak, strong) >= CROSSTALK_LIKENESS


def _likeness(left: "Audio", right: "Audio") -> float:
    """The highest correlation (0..1) of the two at any shift: 1 for one and the same sound."""
    size = 1 << (len(left) + len(right) - 2).bit_length()
    spectrum = np.fft.rfft(left, size) * np.conj(np.fft.rfft(right, size))
    highest = float(np.abs(np.fft.irfft(spectrum, size)).max())
    norm = sqrt(_energy(left) * _energy(right))
    return highest / norm if norm else 0.0


def denoised(audio: "Audio", speech: Sequence[Interval], folder: Path) -> "Audio":
    """`audio`, in a file in `folder`, with steady noise taken down by DENOISE_LIMIT_DB.

    What the noise is like is heard where nobody speaks.
    """
    import noisereduce  # noqa: PLC0415 (slow to import, seldom used)

    noise = _first(audio, pauses(audio, speech), NOISE_SAMPLE_S)
    cleaned = np.memmap(folder / "denoised.f32", np.float32, mode="w+", shape=audio.shape)
    for part in blocks(whole(audio)):
        begin = max(0, part.start - SAMPLE_RATE_HZ)
        with_margin = noisereduce.reduce_noise(
            y=audio[begin : part.stop + SAMPLE_RATE_HZ],
            sr=SAMPLE_RATE_HZ,
            stationary=True,
            y_noise=noise,
            prop_decrease=1 - 10 ** (-DENOISE_LIMIT_DB / 20),
            chunk_size=None,
        )
        cleaned[part] = with_margin[part.start - begin : part.stop - begin]
    return cleaned


def _first(audio: "Audio", intervals: Iterable[Interval], length_s: float) -> "Audio":
    """The first `length_s` of what `intervals` hold, in one piece."""
    wanted, parts = _sample(length_s), []
    for part in chain.from_iterable(map(blocks, intervals)):
        parts.append(audio[part][:wanted])
        wanted -= len(parts[-1])
    return np.concatenate(parts)


def limited(samples: "Audio") -> "Audio":
    """`samples` within -1..1: what is above LIMIT_FROM is bent, the rest is left as it is."""
    room = 1 - LIMIT_FROM
    size = np.abs(samples)
    bent = LIMIT_FROM + room * np.tanh((size - LIMIT_FROM) / room)
    return np.where(size > LIMIT_FROM, np.copysign(bent, samples), samples)


def _sample(time_s: float) -> int:
    return round(time_s * SAMPLE_RATE_HZ)


def _energy(samples: "Audio") -> float:
    return float(np.dot(samples, samples))


def _decibel(power: float) -> float:
    return max(SILENCE_DBFS, 10 * log10(power)) if power > 0 else SILENCE_DBFS


def _power_db(samples: "Audio") -> float:
    return _decibel(_energy(samples) / max(1, len(samples)))
