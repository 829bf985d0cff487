"""Sentiment by a network in ONNX. It needs ONNX Runtime and `tokenizers`, nothing of torch."""

import json
import os
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from callytics.model_files import revision_of
from callytics.model_files.hub import fetch_cached
from callytics.ports import ModelInfo
from callytics.settings import ModelSettings, Settings
from workers.runtimes.classify import MAX_TOKENS, Infer, Inputs, TextClassifier, reading_of

_PROVIDERS = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider"]}


class OnnxClassifier(TextClassifier):
    """A SentimentModel: a folder with `model.onnx`, `tokenizer.json` and `config.json` (`id2label`).

    The graph's first output is `probabilities`, or logits under any other name. Options: `labels` and
    `neutral_band` (classify.py).
    """

    @classmethod
    def load(
        cls,
        model: ModelSettings,
        *,
        where: Path | str,
        device: str,
        threads: int | None,
        settings: Settings,
    ) -> Self:
        folder = where if isinstance(where, Path) else fetch_cached(where, settings)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        info = ModelInfo(
            name=model.model,
            revision=revision_of(where, model.revision),
            device=device,
            settings={**model.options, "batch_size": model.batch_size},
            details={"model_type": config.get("model_type", "bert").upper()},
        )
        return cls(
            info,
            Tokenizer.from_file(str(folder / "tokenizer.json")),
            network(folder / "model.onnx", device),
            reading_of(config["id2label"], model.options),
            batch_size=model.batch_size,
            max_tokens=min(config["max_position_embeddings"], MAX_TOKENS),
            pad_id=config["pad_token_id"],
            lanes=(threads or len(os.sched_getaffinity(0))) if device == "cpu" else None,
        )


def network(file: Path, device: str) -> Infer:
    """Runs the graph in `file`; on a CPU in the thread that asks, on one core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=_PROVIDERS[device])
    wanted = [one.name for one in session.get_inputs()]
    output = session.get_outputs()[0].name

    def infer(inputs: Inputs) -> NDArray[np.float32]:
        (found,) = session.run([output], {name: inputs[name] for name in wanted})
        return found if output == "probabilities" else _softmax(found)

    return infer


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shares: NDArray[np.float32] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares
