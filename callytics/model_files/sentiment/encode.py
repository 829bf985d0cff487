"""Runs such a graph on texts, one at a time: for training and for checks."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto
from tokenizers import Tokenizer


def run(graph: ModelProto, tokenizer_file: Path, texts: Iterable[str]) -> NDArray[np.float32]:
    """The graph's output for each of `texts`, shape (texts, ...)."""
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    rows = []
    for text in texts:
        encoded = tokenizer.encode(text)
        inputs = {"input_ids": [encoded.ids], "attention_mask": [encoded.attention_mask]}
        arrays = {name: np.array(values, np.int64) for name, values in inputs.items()}
        rows.append(session.run(None, arrays)[0][0])
    return np.stack(rows)
