import io
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.sniff import HEAD_BYTES, is_certainly_not_audio


def wav(frames: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(frames)
    return file.getvalue()


@pytest.mark.parametrize(
    "head",
    [
        b"%PDF-1.7\n\x00",
        b"PK\x03\x04\x14\x00",
        b"\x89PNG\r\n\x1a\n\x00\x00",
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"RIFF\x00\x10\x00\x00WEBPVP8 ",
        b"\x7fELF\x02\x01\x01\x00",
        b"<!DOCTYPE html><html>",
        b'{"error": "not found"}',
        b"#EXTM3U\nhttp://169.254.169.254/\n",
        b"hello",
        "상담 내용입니다. ".encode() * 100,
    ],
)
def test_documents_archives_images_and_text_are_not_audio(head: bytes) -> None:
    assert is_certainly_not_audio(head)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"ID3\x03\x00\x00\x00\x00\x0f\x76TSSE",
        b"\xff\xfb\x90\x64" + b"\x00" * 60,
        b"\xff\xf3\x82\xc4" + b"\x00" * 60,
        b"\xff\xf1\x50\x80" + b"\x01" * 60,
        b"OggS\x00\x02" + b"\x00" * 60,
        b"fLaC\x00\x00\x00\x22",
        b"#!AMR\n\x3c\x91\x17\x16\xbe\x66",
        b"#!AMR-WB\n\x04\x10\x20",
        b"\x00\x00\x00\x20ftypM4A ",
        b"\x1aE\xdf\xa3\x01\x00",
        b".snd\x00\x00\x00\x18",
        b"FORM\x00\x00\x10\x00AIFF",
        b"caff\x00\x01\x00\x00",
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    ],
)
def test_what_may_be_audio_is_left_to_the_decoder(head: bytes) -> None:
    assert not is_certainly_not_audio(head)


@given(st.binary(max_size=2000))
def test_no_wav_file_is_refused_whatever_was_recorded(frames: bytes) -> None:
    assert not is_certainly_not_audio(wav(frames)[:HEAD_BYTES])
