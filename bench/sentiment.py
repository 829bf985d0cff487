"""How quick, how large and how faithful a sentiment model is as ONNX and in 8 bit.

    python -m bench.sentiment e5        # the model of the offline preset
    python -m bench.sentiment electra   # the shape of KcELECTRA base, which no package carries
    python -m bench.sentiment runs      # E5 in 8 bit on one core: milliseconds a line by the lines of a run

The lines of the project in batches of 16 of like length, on `--threads` (2). The contenders take turns,
so that a busy machine is busy for all; a ratio is one of seconds in the same round, its median and range
over `--rounds`. The ELECTRA has random weights and a head trained on what they make of the lines, so
its labels are no measure of quality, only of whether they stay the same.
"""

import argparse
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from callytics.domain.transcript import SentimentLabel
from callytics.model_files import fetch
from callytics.model_files.int8 import in_int8
from callytics.model_files.sentiment.graph import make_graph
from callytics.model_files.sentiment.head import Head
from callytics.model_files.sentiment.lines import Line, accuracy, macro_f1, read_lines
from callytics.model_files.sentiment.train import ENCODER
from callytics.model_files.torchaudio_cpu import allow_torchaudio
from callytics.ports import ModelInfo
from callytics.settings import get_settings
from workers.runtimes.classify import Infer, Inputs, TextClassifier, reading_of
from workers.runtimes.onnx import network

allow_torchaudio()
import transformers  # noqa: E402

BATCH = 16
HEAD_STEPS = 200


@dataclass(frozen=True)
class Subject:
    """A model in torch and as a float graph; `original_bytes` are its parameters in 32 bit."""

    tokenizer: Tokenizer
    pad_id: int
    labels: Sequence[str]
    original: Infer
    original_bytes: int
    graph: onnx.ModelProto


@dataclass
class Contender:
    name: str
    bytes: int
    load: Callable[[], Infer]
    lanes: int | None = None
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    labels: Sequence[str] = ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("e5", "electra", "runs"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # the quantizer tells of every node that it leaves
    torch.set_num_threads(options.threads)
    subject = electra() if options.model == "electra" else e5()
    with TemporaryDirectory() as folder:
        if options.model == "runs":
            compare_runs(subject, Path(folder), options.rounds)
            return
        found = contenders(subject, Path(folder), options.threads)
        run(subject, found, options.rounds)


# --- the models ------------------------------------------------------------------------------------


def e5() -> Subject:
    (encoder,) = fetch(get_settings(), [ENCODER])
    head = Head.load()
    bert = transformers.BertModel.from_pretrained(encoder).eval()
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

    return Subject(
        tokenizer=Tokenizer.from_file(str(encoder / "tokenizer.json")),
        pad_id=1,
        labels=head.labels,
        original=infer,
        original_bytes=size_of(bert) + weights.nbytes + bias.nbytes,
        graph=make_graph(encoder, head, layers=head.layers),
    )


def electra() -> Subject:
    from callytics.model_files import export

    tokenizer = tokenizer_of(read_lines("train"))
    torch.manual_seed(0)
    classifier = transformers.ElectraForSequenceClassification(
        transformers.ElectraConfig(  # as beomi/KcELECTRA-base-v2022
            vocab_size=54_343,
            embedding_size=768,
            hidden_size=768,
            num_hidden_layers=12,
            num_attention_heads=12,
            intermediate_size=3072,
            max_position_embeddings=512,
            num_labels=len(SentimentLabel),
        )
    ).eval()

    def infer(inputs: Inputs) -> NDArray[np.float32]:
        tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
        with torch.inference_mode():
            shares = classifier(**tensors).logits.softmax(dim=-1)
        found: NDArray[np.float32] = shares.numpy()
        return found

    train_head(classifier, tokenizer, read_lines("train"))
    return Subject(
        tokenizer=tokenizer,
        pad_id=0,
        labels=[*SentimentLabel],
        original=infer,
        original_bytes=size_of(classifier),
        graph=export.make_graph(classifier),
    )


def tokenizer_of(lines: Sequence[Line]) -> Tokenizer:
    """A WordPiece tokenizer, as KcELECTRA's is, of the words that are needed here."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=8000, special_tokens=special)
    tokenizer.train_from_iterator((line.text for line in lines), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def train_head(classifier: Any, tokenizer: Tokenizer, lines: Sequence[Line]) -> None:
    """Fit the head to the first token of the frozen encoder."""
    features = first_tokens(classifier, tokenizer, [line.text for line in lines])
    wanted = torch.tensor([[*SentimentLabel].index(line.label) for line in lines])
    head = classifier.classifier
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    for _ in range(HEAD_STEPS):
        loss = torch.nn.functional.cross_entropy(head(features[:, None]), wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()


def first_tokens(classifier: Any, tokenizer: Tokenizer, texts: Sequence[str]) -> torch.Tensor:
    tokenizer.enable_padding()
    found = []
    for at in range(0, len(texts), BATCH):
        some = tokenizer.encode_batch(list(texts[at : at + BATCH]))
        ids, mask = ([getattr(one, name) for one in some] for name in ("ids", "attention_mask"))
        with torch.no_grad():
            states = classifier.electra(torch.tensor(ids), attention_mask=torch.tensor(mask))
        found.append(states.last_hidden_state[:, 0])
    return torch.cat(found)


def size_of(module: Any) -> int:
    return sum(one.numel() * one.element_size() for one in module.parameters())


# --- the race --------------------------------------------------------------------------------------


def contenders(subject: Subject, folder: Path, threads: int) -> list[Contender]:
    files = {
        "ONNX float32": folder / "float32.onnx",
        "ONNX 8 bit (ours)": folder / "int8.onnx",
        "ONNX 8 bit, quantize_dynamic": folder / "dynamic.onnx",
    }
    whole, ours, dynamic = files.values()
    del subject.graph.graph.value_info[:]  # the quantizer takes torch's notes on shapes amiss
    onnx.save(subject.graph, whole)
    onnx.save(in_int8(subject.graph), ours)
    quantize_dynamic(
        whole,
        dynamic,
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    return [
        Contender("torch float32", subject.original_bytes, lambda: subject.original),
        *(
            Contender(name, file.stat().st_size, partial(network, file, "cpu"), lanes=threads)
            for name, file in files.items()
        ),
    ]


def run(subject: Subject, found: Sequence[Contender], rounds: int) -> None:
    lines = [line for name in ("test", "train") for line in read_lines(name)]
    held_out = [line.text for line in read_lines("test")]
    classifiers = [(one, loaded(one, subject)) for one in found]
    for one, classifier in classifiers:
        judged = classifier.classify([line.text for line in lines])
        one.labels = [each.label for each in judged]
    for _ in range(rounds):
        for one, classifier in classifiers:
            started, busy = perf_counter(), process_time()
            classifier.classify(held_out)
            one.seconds.append(perf_counter() - started)
            one.cpu_seconds.append(process_time() - busy)
    report(found, [line.label for line in lines], len(held_out))


def compare_runs(subject: Subject, folder: Path, rounds: int) -> None:
    """What a core takes for a line, alone and with others of like length."""
    file = folder / "int8.onnx"
    onnx.save(in_int8(subject.graph), file)
    lines = [line.text for line in read_lines("test")]
    one = Contender("ONNX 8 bit (ours)", file.stat().st_size, partial(network, file, "cpu"))
    sizes = {size: loaded(one, subject, batch=size) for size in (1, 2, 4, 8, 16, 32)}
    taken: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size, classifier in sizes.items():
            started = perf_counter()
            classifier.classify(lines)
            taken[size].append(1000 * (perf_counter() - started) / len(lines))
    tokens = np.mean([len(found.ids) for found in subject.tokenizer.encode_batch(lines)])
    print(f"lines of {tokens:.0f} tokens on average")
    for size, times in taken.items():
        print(
            f"{size:2} at once  {np.median(times):5.2f} ({min(times):.2f} to {max(times):.2f}) ms a line"
        )


def loaded(one: Contender, subject: Subject, *, batch: int = BATCH) -> TextClassifier:
    return TextClassifier(
        ModelInfo(name=one.name, revision="", device="cpu"),
        subject.tokenizer,
        one.load(),
        reading_of(dict(enumerate(subject.labels)), {}),
        batch_size=batch,
        max_tokens=512,
        pad_id=subject.pad_id,
        lanes=one.lanes,
    )


def report(found: Sequence[Contender], expected: Sequence[str], held_out: int) -> None:
    """Agreement is on all lines, accuracy and F1 on those that were held out."""
    first = found[0]
    print(
        f"{'':29} {'MB':>5} {'size':>5} {'lines/s':>8} {'by torch':>20} {'CPU ms':>7} "
        f"{'same':>7} {'of':>5} {'acc.':>6} {'F1':>6}"
    )
    for one in found:
        ratios = np.array(first.seconds) / np.array(one.seconds)
        spread = f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
        print(
            f"{one.name:29} {one.bytes / 1e6:5.0f} {one.bytes / first.bytes:5.2f} "
            f"{held_out / np.median(one.seconds):8.0f} {spread:>20} "
            f"{1000 * np.median(one.cpu_seconds) / held_out:7.2f} "
            f"{accuracy(first.labels, one.labels):7.2%} {len(expected):5} "
            f"{accuracy(expected[:held_out], one.labels[:held_out]):6.3f} "
            f"{macro_f1(expected[:held_out], one.labels[:held_out]):6.3f}"
        )


if __name__ == "__main__":
    main()
