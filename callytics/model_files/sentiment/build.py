"""Makes the model's folder out of the encoder and the head. Run by `callytics models fetch`."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from callytics.errors import ModelFetchError
from callytics.model_files.int8 import in_int8
from callytics.model_files.sentiment.encode import run
from callytics.model_files.sentiment.graph import make_graph
from callytics.model_files.sentiment.head import Head
from callytics.model_files.sentiment.lines import read_lines

_LEAST_AGREEMENT = 0.98
"""Below this something is wrong with the graph. 99.3 % was measured, 99.1 to 99.4 % where rounding in
float32 differs by a millionth, as it may from one processor to another."""


def build(sources: Mapping[str, Path], target: Path) -> None:
    """`model.onnx` in 8 bit, `tokenizer.json`, `config.json`.

    Raises ModelFetchError where it labels too many of the project's lines otherwise than in 32 bit.
    """
    (encoder,) = sources.values()
    head = Head.load()
    model = in_int8(make_graph(encoder, head, layers=head.layers))
    agreement = agreement_with_float32(encoder, head, model)
    if agreement < _LEAST_AGREEMENT:
        raise ModelFetchError(
            f"In 8 bit the sentiment model agrees with itself in 32 bit on {agreement:.2%} of the "
            f"lines only; {_LEAST_AGREEMENT:.0%} are asked for."
        )
    onnx.save(model, target / "model.onnx")
    shutil.copyfile(encoder / "tokenizer.json", target / "tokenizer.json")
    (target / "config.json").write_text(
        json.dumps(_config(encoder, head, agreement), indent=2) + "\n"
    )


def agreement_with_float32(encoder: Path, head: Head, model: onnx.ModelProto) -> float:
    """The share of the lines that `model` gives the label that float32 gives them.

    Of those that were trained on every fourth: all take a minute.
    """
    texts = [line.text for line in (*read_lines("test"), *read_lines("train")[::4])]
    reference = make_graph(encoder, head, layers=head.layers)
    labels = [
        run(graph, encoder / "tokenizer.json", texts).argmax(axis=1) for graph in (model, reference)
    ]
    return float(np.mean(labels[0] == labels[1]))


def _config(encoder: Path, head: Head, agreement: float) -> dict[str, object]:
    known = json.loads((encoder / "config.json").read_text("utf-8"))
    return {
        "model_type": known["model_type"],
        "id2label": {str(number): label.value for number, label in enumerate(head.labels)},
        "max_position_embeddings": known["max_position_embeddings"],
        "pad_token_id": known["pad_token_id"],
        "agreement_with_float32": round(agreement, 4),
    }
