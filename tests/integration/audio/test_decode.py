"""Real files of many kinds, whole and broken, through the real decoder."""

import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callytics.domain.audio import SAMPLE_RATE_HZ
from callytics.errors import (
    AudioChannelsError,
    AudioTooLongError,
    AudioTooShortError,
    EmptyAudioError,
    NotAudioError,
    StageAbandonedError,
    TruncatedAudioError,
    UnusableAudioError,
)
from callytics.ports import Progress
from tests.support.recordings import (
    DATA,
    FORMS,
    Form,
    call,
    record,
    record_video_only,
    record_with_gap,
    side_by_side,
    silence,
    wav_bytes,
)
from workers.audio.decode import MAX_CHANNELS, Decoded, decode

LENGTH_S = 4.0
EXACT = Form(name="exact.wav", codec="pcm_s16le", rate_hz=16_000)


def nothing(_share: float) -> None:
    pass


def opened(
    path: Path, tmp_path: Path, *, max_duration_s: float = 600, progress: Progress = nothing
) -> Decoded:
    folder = tmp_path / "decoded"
    folder.mkdir(exist_ok=True)
    return decode(path, folder, max_duration_s=max_duration_s, progress=progress)


def likeness(left: np.ndarray, right: np.ndarray) -> float:
    """The highest correlation at any shift."""
    size = 2 * max(len(left), len(right))
    spectrum = np.fft.rfft(left, size) * np.conj(np.fft.rfft(right, size))
    norm = np.sqrt(np.dot(left, left) * np.dot(right, right))
    return float(np.fft.irfft(spectrum, size).max() / norm)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_formats_that_calls_come_in(form: Form, tmp_path: Path) -> None:
    sound = call(start_s=1, length_s=LENGTH_S)
    path = record(tmp_path, form, sound).rename(tmp_path / "original")  # the store keeps no name
    found = opened(path, tmp_path)
    assert found.codec == form.decoded_codec
    assert found.duration_s == pytest.approx(LENGTH_S, abs=0.25)
    assert len(found.channels) == 1
    assert found.channels[0].dtype == np.float32
    # Telephone codecs keep nothing above 4 kHz, and AMR not the wave's exact shape.
    assert likeness(found.channels[0], sound[0]) > (0.7 if "amr" in form.codec else 0.9)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("speech.gsm", "gsm"), ("speech_gsm.wav", "gsm_ms"), ("mobile.amr", "amrnb")],
)
def test_telephone_formats_that_only_others_write(name: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes((DATA / name).read_bytes())
    found = opened(path, tmp_path)
    assert (found.codec, found.sample_rate_hz) == (codec, 8000)
    assert found.duration_s == pytest.approx(3.0, abs=0.05)
    assert likeness(found.channels[0], call(start_s=1, length_s=3)[0]) > 0.6


@pytest.mark.parametrize(
    "form", [form for form in FORMS if form.tells_its_end], ids=lambda f: f.name
)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_was_cut_is_refused(form: Form, share: float, tmp_path: Path) -> None:
    whole = record(tmp_path, form, call(start_s=1, length_s=LENGTH_S)).read_bytes()
    path = tmp_path / "original"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(TruncatedAudioError):
        opened(path, tmp_path)


def test_channels_keep_their_places(tmp_path: Path) -> None:
    left, right = call(start_s=1, length_s=3), call(start_s=9, length_s=3)
    path = record(tmp_path, Form(name="two.wav", codec="pcm_mulaw"), side_by_side(left, right))
    found = opened(path, tmp_path)
    assert likeness(found.channels[0], left[0]) > 0.9
    assert likeness(found.channels[1], right[0]) > 0.9


@pytest.mark.parametrize("number", [3, 6, 8, MAX_CHANNELS])
def test_more_channels_than_two_stay_apart(number: int, tmp_path: Path) -> None:
    tones = np.zeros((number, SAMPLE_RATE_HZ), np.float32)
    for index in range(number):
        tones[index] = 0.5 * np.sin(np.arange(SAMPLE_RATE_HZ) * 2 * np.pi * (index + 1) * 0.01)
    path = tmp_path / "original"
    path.write_bytes(wav_bytes(tones))
    found = opened(path, tmp_path)
    assert len(found.channels) == number
    for index in range(number):
        np.testing.assert_allclose(found.channels[index], tones[index], atol=1e-3)


@pytest.mark.parametrize("name", ["gap.mp4", "gap.mkv"])
def test_where_nothing_was_recorded_there_is_silence(name: str, tmp_path: Path) -> None:
    first, second = call(start_s=1, length_s=2), call(start_s=9, length_s=2)
    path = record_with_gap(tmp_path / name, [first, second], gap_s=3.0, offset_s=1.0)
    found = opened(path, tmp_path)
    assert found.duration_s == pytest.approx(8.0, abs=0.1)
    samples = found.channels[0]
    for start_s, part in ((1.0, first), (6.0, second)):
        start = int(start_s * SAMPLE_RATE_HZ)
        assert likeness(samples[start : start + part.shape[1]], part[0]) > 0.9
    assert np.abs(samples[int(3.2 * SAMPLE_RATE_HZ) : int(5.8 * SAMPLE_RATE_HZ)]).max() < 1e-3


def test_a_recording_that_changes_its_form_midway_goes_on(tmp_path: Path) -> None:
    mono = record(tmp_path, Form(name="a.aac", codec="aac", rate_hz=16_000), call(length_s=3))
    stereo = side_by_side(call(start_s=8, length_s=3), silence(3))
    other = record(tmp_path, Form(name="b.aac", codec="aac", rate_hz=44_100), stereo)
    path = tmp_path / "original"
    path.write_bytes(mono.read_bytes() + other.read_bytes())
    found = opened(path, tmp_path)
    assert len(found.channels) == 1
    assert found.duration_s == pytest.approx(6.0, abs=0.4)


def test_samples_that_are_no_numbers_become_silence(tmp_path: Path) -> None:
    sound = call(length_s=1)
    sound[0, 100:200] = np.nan
    path = record(tmp_path, Form(name="f.wav", codec="pcm_f32le", rate_hz=16_000), sound)
    assert np.isfinite(opened(path, tmp_path).channels[0]).all()


def test_tags_in_another_encoding_do_no_harm(tmp_path: Path) -> None:
    content = wav_bytes(call(length_s=1))
    title = "상담 녹취".encode("cp949") + b"\0"
    tag = b"LIST" + struct.pack("<I", 12 + len(title)) + b"INFOINAM" + struct.pack("<I", len(title))
    path = tmp_path / "original"
    path.write_bytes(content + tag + title)
    assert opened(path, tmp_path).duration_s == 1.0


def piped(content: bytes, told: int) -> bytes:
    """The WAV as a program writes it that cannot go back to fill in the length."""
    data = content.index(b"data")
    size = struct.pack("<I", told)
    return content[:4] + size + content[8 : data + 4] + size + content[data + 8 :]


@pytest.mark.parametrize("told", [0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_piped_wav_is_as_long_as_it_is(told: int, tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes(piped(wav_bytes(call(length_s=2)), told))
    assert opened(path, tmp_path).duration_s == pytest.approx(2.0, abs=0.01)


# --- what cannot be used -------------------------------------------------------------------------


def not_audio_at_all() -> dict[str, bytes]:
    random = np.random.default_rng(1).integers(0, 256, 20_000, np.uint8).tobytes()
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n"
    return {
        "text": "여보세요, 저는 파일입니다.\n".encode() * 50,
        "random bytes": random,
        "packed bytes": zlib.compress(random),
        "a playlist": playlist,
        "a concatenation script": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "an RTP session": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
        "a picture": b"\x89PNG\r\n\x1a\n" + random[:3000],
    }


@pytest.mark.parametrize("what", not_audio_at_all())
def test_what_is_no_audio_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / "original.wav"
    path.write_bytes(not_audio_at_all()[what])
    with pytest.raises(NotAudioError):
        opened(path, tmp_path)


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    path = record_video_only(tmp_path / "silent.mkv", 1.0)
    with pytest.raises(NotAudioError):
        opened(path, tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.touch()
    with pytest.raises(EmptyAudioError):
        opened(path, tmp_path)


def test_a_header_without_any_sound(tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes(wav_bytes(silence(0)))
    with pytest.raises(AudioTooShortError):
        opened(path, tmp_path)


def test_a_header_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes(wav_bytes(call(length_s=1))[:30])
    with pytest.raises(TruncatedAudioError):
        opened(path, tmp_path)


def test_a_header_of_zero_channels(tmp_path: Path) -> None:
    content = bytearray(wav_bytes(call(length_s=1)))
    content[22:24] = b"\0\0"
    path = tmp_path / "original"
    path.write_bytes(content)
    with pytest.raises(AudioChannelsError):
        opened(path, tmp_path)


def test_a_sample_rate_that_no_speech_has_is_refused_before_it_is_resampled(tmp_path: Path) -> None:
    content = bytearray(wav_bytes(call(length_s=1)))
    content[24:28] = (16).to_bytes(4, "little")
    path = tmp_path / "original"
    path.write_bytes(content)
    with pytest.raises(NotAudioError, match="16 Hz"):
        opened(path, tmp_path)


def test_too_many_channels(tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes(wav_bytes(np.zeros((MAX_CHANNELS + 1, 8000), np.float32)))
    with pytest.raises(AudioChannelsError):
        opened(path, tmp_path)


def test_a_recording_that_tells_it_is_too_long_is_refused_before_it_is_decoded(
    tmp_path: Path,
) -> None:
    path = record(tmp_path, Form(name="a.flac", codec="flac"), call(length_s=LENGTH_S))

    def never(_share: float) -> None:
        pytest.fail("it was decoded")

    with pytest.raises(AudioTooLongError) as refused:
        opened(path, tmp_path, max_duration_s=3.0, progress=never)
    assert refused.value.extra == {"max_duration_s": 3.0}


def test_a_recording_that_does_not_tell_is_refused_once_it_is_too_long(tmp_path: Path) -> None:
    path = record(tmp_path, Form(name="a.amr", codec="amr_nb"), call(length_s=LENGTH_S))
    shares: list[float] = []
    with pytest.raises(AudioTooLongError):
        opened(path, tmp_path, max_duration_s=3.0, progress=shares.append)
    assert len(shares) < 200


def test_a_flac_that_tells_of_hours_it_does_not_have(tmp_path: Path) -> None:
    path = record(tmp_path, Form(name="a.flac", codec="flac"), call(length_s=1))
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F  # the upper bits of its 36 bit number of samples
    path.write_bytes(content)
    with pytest.raises(AudioTooLongError):
        opened(path, tmp_path)


def test_a_wav_that_tells_of_hours_it_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes(piped(wav_bytes(call(length_s=1)), 0x70000000))
    with pytest.raises(TruncatedAudioError):
        opened(path, tmp_path)


def test_decoding_ends_when_the_run_is_abandoned(tmp_path: Path) -> None:
    path = record(tmp_path, EXACT, call(length_s=LENGTH_S))

    def abandon(_share: float) -> None:
        raise StageAbandonedError

    with pytest.raises(StageAbandonedError):
        opened(path, tmp_path, progress=abandon)


@cache
def original(name: str) -> bytes:
    form = next(form for form in FORMS if form.name == name)
    with TemporaryDirectory() as folder:
        return record(Path(folder), form, call(start_s=1, length_s=0.5)).read_bytes()


damages: st.SearchStrategy[Callable[[bytes], bytes]] = st.one_of(
    st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)).map(
        lambda change: (
            lambda content: (
                content[: int(change[0] * len(content))]
                + change[1]
                + content[int(change[0] * len(content)) + len(change[1]) :]
            )
        )
    ),
    st.floats(0, 1).map(lambda share: lambda content: content[: int(share * len(content))]),
    st.binary(max_size=200).map(lambda more: lambda content: content + more),
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(
        [
            "mulaw.wav",
            "sound.mp3",
            "sound.opus",
            "sound.m4a",
            "sound.flac",
            "sound.webm",
            "sound.amr",
        ]
    ),
    st.lists(damages, min_size=1, max_size=4),
)
def test_a_damaged_file_is_decoded_or_refused_and_nothing_else(
    tmp_path: Path, name: str, damage: list[Callable[[bytes], bytes]]
) -> None:
    content = original(name)
    for one in damage:
        content = one(content)
    path = tmp_path / "original"
    path.write_bytes(content)
    try:
        found = opened(path, tmp_path)
    except UnusableAudioError:
        return
    assert found.duration_s > 0
    assert all(np.isfinite(channel).all() for channel in found.channels)
