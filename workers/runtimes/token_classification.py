"""Punctuation by a token classifier that says which mark follows each word (deepmultilingualpunctuation)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import torch

from callytics.domain.punctuation import restore, with_end_mark
from callytics.errors import ConfigurationError
from callytics.ports import ModelInfo
from callytics.settings import ModelSettings, Settings
from workers.runtimes.pretrained import Pretrained, load_pretrained

_MARKS: Mapping[str, str] = {
    "0": "",
    "o": "",
    "-": "",  # a hyphen would join words that were spoken apart
    **{mark: mark for mark in ".,?!:;"},
    "period": ".",
    "comma": ",",
    "question": "?",
    "exclamation": "!",
    "colon": ":",
    "semicolon": ";",
}


class TokenClassifier:
    """A Punctuator that sets marks and leaves spaces as they are. Option: `max_words` read at once."""

    def __init__(self, loaded: Pretrained, *, batch_size: int, max_words: int) -> None:
        self._loaded = loaded
        self._batch_size = batch_size
        self._max_words = max_words
        self._marks = _read_marks(loaded.network.config.id2label)

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
            "AutoModelForTokenClassification",
            model,
            where=where,
            device=device,
            threads=threads,
            settings=settings,
        )
        max_words = model.options.get("max_words", 60)
        return cls(loaded, batch_size=model.batch_size, max_words=max_words)

    def warm_up(self) -> None:
        self.punctuate(["안녕하세요 무엇을 도와드릴까요"])

    def punctuate(self, texts: Sequence[str]) -> list[list[str]]:
        return restore(texts, self._propose, max_words=self._max_words)

    def _propose(self, pieces: Sequence[str]) -> Iterator[str]:
        for at in range(0, len(pieces), self._batch_size):
            yield from self._mark([piece.split() for piece in pieces[at : at + self._batch_size]])

    def _mark(self, pieces: Sequence[list[str]]) -> Iterator[str]:
        """Each piece with the mark after each word that the word's last token asks for."""
        encoded = self._loaded.tokenizer(
            pieces, is_split_into_words=True, padding=True, truncation=True, return_tensors="pt"
        )
        with torch.inference_mode():
            logits = self._loaded.network(**self._loaded.tensors(encoded)).logits
        for number, (words, classes) in enumerate(
            zip(pieces, logits.argmax(-1).tolist(), strict=True)
        ):
            last = {
                word: at for at, word in enumerate(encoded.word_ids(number)) if word is not None
            }
            marks = [
                self._marks[classes[last[at]]] if at in last else "" for at in range(len(words))
            ]
            yield " ".join(map(_with_mark, words, marks))


def _with_mark(word: str, mark: str) -> str:
    return with_end_mark(word, mark) if mark else word


def _read_marks(id2label: Mapping[int, str]) -> Mapping[int, str]:
    """Class -> mark; raises ConfigurationError for a class whose mark its name does not tell."""
    unknown = [name for name in id2label.values() if name.lower() not in _MARKS]
    if unknown:
        raise ConfigurationError(
            f"The punctuation model's classes {', '.join(unknown)} name no mark; "
            f"known are {' '.join(_MARKS)}."
        )
    return {number: _MARKS[name.lower()] for number, name in id2label.items()}
