"""Pieces of a recording, each of its own length and beginning, so that no cache has heard one before."""

import wave
from collections.abc import Iterator
from pathlib import Path
from random import Random


def cut(
    recording: Path, folder: Path, *, number: int, shortest_s: float, longest_s: float, draw: Random
) -> Iterator[Path]:
    """So many WAV files in `folder`, of lengths drawn between the two."""
    with wave.open(str(recording)) as source:
        rate, frames = source.getframerate(), source.getnframes()
        longest = min(longest_s, frames / rate)
        for each in range(number):
            length = int(draw.uniform(min(shortest_s, longest), longest) * rate)
            source.setpos(draw.randrange(frames - length + 1))
            path = folder / f"clip-{each:03}.wav"
            with wave.open(str(path), "wb") as clip:
                clip.setparams(source.getparams())
                clip.writeframes(source.readframes(length))
            yield path
