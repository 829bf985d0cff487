"""Texts to what they sound like, whatever runs the network: batches, long texts, labels."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from callytics.domain.sentiment import Judgement
from callytics.domain.transcript import SentimentLabel
from callytics.errors import ConfigurationError
from callytics.ports import ModelInfo

MAX_TOKENS = 512

RUN_TOKENS = 128
"""A run of more gains nothing on a CPU core, and fits its cache no more (docs/measurements.md)."""

_WARM_UP = ("안녕하세요, 무엇을 도와드릴까요?", "아직도 해결이 안 됐어요.")

Inputs: TypeAlias = Mapping[str, NDArray[np.int64]]
Infer: TypeAlias = Callable[[Inputs], NDArray[np.float32]]
"""Runs the network on `input_ids`, `attention_mask`, `token_type_ids`, all of the shape (batch,
length), and gives probabilities, (batch, classes)."""

_Part: TypeAlias = tuple[int, Encoding]
"""The place of a text, and the text or a part of it as tokens."""

_NEGATIVE, _NEUTRAL, _POSITIVE = SentimentLabel

_NAMES: Mapping[str, SentimentLabel] = {
    **dict.fromkeys(("negative", "neg", "부정", "부정적"), _NEGATIVE),
    **dict.fromkeys(("neutral", "neu", "중립", "중립적"), _NEUTRAL),
    **dict.fromkeys(("positive", "pos", "긍정", "긍정적"), _POSITIVE),
}


def reading_of(id2label: Mapping[Any, str], options: Mapping[str, Any]) -> "Reading":
    """How to read the output of a network whose classes `id2label` names, under these options:

    `labels`: class name -> negative, neutral or positive, where the name itself does not say it;
    `neutral_band`: where a network without a neutral class is undecided, as two positive shares.
    """
    names = [id2label[number] for number in sorted(id2label, key=int)]
    classes = read_classes(names, options.get("labels", {}))
    low, high = options.get("neutral_band", (0.4, 0.6))
    return Reading(classes=classes, neutral_band=(low, high))


def read_classes(names: Sequence[str], labels: Mapping[str, str]) -> tuple[SentimentLabel, ...]:
    """What each class means; raises ConfigurationError where that cannot be told."""
    known = {**_NAMES, **{name.lower(): SentimentLabel(label) for name, label in labels.items()}}
    classes = tuple(known[name.lower()] for name in names if name.lower() in known)
    if len(classes) < len(names) or not {_NEGATIVE, _POSITIVE} <= set(classes):
        raise ConfigurationError(
            f"The sentiment model's classes are {', '.join(names)}: say in its option `labels` "
            "which of them mean negative, neutral and positive."
        )
    return classes


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Reads a network's output. One without a neutral class is undecided, and the text neutral, where the
    positive probability lies within `neutral_band`.
    """

    classes: tuple[SentimentLabel, ...]
    neutral_band: tuple[float, float]

    def __post_init__(self) -> None:
        low, high = self.neutral_band
        if not 0 < low < high < 1:
            raise ConfigurationError("`neutral_band` is two numbers between 0 and 1, in order.")

    def read(self, probabilities: NDArray[np.float32]) -> Judgement:
        """`probabilities` of the classes, shape (classes,)."""
        known = dict.fromkeys((label for label in SentimentLabel if label in self.classes), 0.0)
        for label, probability in zip(self.classes, probabilities, strict=True):
            known[label] += float(probability)
        label = max(known, key=lambda one: known[one])
        score = known[label]
        low, high = self.neutral_band
        if _NEUTRAL not in known and low < known[_POSITIVE] < high:
            label = _NEUTRAL
        return Judgement(label=label, score=score, probabilities=known)


class TextClassifier:
    """A SentimentModel on top of a network; its subclasses load one.

    A text of more than `max_tokens` is cut, and its parts count by their length. `lanes` says that
    a run of the network takes one core, and that so many may go on side by side (cores that share one run
    wait for each other at every step of it); None: a run takes what there is.
    """

    def __init__(
        self,
        info: ModelInfo,
        tokenizer: Tokenizer,
        infer: Infer,
        reading: Reading,
        *,
        batch_size: int,
        max_tokens: int,
        pad_id: int,
        lanes: int | None = None,
    ) -> None:
        self.info = replace(info, details={**info.details, **_details(reading, max_tokens)})
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
        self._tokenizer = tokenizer
        self._infer = infer
        self._reading = reading
        self._batch_size = batch_size
        self._pad_id = pad_id
        self._lanes = lanes
        self._threads = ThreadPoolExecutor(lanes or 1)

    def warm_up(self) -> None:
        self.classify(_WARM_UP)

    def classify(self, texts: Sequence[str]) -> list[Judgement]:
        parts = [
            (number, part)
            for number, encoding in enumerate(self._tokenizer.encode_batch(list(texts)))
            for part in (encoding, *encoding.overflowing)
        ]
        found: list[list[tuple[int, NDArray[np.float32]]]] = [[] for _ in texts]
        runs = list(self._runs(parts))
        for run, rows in zip(runs, self._threads.map(self._run, runs), strict=True):
            for (number, part), row in zip(run, rows, strict=True):
                found[number].append((len(part.ids), row))
        return [self._reading.read(_mean(rows)) for rows in found]

    def _runs(self, parts: Sequence[_Part]) -> Iterator[Sequence[_Part]]:
        """The longest first, and those of like length together, so that little is padded."""
        budget = self._budget(parts)
        run: list[_Part] = []
        for part in sorted(parts, key=_length, reverse=True):
            full = len(run) == self._batch_size
            if run and (full or (len(run) + 1) * _length(run[0]) > budget):
                yield run
                run = []
            run.append(part)
        if run:
            yield run

    def _budget(self, parts: Sequence[_Part]) -> float:
        """Tokens of a run, so that all lanes have the same to do."""
        if self._lanes is None:
            return math.inf
        share = sum(map(_length, parts)) / self._lanes
        return share / max(1, math.ceil(share / RUN_TOKENS))

    def _run(self, run: Sequence[_Part]) -> NDArray[np.float32]:
        encodings = [encoding for _, encoding in run]
        shape = (len(encodings), max(len(one.ids) for one in encodings))
        inputs = {
            "input_ids": np.full(shape, self._pad_id, np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }
        for row, encoding in enumerate(encodings):
            inputs["input_ids"][row, : len(encoding.ids)] = encoding.ids
            inputs["attention_mask"][row, : len(encoding.ids)] = 1
        return self._infer(inputs)


def _details(reading: Reading, max_tokens: int) -> dict[str, Any]:
    labels = [label.value for label in SentimentLabel if label in reading.classes]
    return {"labels": labels, "max_length": max_tokens}


def _length(part: _Part) -> int:
    return len(part[1].ids)


def _mean(rows: Sequence[tuple[int, NDArray[np.float32]]]) -> NDArray[np.float32]:
    return np.average([row for _, row in rows], axis=0, weights=[length for length, _ in rows])
