"""Recordings to prepared channels: decoded, told apart, searched for speech, brought to one level."""

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias

import av
import numpy as np

from callytics.domain.audio import (
    SAMPLE_RATE_HZ,
    Attribution,
    PreparedAudio,
    PreparedChannel,
)
from callytics.domain.intervals import union
from callytics.domain.transcript import Interval
from callytics.errors import AudioChannelsError, AudioTooShortError
from callytics.ports import AudioStore, ModelInfo, Progress, VoiceActivity
from callytics.settings import AudioSettings
from workers.audio.decode import Decoded, decode
from workers.audio.signal import (
    blocks,
    denoised,
    level_dbfs,
    limited,
    own_speech,
    peak,
    same_signal,
    snr_db,
    whole,
)
from workers.runtimes.warm_up import warm_up_audio

if TYPE_CHECKING:
    from callytics.ports import Audio

PAIR = 2
LARGEST_GAIN_DB = 40.0
FULL_SCALE = 2**15 - 1

LISTEN_S = 60.0
"""The voice activity model hears so much at once, and MARGIN (samples) before and after it."""
MARGIN = 2 * SAMPLE_RATE_HZ

DECODED_SHARE, SEARCHED_SHARE = 0.5, 0.8
"""Progress when the recording is decoded, and when speech is found."""

_LIBAVCODEC = ".".join(map(str, av.library_versions["libavcodec"]))
_Speech: TypeAlias = tuple[Interval, ...]


class AudioPreparer:
    """A Preparer. Holds no more than a few minutes of audio in memory, however long the call."""

    def __init__(
        self, settings: AudioSettings, *, store: AudioStore, voice_activity: VoiceActivity
    ) -> None:
        self._settings = settings
        self._store = store
        self._voice_activity = voice_activity
        self.info = ModelInfo(
            name="ffmpeg+silero-vad",
            revision=f"libavcodec {_LIBAVCODEC}, faster-whisper {version('faster-whisper')}",
            device="cpu",
            settings=settings.model_dump(include={"loudness_dbfs", "denoise_below_snr_db"}),
        )

    def warm_up(self) -> None:
        self._voice_activity.speech(warm_up_audio())

    def prepare(
        self,
        original: Path,
        *,
        key_prefix: str,
        channels: Mapping[str, int] | None,
        progress: Progress,
    ) -> PreparedAudio:
        with TemporaryDirectory(prefix="callytics-") as name:
            folder = Path(name)
            decoded = decode(
                original,
                folder,
                max_duration_s=self._settings.max_duration_s,
                progress=lambda share: progress(DECODED_SHARE * share),
            )
            self._check(decoded, channels)
            by_channel = channels is not None or len(decoded.channels) > PAIR
            speech = self._speech(decoded.channels, by_channel=by_channel)
            progress(SEARCHED_SHARE)
            prepared = [
                self._store_channel(index, decoded.channels[index], found, key_prefix, folder)
                for index, found in speech.items()
            ]
        progress(1.0)
        by_channel = by_channel or len(prepared) == PAIR
        return PreparedAudio(
            sha256=_sha256(original),
            codec=decoded.codec,
            sample_rate_hz=decoded.sample_rate_hz,
            source_channels=len(decoded.channels),
            duration_s=decoded.duration_s,
            attribution=Attribution.CHANNEL if by_channel else Attribution.DIARIZATION,
            channels=tuple(prepared),
        )

    def _check(self, decoded: Decoded, channels: Mapping[str, int] | None) -> None:
        """`channels` (role -> channel number) must name each channel of the recording once."""
        if decoded.duration_s < self._settings.min_duration_s:
            raise AudioTooShortError(min_duration_s=self._settings.min_duration_s)
        number = len(decoded.channels)
        if channels is not None and sorted(channels.values()) != list(range(number)):
            raise AudioChannelsError(
                f"The audio has {number} channel(s); `channels` must name each of them once, from 0.",
                source_channels=number,
            )

    def _speech(self, channels: Sequence["Audio"], *, by_channel: bool) -> dict[int, _Speech]:
        """Channel number -> where somebody speaks on it, for the channels that are worth reading.

        Of two channels one is enough if they carry the same, or if on one nobody speaks, unless
        speakers are to be told `by_channel`.
        """
        if not by_channel and len(channels) == PAIR and same_signal(*channels):
            louder = int(level_dbfs(channels[1]) > level_dbfs(channels[0]))
            return {louder: self._listen(channels[louder])}
        heard = [self._listen(audio) for audio in channels]
        speech = {
            index: own_speech(audio, heard[index], [*channels[:index], *channels[index + 1 :]])
            for index, audio in enumerate(channels)
        }
        talking = {index: found for index, found in speech.items() if found}
        if not by_channel and len(talking) < PAIR:
            return talking or {0: ()}
        return speech

    def _listen(self, audio: "Audio") -> _Speech:
        """Where somebody speaks, found piece by piece: the model's memory grows with what it hears."""
        found: list[Interval] = []
        within = np.float32(max(1.0, peak(audio)))  # floating point formats know no full scale
        for part in blocks(whole(audio), LISTEN_S):
            begin = max(0, part.start - MARGIN)
            heard = self._voice_activity.speech(audio[begin : part.stop + MARGIN] / within)
            found += _moved(heard, begin, part)
        return union(found)

    def _store_channel(
        self, index: int, audio: "Audio", speech: _Speech, key_prefix: str, folder: Path
    ) -> PreparedChannel:
        key = f"{key_prefix}/channel-{index}.wav"
        clean = denoised(audio, speech, folder) if self._is_noisy(audio, speech) else audio
        gain_db = self._settings.loudness_dbfs - level_dbfs(clean, speech) if speech else 0.0
        self._store.write(key, _wav(clean, 10 ** (min(gain_db, LARGEST_GAIN_DB) / 20)))
        rms_dbfs = level_dbfs(audio, speech or None)
        return PreparedChannel(index=index, key=key, speech=speech, rms_dbfs=round(rms_dbfs, 2))

    def _is_noisy(self, audio: "Audio", speech: _Speech) -> bool:
        limit = self._settings.denoise_below_snr_db
        snr = snr_db(audio, speech) if limit is not None else None
        return limit is not None and snr is not None and snr < limit


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _moved(heard: _Speech, begin: int, part: slice) -> Iterator[Interval]:
    """What was heard from the sample `begin` on, in the times of the whole, within `part`."""
    start_s, end_s = part.start / SAMPLE_RATE_HZ, part.stop / SAMPLE_RATE_HZ
    offset_s = begin / SAMPLE_RATE_HZ
    for one in heard:
        first_s, last_s = max(start_s, one.start_s + offset_s), min(end_s, one.end_s + offset_s)
        if first_s < last_s:
            yield Interval(start_s=first_s, end_s=last_s)


def _wav(audio: "Audio", gain: float) -> Iterator[bytes]:
    """`audio`, `gain` times as loud, as a mono 16 bit WAV file."""
    size = 2 * len(audio)
    form = struct.pack("<IHHIIHH", 16, 1, 1, SAMPLE_RATE_HZ, 2 * SAMPLE_RATE_HZ, 2, 16)
    yield b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + form
    yield b"data" + struct.pack("<I", size)
    for part in blocks(whole(audio)):
        samples = limited(audio[part] * np.float32(gain))
        yield np.round(samples * FULL_SCALE).astype("<i2").tobytes()
