"""What a file says of its own length, read without decoding it.

A decoder is content with half a file. The containers that calls come in tell how long they are, so a
cut can be seen: by the byte in RIFF (WAV), ISO (MP4, M4A, 3GP) and Ogg, which is done here.
"""

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

from callytics.errors import AudioChannelsError, TruncatedAudioError

SLACK_BYTES = 512
"""Some recorders count their header, or a padding byte, among the data."""

UNTOLD = 0x7FFFF000
"""Who writes a WAV to a pipe cannot know its length: 0, or this (SoX) and more, stands for it."""

_LARGE = 0xFFFFFFFF
"""RF64: the true size stands in the `ds64` chunk."""

_BOX_BYTES = 8
_PAGE_BYTES = 27
_RIFF_STARTS = frozenset({b"RIFF", b"RF64", b"BW64"})
_ISO_STARTS = frozenset({b"ftyp", b"styp", b"moov", b"mdat", b"wide", b"free", b"skip"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """`exact`: the file is as long as it says, so its end needs no other check.

    `duration_s` is what there is to decode, where the header tells.
    """

    exact: bool = False
    duration_s: float | None = None


def read_header(file: BinaryIO) -> Header:
    """Raises TruncatedAudioError if the file ends before it says, AudioChannelsError if it has none."""
    file.seek(0)
    head = file.read(12)
    size = os.fstat(file.fileno()).st_size
    if head[:4] in _RIFF_STARTS and head[8:] == b"WAVE":
        return _wave(file, size)
    if head[:4] == b"RIFF":  # AVI
        return _data(int.from_bytes(head[4:8], "little"), size - 8)
    if head[4:8] in _ISO_STARTS:
        return _iso(file, size)
    return _ogg(file, size) if head[:4] == b"OggS" else Header()


def _wave(file: BinaryIO, size: int) -> Header:
    """RIFF and RF64: chunks of a name, a size and as many bytes, padded to an even number."""
    position, true_size, bytes_per_s = 12, None, 0
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        position += 8
        if name == b"ds64":
            true_size = int.from_bytes(file.read(16)[8:], "little")
        elif name == b"fmt ":
            fields = file.read(12)
            if len(fields) < 12:  # noqa: PLR2004
                break
            channels, bytes_per_s = struct.unpack("<2xH4xI", fields)
            if channels == 0:
                raise AudioChannelsError("The audio file has no channel.")
        elif name == b"data":
            present = size - position
            if length == _LARGE and true_size is not None:
                return _data(true_size, present, bytes_per_s, known=True)
            return _data(length, present, bytes_per_s)
        position += length + length % 2
    raise TruncatedAudioError


def _data(told: int, present: int, bytes_per_s: int = 0, *, known: bool = False) -> Header:
    """Bytes that are told of, and bytes that are there; `known`: no number stands for "unknown"."""
    if not known and (told == 0 or told >= UNTOLD):
        told = present
    if told - present > SLACK_BYTES:
        raise TruncatedAudioError
    duration_s = min(told, present) / bytes_per_s if bytes_per_s else None
    return Header(exact=True, duration_s=duration_s)


def _iso(file: BinaryIO, size: int) -> Header:
    """ISO base media: boxes of a size, a name and as many bytes; one of them is the table `moov`."""
    position, names = 0, set()
    while position + _BOX_BYTES <= size:
        file.seek(position)
        length, name = struct.unpack(">I4s", file.read(8))
        if not name.isalnum():
            break  # something that is no box was appended
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        elif length == 0:  # until the end of the file
            length = size - position
        if length < _BOX_BYTES or position + length > size:
            raise TruncatedAudioError
        names.add(name)
        position += length
    if b"moov" not in names:
        raise TruncatedAudioError
    return Header(exact=True)


def _ogg(file: BinaryIO, size: int) -> Header:
    """Ogg: the last page tells in its 27 bytes and the table behind them how long it is."""
    file.seek(max(0, size - 2**17))
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < _PAGE_BYTES:
        raise TruncatedAudioError
    table = page[_PAGE_BYTES : _PAGE_BYTES + page[_PAGE_BYTES - 1]]
    if len(page) < _PAGE_BYTES + page[_PAGE_BYTES - 1] + sum(table):
        raise TruncatedAudioError
    return Header()


def mp3_tells_its_length(file: BinaryIO) -> bool:
    """Whether an MP3's first frame is a Xing, Info or VBRI header; else its length is a guess."""
    file.seek(0)
    head = file.read(10)
    if head[:3] == b"ID3":
        size = 0
        for byte in head[6:10]:
            size = size << 7 | byte & 0x7F
        file.seek(10 + size)
    else:
        file.seek(0)
    frame = file.read(512)
    return any(tag in frame for tag in (b"Xing", b"Info", b"VBRI"))
