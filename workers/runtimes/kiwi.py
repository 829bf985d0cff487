"""Sentences, spacing and end marks for Korean by morphemes (Kiwi); other languages by rule.

Recognisers mostly punctuate: then this only cuts where a sentence ends. Marks that are there stay.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import kiwipiepy

from callytics.domain.punctuation import (
    end_mark,
    same_letters,
    sentences_of,
    split,
    with_end_mark,
)
from callytics.ports import ModelInfo
from callytics.settings import ModelSettings, Settings

_HANGUL = re.compile(r"[가-힣]")

_RUN_TOGETHER = re.compile(r"[가-힣]{9,}")
"""Hardly a Korean word has nine syllables without a space: there spaces are missing."""


def _forms(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_ASKING_ENDINGS = _forms(
    "ᆸ니까 습니까 나 나요 ᆫ가 ᆫ가요 은가 은가요 는가 는가요 던가 던가요 "
    "ᆯ까 ᆯ까요 을까 을까요 니 으니 냐 으냐 느냐 ᆫ지 은지 는지"
)
_OPEN_ENDINGS = _forms(
    "어 어요 에요 예요 세요 으세요 야 지 지요 죠 는데 는데요 ᆫ데 ᆫ데요 은데 은데요 고요 ᆫ다고요 요"
)
"""Endings that tell or ask; with a question word they ask."""

_QUESTION_WORDS = _forms("언제 어디 누구 무엇 뭐 왜 며칠 어느 무슨 어떤 어떻 얼마 얼마나 몇")
_EMBEDDED = _forms("ᆫ지 은지 는지 ᆯ지 을지 ᆯ까 을까 ᆫ가 는가 어도 더라도 든 든지")
"""Endings of a clause that keeps its question word to itself: 언제 올지 모릅니다."""


class Kiwi:
    """A Punctuator. Its model comes with the library; there are no options."""

    def __init__(self, kiwi: kiwipiepy.Kiwi, info: ModelInfo) -> None:
        self.info = info
        self._kiwi = kiwi

    @classmethod
    def load(
        cls,
        model: ModelSettings,
        *,
        where: Path | str,  # noqa: ARG003 (the model comes with the library)
        device: str,
        threads: int | None,  # noqa: ARG003 (a turn takes a millisecond)
        settings: Settings,  # noqa: ARG003
    ) -> Self:
        revision = f"{version('kiwipiepy')}, model {version('kiwipiepy_model')}"
        info = ModelInfo(name=model.model, revision=revision, device=device)
        return cls(kiwipiepy.Kiwi(num_workers=1), info)

    def warm_up(self) -> None:
        self.punctuate(["안녕하세요 무엇을도와드릴까요지금확인해드리겠습니다"])

    def punctuate(self, texts: Sequence[str]) -> list[list[str]]:
        return [self._sentences(text) for text in texts]

    def _sentences(self, text: str) -> list[str]:
        found = [sentence for piece in split(self._spaced(text)) for sentence in self._cut(piece)]
        # Kiwi only cuts; should it ever do more, the text goes on as it was spoken.
        return found if same_letters(text, " ".join(found)) else sentences_of(text)

    def _spaced(self, text: str) -> str:
        return _RUN_TOGETHER.sub(lambda run: str(self._kiwi.space(run.group())), text)

    def _cut(self, piece: str) -> Iterator[str]:
        """The sentences of a piece that has no end mark but at its end."""
        if not _HANGUL.search(piece):
            yield with_end_mark(piece, end_mark(piece))
            return
        for words, tokens in _joined(self._kiwi.split_into_sents(piece, return_tokens=True)):
            yield with_end_mark(words, "?" if _asks(tokens) else ".")


def _joined(found: Iterable[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Kiwi's sentences, joined where a comma says that it goes on."""
    words = ""
    tokens: list[Any] = []
    for sentence in found:
        words = f"{words} {sentence.text}".strip()
        tokens = [*tokens, *sentence.tokens]
        if not words.endswith(","):
            yield words, tokens
            words, tokens = "", []
    if words:
        yield words, tokens


def _asks(tokens: Sequence[Any]) -> bool:
    """Whether a Korean sentence is a question, by its ending and its question words."""
    spoken = [token for token in tokens if not token.tag.startswith(("S", "W"))]
    if not spoken:
        return False
    last = spoken[-1]
    if last.tag in ("EF", "EC") and last.form in _ASKING_ENDINGS:
        return True
    return last.form in _OPEN_ENDINGS and _has_question_word(spoken)


def _has_question_word(tokens: Sequence[Any]) -> bool:
    """Whether one stands there that belongs to the sentence itself, not to a clause inside it."""
    found = False
    for token, following in pairwise(tokens):
        if token.form in _EMBEDDED:
            found = False
        elif token.form in _QUESTION_WORDS:
            found = found or _is_meant(token, following)
    return found


def _is_meant(token: Any, following: Any) -> bool:
    """Not where the question word is a filler (뭐, 괜찮아요) or means just some (몇 번, 얼마 안)."""
    if token.form == "얼마":
        return bool(following.tag == "VCP")
    return not (token.tag == "IC" or (token.form == "몇" and following.form == "번"))
