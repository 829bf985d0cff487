"""The labelled lines, and how the model does on them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from callytics.domain.transcript import Role, SentimentLabel
from callytics.model_files.sentiment import FOLDER


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    label: SentimentLabel
    role: Role
    topic: str
    text: str


def read_lines(name: str) -> tuple[Line, ...]:
    """The lines of `train` or `test`."""
    with (FOLDER / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return tuple(
            Line(
                label=SentimentLabel(row["label"]),
                role=Role(row["role"]),
                topic=row["topic"],
                text=row["text"],
            )
            for row in rows
        )


def accuracy(expected: Sequence[str], found: Sequence[str]) -> float:
    return float(np.mean(np.array(expected) == np.array(found)))


def macro_f1(expected: Sequence[str], found: Sequence[str]) -> float:
    """The mean over the labels of 2 x hits / (expected + found)."""
    return float(
        np.mean([_f1(np.array(expected) == one, np.array(found) == one) for one in set(expected)])
    )


def _f1(expected: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    return float(2 * (expected & found).sum() / (expected.sum() + found.sum()))
