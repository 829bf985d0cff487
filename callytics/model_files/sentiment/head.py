"""The trained part: from the encoder's features to the probability of each label."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from callytics.domain.transcript import SentimentLabel
from callytics.model_files.sentiment import HEAD_FILE


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """`softmax(features @ weights + bias)`; features are means over the tokens after each of `layers`.

    `weights` has the shape (layers x hidden, labels), `bias` (labels,); layers count from 1.
    """

    labels: tuple[SentimentLabel, ...]
    layers: tuple[int, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def load(cls, path: Path = HEAD_FILE) -> Self:
        with np.load(path) as file:
            return cls(
                labels=tuple(map(SentimentLabel, file["labels"].tolist())),
                layers=tuple(file["layers"].tolist()),
                weights=file["weights"],
                bias=file["bias"],
            )

    def save(self, path: Path = HEAD_FILE) -> None:
        np.savez(
            path,
            labels=np.array(self.labels),
            layers=np.array(self.layers),
            weights=self.weights,
            bias=self.bias,
        )
