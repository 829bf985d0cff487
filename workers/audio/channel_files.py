"""Decoded sound, resampled to 16 kHz and written channel by channel as it comes."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler

from callytics.domain.audio import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from callytics.ports import Audio

GAP_S = 0.1
LONGEST_GAP_S = 3600.0
"""Where the times jump ahead, nothing was recorded (a muted line): silence goes there, or what follows
would come too early. A longer jump is a clock that was set, not a gap."""

LOUDEST = 2.0**15
"""Above this a sample is no sound (some write 16 bit values as floating point numbers)."""

_SILENCE_BLOCK = 2**20


class ChannelFiles:
    """One file of float32 samples a channel, in `folder`."""

    def __init__(self, folder: Path, layout: AudioLayout) -> None:
        self._paths = [folder / f"channel-{index}.f32" for index in range(layout.nb_channels)]
        self._layout = layout
        self._resampler = AudioResampler("flt", layout, SAMPLE_RATE_HZ)
        self._form: tuple[str, str, int] | None = None
        self._samples = 0
        self._due_s = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            self._files = [opened.enter_context(path.open("wb")) for path in self._paths]
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    @property
    def length_s(self) -> float:
        return self._samples / SAMPLE_RATE_HZ

    def write(self, frame: AudioFrame, start_s: float) -> None:
        """Append `frame`; its times count from `start_s`."""
        self._fill_gap(frame, start_s)
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:  # at the first frame, and where a recording changes its form midway
            self.flush()
            self._resampler = AudioResampler("flt", self._layout, SAMPLE_RATE_HZ)
            self._form = form
        self._resample(frame)

    def flush(self) -> None:
        """Write what the resampler still holds."""
        self._resample(None)

    def mapped(self) -> tuple["Audio", ...]:
        """The channels, shape (n,) each, read from the disk as they are used."""
        return tuple(np.memmap(path, np.float32, mode="r") for path in self._paths)

    def _fill_gap(self, frame: AudioFrame, start_s: float) -> None:
        at_s = self._due_s
        if frame.pts is not None and frame.time_base is not None:
            at_s = float(frame.pts * frame.time_base) - start_s
        gap_s = at_s - self._due_s
        if GAP_S < gap_s < LONGEST_GAP_S:
            missing = round(gap_s * SAMPLE_RATE_HZ)
            for begin in range(0, missing, _SILENCE_BLOCK):
                length = min(_SILENCE_BLOCK, missing - begin)
                self._append(np.zeros((len(self._paths), length), np.float32))
        self._due_s = at_s + frame.samples / frame.sample_rate

    def _resample(self, frame: AudioFrame | None) -> None:
        for resampled in self._resampler.resample(frame):
            # Interleaved, since PyAV 18.1 reads beyond its memory where eight channels stand apart.
            samples = resampled.to_ndarray().reshape(-1, len(self._paths))
            self._append(np.clip(np.nan_to_num(samples.T), -LOUDEST, LOUDEST))

    def _append(self, samples: "Audio") -> None:
        """`samples`: shape (channels, n)."""
        for file, channel in zip(self._files, samples, strict=True):
            file.write(np.ascontiguousarray(channel, np.float32).tobytes())
        self._samples += samples.shape[1]
