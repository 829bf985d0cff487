"""Any recording that ffmpeg can decode, as 16 kHz channels on the disk: a long call fits no memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.errors import (
    AudioChannelsError,
    AudioTooLongError,
    AudioTooShortError,
    EmptyAudioError,
    NotAudioError,
    TruncatedAudioError,
)
from callytics.ports import Progress
from workers.audio.channel_files import ChannelFiles
from workers.audio.headers import Header, mp3_tells_its_length, read_header

if TYPE_CHECKING:
    from callytics.ports import Audio

MIN_RATE_HZ = 4000
"""Telephone speech has 8000."""

MAX_CHANNELS = 16

SLACK_S = 0.25
"""Codecs pad and trim a little at the ends; what is shorter than told by more was cut."""

# Containers and streams that carry sound, by ffmpeg's names. Not all that it knows: a playlist, for
# one, would have it open other files and addresses.
FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dss,eac3,flac,flv,g729,gsm,ircam,ivr,lc3,loas,"
    "matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,nistsphere,nut,ogg,qcp,rm,sox,tak,tta,voc,w64,wav,wv,xwma"
)
_OPEN_OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}

_TELL_LENGTH = frozenset({"aiff", "au", "flac", "mov,mp4,m4a,3gp,3g2,mj2"})
_TELL_LENGTH_OF_ALL = frozenset({"matroska,webm"})
"""Formats whose header has the exact length of each stream, or of the longest one. Of others ffmpeg
gives an estimate (MP3 goes either way)."""

_BETTER_DECODERS = {"amrnb": "libopencore_amrnb"}
"""ffmpeg's own AMR decoder leaves out the frames that mobile phones send in pauses (comfort noise)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """`channels`: one array a channel, of equal length, at 16 kHz, read from the disk as it is used."""

    codec: str
    sample_rate_hz: int
    channels: Sequence["Audio"]

    @property
    def duration_s(self) -> float:
        return len(self.channels[0]) / SAMPLE_RATE_HZ


def decode(path: Path, folder: Path, *, max_duration_s: float, progress: Progress) -> Decoded:
    """The recording's main audio stream, its channels kept in `folder`.

    Raises EmptyAudioError, NotAudioError, TruncatedAudioError, AudioTooShortError (no sound at all),
    AudioTooLongError and AudioChannelsError.
    """
    with path.open("rb") as file:
        if not file.read(1):
            raise EmptyAudioError
        header = read_header(file)
    try:
        # Titles in the tags may be in any encoding (CP949 is usual in Korea).
        with av.open(path, options=_OPEN_OPTIONS, metadata_errors="ignore") as container:
            recording = _Recording(container, header, path)
            return _decode(recording, folder, max_duration_s, progress)
    except av.FFmpegError:
        # Whatever it is called: ffmpeg says "input/output error" and "out of memory" of bad data too.
        raise NotAudioError from None


def _decode(
    recording: "_Recording", folder: Path, max_duration_s: float, progress: Progress
) -> Decoded:
    told_s = recording.told_s
    _check_length(told_s, max_duration_s)
    frames = recording.frames()
    first = next(frames)
    _check_channels(first.layout.nb_channels)
    with ChannelFiles(folder, first.layout) as files:
        for frame in chain([first], frames):
            # Before it is resampled: a few bytes may claim a frame of hours.
            _check_rate(frame.sample_rate)
            _check_length(files.length_s + frame.samples / frame.sample_rate, max_duration_s)
            files.write(frame, recording.start_s)
            _check_length(files.length_s, max_duration_s)
            progress(min(1.0, files.length_s / told_s) if told_s else 0.0)
        files.flush()
    recording.check_whole(files.length_s)
    return Decoded(codec=recording.codec, sample_rate_hz=first.sample_rate, channels=files.mapped())


def _check_length(length_s: float, max_duration_s: float) -> None:
    if length_s > max_duration_s:
        raise AudioTooLongError(max_duration_s=max_duration_s)


def _check_rate(rate_hz: int) -> None:
    if rate_hz < MIN_RATE_HZ:
        raise NotAudioError(f"The audio has {rate_hz} Hz; speech needs {MIN_RATE_HZ} Hz or more.")


def _check_channels(number: int) -> None:
    if not 0 < number <= MAX_CHANNELS:
        raise AudioChannelsError(f"The audio has {number} channels; 1 to {MAX_CHANNELS} are taken.")


class _Recording:
    """An open container, its audio stream, and what it tells of its length."""

    def __init__(self, container: InputContainer, header: Header, path: Path) -> None:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream) or stream.codec_context is None:
            raise NotAudioError
        self._container = container
        self._stream = stream
        self._header = header
        self._told_s = self._all_told_s = 0.0
        if _tells_length(container.format.name, path):
            self._told_s = float((stream.duration or 0) * (stream.time_base or 0))
        elif container.format.name in _TELL_LENGTH_OF_ALL:
            self._all_told_s = (container.duration or 0) / av.time_base
        self._reached_s = 0.0
        self._last_is_broken = False
        self.codec = stream.codec_context.name
        self._decoder = _decoder(stream)
        self.start_s = (container.start_time or 0) / av.time_base

    @property
    def told_s(self) -> float:
        """How long the audio is, if the file says so for certain; else 0."""
        return self._header.duration_s or self._told_s or self._all_told_s

    def frames(self) -> Iterator[AudioFrame]:
        """At least one; raises what `decode` says if there is none.

        A packet that cannot be decoded is left out, as players do; if most cannot, this is no audio.
        """
        decoded = undecoded = 0
        for packet in self._packets():
            try:
                frames = self._decoder.decode(packet if packet.size else None)
            except av.FFmpegError:
                undecoded += 1
                self._last_is_broken = True
                continue
            if packet.size:
                self._last_is_broken = packet.is_corrupt
            decoded += len(frames)
            yield from frames
        if not decoded and self.told_s > SLACK_S:
            raise TruncatedAudioError
        if undecoded > decoded:
            raise NotAudioError
        if not decoded:
            raise AudioTooShortError

    def check_whole(self, length_s: float) -> None:
        """Raise TruncatedAudioError unless the `length_s` that were decoded are all."""
        if self._header.exact:
            return
        missing_s = max(self._told_s - length_s, self._all_told_s - self._reached_s)
        if self._last_is_broken or missing_s > SLACK_S:
            raise TruncatedAudioError

    def _packets(self) -> "Iterator[Packet[Any]]":
        """The audio stream's packets; of all streams it is noted how far they reach."""
        try:
            for packet in self._container.demux():
                if packet.pts is not None:
                    end = (packet.pts + (packet.duration or 0)) * packet.time_base
                    self._reached_s = max(self._reached_s, float(end))
                if packet.stream is self._stream:
                    yield packet
        except av.FFmpegError:
            self._last_is_broken = True


def _decoder(stream: AudioStream) -> AudioCodecContext:
    name = stream.codec_context.name
    if name not in _BETTER_DECODERS:
        return stream.codec_context
    decoder = cast("AudioCodecContext", CodecContext.create(_BETTER_DECODERS[name], "r"))
    decoder.sample_rate, decoder.layout = stream.sample_rate, stream.layout
    return decoder


def _tells_length(name: str, path: Path) -> bool:
    if name == "mp3":
        with path.open("rb") as file:
            return mp3_tells_its_length(file)
    return name in _TELL_LENGTH
