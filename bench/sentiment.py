"""How quick, how large and how faithful the sentiment model is, by what runs it.

    python -m bench.sentiment [--threads 2]

On the held-out lines, in batches of 16 of like length, best of several rounds; CPU time is a line's, of
all threads.
"""

import argparse
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer

from callytics.model_files import fetch
from callytics.model_files.sentiment.graph import make_graph
from callytics.model_files.sentiment.head import Head
from callytics.model_files.sentiment.lines import accuracy, macro_f1, read_lines
from callytics.model_files.sentiment.train import ENCODER
from callytics.ports import ModelInfo
from callytics.settings import get_settings
from workers.runtimes.classify import Infer, Inputs, TextClassifier, reading_of
from workers.runtimes.onnx import network

ROUNDS = 7
BATCH = 16


@dataclass
class Contender:
    name: str
    bytes: int
    load: Callable[[], Infer]
    load_s: float = 0.0
    best_s: float = float("inf")
    best_cpu_s: float = float("inf")
    labels: Sequence[str] = ()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--threads", type=int, default=2)
    threads = options.parse_args().threads
    logging.disable(logging.WARNING)  # the quantizer tells of every node that it leaves
    (encoder,) = fetch(get_settings(), [ENCODER])
    with TemporaryDirectory() as folder:
        run(contenders(encoder, Path(folder), threads), encoder)


def contenders(encoder: Path, folder: Path, threads: int) -> list[Contender]:
    head = Head.load()
    files = {
        "ONNX float32": folder / "float32.onnx",
        "ONNX 8 bit, blocks (ours)": folder / "int8.onnx",
        "ONNX 8 bit, quantize_dynamic": folder / "dynamic.onnx",
    }
    whole, ours, dynamic = files.values()
    onnx.save(make_graph(encoder, head, layers=head.layers, int8=False), whole)
    onnx.save(make_graph(encoder, head, layers=head.layers, int8=True), ours)
    quantize_dynamic(
        whole,
        dynamic,
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    return [
        Contender("torch float32", whole.stat().st_size, partial(in_torch, encoder, head, threads)),
        *(
            Contender(name, file.stat().st_size, partial(network, file, "cpu", threads))
            for name, file in files.items()
        ),
    ]


def in_torch(encoder: Path, head: Head, threads: int) -> Infer:
    import torch

    from callytics.model_files.torchaudio_cpu import allow_torchaudio

    allow_torchaudio()
    from transformers import BertModel

    torch.set_num_threads(threads)
    bert = BertModel.from_pretrained(encoder).eval()
    weights, bias = torch.from_numpy(head.weights), torch.from_numpy(head.bias)

    def infer(inputs: Inputs) -> NDArray[np.float32]:
        tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
        seen = tensors["attention_mask"][..., None]
        with torch.inference_mode():
            hidden = bert(**tensors, output_hidden_states=True).hidden_states
            means = [(hidden[layer] * seen).sum(1) / seen.sum(1) for layer in head.layers]
            shares = (torch.cat(means, dim=1) @ weights + bias).softmax(dim=-1)
        found: NDArray[np.float32] = shares.numpy()
        return found

    return infer


def run(models: Sequence[Contender], encoder: Path) -> None:
    lines = read_lines("test")
    texts = [line.text for line in lines]
    classifiers = [(model, loaded(model, encoder)) for model in models]
    for _ in range(ROUNDS):
        for model, classifier in classifiers:  # in turn, so that a busy machine is so for all
            started, busy = perf_counter(), process_time()
            found = classifier.classify(texts)
            model.best_s = min(model.best_s, perf_counter() - started)
            model.best_cpu_s = min(model.best_cpu_s, process_time() - busy)
            model.labels = [one.label for one in found]
    report(models, [line.label for line in lines])


def loaded(model: Contender, encoder: Path) -> TextClassifier:
    started = perf_counter()
    infer = model.load()
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    model.load_s = perf_counter() - started
    return TextClassifier(
        ModelInfo(name=model.name, revision="", device="cpu"),
        tokenizer,
        infer,
        reading_of(dict(enumerate(Head.load().labels)), {}),
        batch_size=BATCH,
        max_tokens=512,
        pad_id=1,
    )


def report(models: Sequence[Contender], expected: Sequence[str]) -> None:
    reference = models[0].labels
    print(
        f"{'':30} {'MB':>5} {'load s':>7} {'lines/s':>8} {'CPU ms':>7} {'agree':>6} {'acc.':>6} {'F1':>6}"
    )
    for model in models:
        print(
            f"{model.name:30} {model.bytes / 1e6:5.0f} {model.load_s:7.2f} "
            f"{len(expected) / model.best_s:8.0f} "
            f"{1000 * model.best_cpu_s / len(expected):7.2f} {accuracy(reference, model.labels):6.3f} "
            f"{accuracy(expected, model.labels):6.3f} {macro_f1(expected, model.labels):6.3f}"
        )


if __name__ == "__main__":
    main()
