"""Recordings for tests: made at test time, in the formats that calls come in."""

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

SAMPLES = Path(__file__).parents[2] / "samples"
DATA = Path(__file__).parents[1] / "data" / "audio"
RATE_HZ = 16_000

Samples = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How a recording is written. `tells_its_end`: a cut anywhere can be seen."""

    name: str
    codec: str
    rate_hz: int = 8000
    video: bool = False
    tells_its_end: bool = True

    @property
    def decoded_codec(self) -> str:
        return {"libopus": "opus", "mp3": "mp3float", "amr_nb": "amrnb"}.get(self.codec, self.codec)


FORMS = (
    Form(name="linear.wav", codec="pcm_s16le", rate_hz=16_000),
    Form(name="float.wav", codec="pcm_f32le", rate_hz=44_100),
    Form(name="mulaw.wav", codec="pcm_mulaw"),
    Form(name="alaw.wav", codec="pcm_alaw"),
    Form(name="adpcm.wav", codec="adpcm_ima_wav"),
    Form(name="g722.wav", codec="g722", rate_hz=16_000),
    Form(name="sound.w64", codec="pcm_s16le"),
    Form(name="sound.aiff", codec="pcm_s16be"),
    Form(name="sound.au", codec="pcm_mulaw"),
    Form(name="sound.caf", codec="pcm_s16be"),
    Form(name="sound.flac", codec="flac"),
    Form(name="sound.mp3", codec="mp3", rate_hz=16_000),
    Form(name="sound.opus", codec="libopus", rate_hz=48_000),
    Form(name="sound.amr", codec="amr_nb"),
    Form(name="sound.aac", codec="aac", rate_hz=16_000),
    Form(name="sound.m4a", codec="aac", rate_hz=16_000),
    Form(name="sound.3gp", codec="amr_nb"),
    Form(name="sound.webm", codec="libopus", rate_hz=48_000),
    Form(name="video.mp4", codec="aac", rate_hz=16_000, video=True),
    Form(name="video.mkv", codec="aac", rate_hz=16_000, video=True),
    Form(name="video.avi", codec="mp3", rate_hz=16_000, video=True),
    Form(name="sound.ts", codec="mp3", rate_hz=16_000, tells_its_end=False),
)


def call(*, start_s: float = 0.0, length_s: float | None = None) -> Samples:
    """A stretch of the shipped two-speaker call, shape (1, n), at 16 kHz."""
    with wave.open(str(SAMPLES / "dialogue_16k_mono.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / np.float32(2**15)
    start = round(start_s * RATE_HZ)
    end = None if length_s is None else start + round(length_s * RATE_HZ)
    return samples[None, start:end].astype(np.float32)


def silence(length_s: float) -> Samples:
    return np.zeros((1, round(length_s * RATE_HZ)), np.float32)


def noise(length_s: float, dbfs: float) -> Samples:
    amplitude = 10 ** (dbfs / 20)
    samples = np.random.default_rng(7).normal(0, amplitude, (1, round(length_s * RATE_HZ)))
    return samples.astype(np.float32)


def side_by_side(*channels: Samples) -> Samples:
    """`channels` of shape (1, n) as one recording, the shorter ones filled up with silence."""
    length = max(channel.shape[1] for channel in channels)
    return np.concatenate(
        [np.pad(channel, ((0, 0), (0, length - channel.shape[1]))) for channel in channels]
    )


def record(folder: Path, form: Form, samples: Samples) -> Path:
    """`samples`, shape (channels, n) at 16 kHz, written as `form`."""
    path = folder / form.name
    with av.open(path, "w") as container:
        video = _add_video(container) if form.video else None
        layout = {1: "mono", 2: "stereo"}[len(samples)]
        stream = container.add_stream(form.codec, rate=form.rate_hz, layout=layout)
        assert isinstance(stream, AudioStream)
        _encode(container, stream, samples)
        if video is not None:
            _encode_video(container, video, samples.shape[1] / RATE_HZ)
    return path


def record_with_gap(
    path: Path, parts: Sequence[Samples], gap_s: float, offset_s: float = 0
) -> Path:
    """`parts` in Opus, `gap_s` of nothing between them, and video from the beginning."""
    with av.open(path, "w") as container:
        video = _add_video(container)
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        assert isinstance(stream, AudioStream)
        start_s = offset_s
        for part in parts:
            _encode(container, stream, part, start_s=start_s, last=part is parts[-1])
            start_s += part.shape[1] / RATE_HZ + gap_s
        _encode_video(container, video, start_s - gap_s)
    return path


def record_video_only(path: Path, length_s: float) -> Path:
    with av.open(path, "w") as container:
        _encode_video(container, _add_video(container), length_s)
    return path


def _encode(
    container: OutputContainer,
    stream: AudioStream,
    samples: Samples,
    *,
    start_s: float = 0.0,
    last: bool = True,
) -> None:
    context = stream.codec_context
    if not context.is_open:
        context.open()  # only then it tells its frame size
    resampler = AudioResampler(
        context.format, context.layout, context.sample_rate, context.frame_size or 1024
    )
    frame = AudioFrame.from_ndarray(
        np.ascontiguousarray(samples), "fltp", {1: "mono", 2: "stereo"}[len(samples)]
    )
    frame.sample_rate = RATE_HZ
    at = round(start_s * context.sample_rate)
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        piece.pts, piece.time_base = at, Fraction(1, context.sample_rate)
        at += piece.samples
        if last or piece.samples == context.frame_size:
            container.mux(stream.encode(piece))
    if last:
        container.mux(stream.encode(None))


def _add_video(container: OutputContainer) -> Any:
    stream = container.add_stream("mpeg4", rate=10)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    return stream


def _encode_video(container: OutputContainer, stream: Any, length_s: float) -> None:
    for number in range(round(10 * length_s)):
        frame = VideoFrame(64, 64, "yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 10)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def wav_bytes(samples: Samples, *, rate_hz: int = RATE_HZ) -> bytes:
    """A 16 bit WAV file of `samples`, shape (channels, n)."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(len(samples))
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(np.round(samples.T * 32767).astype("<i2").tobytes())
    return file.getvalue()
