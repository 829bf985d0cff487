"""Trains the head again: `python -m callytics.model_files.sentiment.train`.

It fetches the encoder, fits the head on train.tsv, says how it does on folds of train.tsv and on the
held-out test.tsv, and replaces head.npz. The next `callytics models fetch` builds the model anew.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from callytics.domain.transcript import SentimentLabel
from callytics.model_files.fetch import fetch
from callytics.model_files.sentiment import HEAD_FILE
from callytics.model_files.sentiment.encode import run
from callytics.model_files.sentiment.graph import make_graph
from callytics.model_files.sentiment.head import Head
from callytics.model_files.sentiment.lines import accuracy, macro_f1, read_lines
from callytics.settings import get_settings

ENCODER = "multilingual-e5-small"
LAYERS = (6, 9, 12)
REGULARISATION = 0.003
"""Layers and regularisation (scikit-learn's C) that did best on folds of the training lines."""

Features: TypeAlias = NDArray[np.float32]


def main() -> None:
    (encoder,) = fetch(get_settings(), [ENCODER])
    lines = read_lines("train")
    labels = np.array([line.label.value for line in lines])
    features = _features(encoder, [line.text for line in lines])
    _say("folds of train.tsv", *_across_folds(features, labels))
    head = _fit(features, labels)
    test = read_lines("test")
    tested = _features(encoder, [line.text for line in test])[0]
    _say("test.tsv", [line.label.value for line in test], _labels(head, tested))
    head.save(HEAD_FILE)


def _features(encoder: Path, texts: Sequence[str]) -> tuple[Features, Features]:
    """Of the texts as they are, and of the texts without marks, as some recognisers give them."""
    graph = make_graph(encoder, None, layers=LAYERS)
    bare = [re.sub(r"[.,?!]", "", text) for text in texts]
    tokenizer = encoder / "tokenizer.json"
    return run(graph, tokenizer, texts), run(graph, tokenizer, bare)


def _fit(features: tuple[Features, Features], labels: NDArray[np.str_]) -> Head:
    both = np.concatenate(features)
    mean, deviation = both.mean(axis=0), both.std(axis=0)
    model = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=5000)
    model.fit((both - mean) / deviation, np.tile(labels, len(features)))
    weights = (model.coef_ / deviation).T
    return Head(
        labels=tuple(map(SentimentLabel, model.classes_.tolist())),
        layers=LAYERS,
        weights=weights.astype(np.float32),
        bias=(model.intercept_ - mean @ weights).astype(np.float32),
    )


def _across_folds(
    features: tuple[Features, Features], labels: NDArray[np.str_]
) -> tuple[list[str], list[str]]:
    """Labels, and what a head says that has not seen their lines."""
    expected: list[str] = []
    found: list[str] = []
    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels)
    for seen, unseen in folds:
        head = _fit((features[0][seen], features[1][seen]), labels[seen])
        for half in features:
            expected += labels[unseen].tolist()
            found += _labels(head, half[unseen])
    return expected, found


def _labels(head: Head, features: Features) -> list[str]:
    likeliest = (features @ head.weights + head.bias).argmax(axis=1)
    return [head.labels[number].value for number in likeliest]


def _say(what: str, expected: Sequence[str], found: Sequence[str]) -> None:
    figures = f"accuracy {accuracy(expected, found):.3f}, macro F1 {macro_f1(expected, found):.3f}"
    sys.stdout.write(f"{what}: {figures}\n")


if __name__ == "__main__":
    main()
