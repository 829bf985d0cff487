import struct
from pathlib import Path

import numpy as np
import pytest

from callytics.errors import AudioChannelsError, TruncatedAudioError
from workers.audio.headers import SLACK_BYTES, Header, mp3_tells_its_length, read_header


def header_of(content: bytes, tmp_path: Path) -> Header:
    path = tmp_path / "original"
    path.write_bytes(content)
    with path.open("rb") as file:
        return read_header(file)


def chunk(name: bytes, content: bytes, told: int | None = None) -> bytes:
    size = len(content) if told is None else told
    return name + struct.pack("<I", size) + content + b"\0" * (len(content) % 2)


def wave(*chunks: bytes, form: bytes = b"RIFF") -> bytes:
    return form + b"\xff\xff\xff\xff" + b"WAVE" + b"".join(chunks)


def fmt(channels: int = 1) -> bytes:
    return chunk(b"fmt ", struct.pack("<HHIIHH", 7, channels, 8000, 8000 * channels, channels, 8))


def box(name: bytes, content: bytes = b"", told: int | None = None) -> bytes:
    return struct.pack(">I", 8 + len(content) if told is None else told) + name + content


def page(content: bytes) -> bytes:
    laces = [255] * (len(content) // 255) + [len(content) % 255]
    return b"OggS" + bytes(22) + bytes([len(laces)]) + bytes(laces) + content


SECOND = bytes(8000)


def test_a_wav_tells_its_length(tmp_path: Path) -> None:
    content = wave(chunk(b"LIST", b"odd"), fmt(), chunk(b"data", SECOND), chunk(b"id3 ", b"x"))
    assert header_of(content, tmp_path) == Header(exact=True, duration_s=1.0)


@pytest.mark.parametrize("form", [b"RF64", b"BW64"])
def test_a_wav_above_four_gigabytes_tells_it_elsewhere(form: bytes, tmp_path: Path) -> None:
    def sized(size: int) -> bytes:
        ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, size, 0, 0))
        return wave(ds64, fmt(), chunk(b"data", SECOND, told=0xFFFFFFFF), form=form)

    assert header_of(sized(8000), tmp_path).duration_s == 1.0
    with pytest.raises(TruncatedAudioError):
        header_of(sized(0x7FFFFFFFFF), tmp_path)


@pytest.mark.parametrize("told", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_from_a_pipe_cannot_tell(told: int, tmp_path: Path) -> None:
    found = header_of(wave(fmt(), chunk(b"data", SECOND, told=told)), tmp_path)
    assert found == Header(exact=True, duration_s=1.0)


@pytest.mark.parametrize(("missing", "cut"), [(SLACK_BYTES, False), (SLACK_BYTES + 1, True)])
def test_a_recorder_may_count_a_little_wrong(missing: int, cut: bool, tmp_path: Path) -> None:
    content = wave(fmt(), chunk(b"data", SECOND, told=len(SECOND) + missing))
    if cut:
        with pytest.raises(TruncatedAudioError):
            header_of(content, tmp_path)
    else:
        assert header_of(content, tmp_path).duration_s == 1.0


def test_a_wav_without_data_was_cut(tmp_path: Path) -> None:
    for content in (wave(), wave(fmt()), wave(fmt())[:20], wave(chunk(b"LIST", b"x", told=9000))):
        with pytest.raises(TruncatedAudioError):
            header_of(content, tmp_path)


def test_a_wav_of_zero_channels(tmp_path: Path) -> None:
    with pytest.raises(AudioChannelsError):
        header_of(wave(fmt(channels=0), chunk(b"data", SECOND)), tmp_path)


def test_boxes_of_an_mp4(tmp_path: Path) -> None:
    whole = box(b"ftyp", b"isom") + box(b"moov", bytes(90)) + box(b"mdat", SECOND)
    assert header_of(whole, tmp_path).exact
    large = struct.pack(">I4sQ", 1, b"mdat", 16 + len(SECOND)) + SECOND
    assert header_of(box(b"ftyp") + large + box(b"moov"), tmp_path).exact
    assert header_of(box(b"ftyp") + box(b"moov") + box(b"mdat", SECOND, told=0), tmp_path).exact
    assert header_of(whole + b"\0\0\0\0\0\0\0\0\0\0trailing", tmp_path).exact


@pytest.mark.parametrize(
    "content",
    [
        box(b"ftyp") + box(b"mdat", SECOND),
        box(b"ftyp") + box(b"moov", bytes(90)) + box(b"mdat", SECOND)[:-1],
        box(b"ftyp") + box(b"moov", bytes(90))[:50],
        box(b"ftyp") + box(b"moov", told=3),
    ],
)
def test_an_mp4_that_was_cut(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(TruncatedAudioError):
        header_of(content, tmp_path)


def test_the_last_page_of_an_ogg_tells(tmp_path: Path) -> None:
    whole = page(bytes(700)) + page(bytes(255)) + page(bytes(40))
    assert header_of(whole, tmp_path) == Header()
    for cut in (1, 30, 60):
        with pytest.raises(TruncatedAudioError):
            header_of(whole[:-cut], tmp_path)


def test_an_avi_tells(tmp_path: Path) -> None:
    whole = b"RIFF" + struct.pack("<I", 4 + 5000) + b"AVI " + bytes(5000)
    assert header_of(whole, tmp_path).exact
    with pytest.raises(TruncatedAudioError):
        header_of(whole[:3000], tmp_path)


@pytest.mark.parametrize("content", [b"", b"x", b"fLaC" + bytes(50), bytes(100)])
def test_others_are_left_to_the_decoder(content: bytes, tmp_path: Path) -> None:
    assert header_of(content, tmp_path) == Header()


def test_any_bytes_behind_a_known_beginning_are_read_without_a_fault(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    for start in (b"RIFF\0\0\0\0WAVE", b"RF64\0\0\0\0WAVEds64", b"\0\0\0\x08ftyp", b"OggS"):
        for length in range(0, 80, 3):
            try:
                header_of(start + random.integers(0, 256, length, np.uint8).tobytes(), tmp_path)
            except (TruncatedAudioError, AudioChannelsError):
                continue


@pytest.mark.parametrize("tag", [b"Xing", b"Info", b"VBRI"])
def test_an_mp3_may_tell_its_length_in_its_first_frame(tag: bytes, tmp_path: Path) -> None:
    frame = b"\xff\xfb\x90\x00" + bytes(32)
    id3 = b"ID3\x03\x00\x00" + bytes([0, 0, 2, 0]) + bytes(256)
    path = tmp_path / "original"
    for before in (b"", id3):
        path.write_bytes(before + frame + tag + bytes(100))
        with path.open("rb") as file:
            assert mp3_tells_its_length(file)
        path.write_bytes(before + frame + bytes(100))
        with path.open("rb") as file:
            assert not mp3_tells_its_length(file)
