"""Punctuation and spacing by a text-to-text model (T5) that was fine-tuned to restore them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import torch

from callytics.domain.punctuation import restore
from callytics.ports import ModelInfo
from callytics.settings import ModelSettings, Settings
from workers.runtimes.pretrained import Pretrained, load_pretrained

_LONGER = 1.5
"""A text with its marks has at most so many times the tokens that it has without them."""


class T5:
    """A Punctuator. A text that it would change otherwise keeps its letters (domain/punctuation.py).

    Options: `prefix`, the task as the model was taught it, put before each text; `max_words`, how
    many it reads at once; `num_beams`.
    """

    def __init__(
        self, loaded: Pretrained, *, batch_size: int, prefix: str, max_words: int, num_beams: int
    ) -> None:
        self._loaded = loaded
        self._batch_size = batch_size
        self._prefix = prefix
        self._max_words = max_words
        self._num_beams = num_beams

    @property
    def info(self) -> ModelInfo:
        return self._loaded.info

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
        loaded = load_pretrained(
            "AutoModelForSeq2SeqLM",
            model,
            where=where,
            device=device,
            threads=threads,
            settings=settings,
        )
        return cls(
            loaded,
            batch_size=model.batch_size,
            prefix=model.options.get("prefix", ""),
            max_words=model.options.get("max_words", 60),
            num_beams=model.options.get("num_beams", 1),
        )

    def warm_up(self) -> None:
        self.punctuate(["안녕하세요 무엇을 도와드릴까요"])

    def punctuate(self, texts: Sequence[str]) -> list[list[str]]:
        return restore(texts, self._propose, max_words=self._max_words)

    def _propose(self, pieces: Sequence[str]) -> Iterator[str]:
        for at in range(0, len(pieces), self._batch_size):
            yield from self._write(pieces[at : at + self._batch_size])

    def _write(self, pieces: Sequence[str]) -> list[str]:
        network, tokenizer = self._loaded.network, self._loaded.tokenizer
        encoded = tokenizer(
            [self._prefix + piece for piece in pieces], padding=True, return_tensors="pt"
        )
        with torch.inference_mode():
            written = network.generate(
                **self._loaded.tensors(encoded),
                max_new_tokens=int(encoded["input_ids"].shape[1] * _LONGER),
                num_beams=self._num_beams,
                do_sample=False,
            )
        found: list[str] = tokenizer.batch_decode(written, skip_special_tokens=True)
        return found
