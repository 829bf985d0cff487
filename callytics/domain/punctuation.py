"""Sentences and their marks, and the guard that no punctuation model may change what was said.

A model proposes; its proposal counts only where its letters are those that were spoken. Elsewhere the
text stays as it was and gets its end marks by rule: never a word that nobody said.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias
from unicodedata import normalize

END_MARKS = ".?!…。？！"
_MARKS = END_MARKS + ',;:，、；：·"“”'
_CLOSING = "\"'”’)]"

_UNSPOKEN = re.compile(rf"[\s{re.escape(_MARKS)}]+")
_ENDED = re.compile(rf"[{re.escape(END_MARKS)}][{re.escape(_CLOSING)}]*$")
_LEFT_OPEN = re.compile(r"[\s,;:，、；：]+$")
_BOUNDARY = re.compile(rf"(?<=[{re.escape(END_MARKS)}])[{re.escape(_CLOSING)}]*(\s+)")
_ABBREVIATION = re.compile(r"\b(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|No|vs)\.$")

Propose: TypeAlias = Callable[[Sequence[str]], Iterable[str]]
"""A model's version of each text, in the same order."""

_LONGEST_SENTENCE = 30
"""Words; a longer one is a text whose marks are missing."""


def letters(text: str) -> str:
    """What is spoken of `text`: all but spaces and sentence marks.

    Between two digits a gap is kept, as a space or as its marks: `3.5` is not `35`, `1 2` not `12`.
    """
    text = normalize("NFC", text)

    def keep(gap: re.Match[str]) -> str:
        start, end = gap.span()
        if not (text[start - 1 : start].isdigit() and text[end : end + 1].isdigit()):
            return ""
        return " " if re.search(r"\s", gap.group()) else gap.group()

    return _UNSPOKEN.sub(keep, text)


def same_letters(one: str, other: str) -> bool:
    return letters(one) == letters(other)


def sentences_of(text: str) -> list[str]:
    """The sentences of `text`, each with an end mark."""
    return [with_end_mark(sentence, end_mark(sentence)) for sentence in split(text)]


def restore(texts: Sequence[str], propose: Propose, *, max_words: int) -> list[list[str]]:
    """The sentences of each text, with the marks and spaces that a model proposes for it.

    Texts that have their marks are only cut. The others reach the model in pieces of at most
    `max_words`, and a piece that it would change keeps its own words.
    """
    asked = [[] if is_punctuated(text) else pieces(text, max_words) for text in texts]
    proposals = iter(propose([piece for parts in asked for piece in parts]))
    return [
        sentences_of(" ".join(_guarded(part, next(proposals)) for part in parts) or text)
        for text, parts in zip(texts, asked, strict=True)
    ]


def _guarded(spoken: str, proposal: str) -> str:
    return proposal if same_letters(spoken, proposal) else spoken


def is_punctuated(text: str) -> bool:
    """Whether `text` has its marks already, as most recognisers' output has."""
    sentences = list(split(text))
    return all(len(one.split()) <= _LONGEST_SENTENCE for one in sentences) and (
        not sentences or _ENDED.search(sentences[-1]) is not None
    )


def split(text: str) -> Iterator[str]:
    """Cut `text` after its end marks; pieces without a letter are left out."""
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        if not _ABBREVIATION.search(text, start, boundary.start()):
            yield from _spoken(text[start : boundary.end()])
            start = boundary.end()
    yield from _spoken(text[start:])


def _spoken(piece: str) -> Iterator[str]:
    if letters(piece):
        yield " ".join(piece.split())


def pieces(text: str, max_words: int) -> list[str]:
    """`text` in pieces of at most `max_words` words, for a model that reads no more at once."""
    words = text.split()
    return [" ".join(words[at : at + max_words]) for at in range(0, len(words), max_words)]


def with_end_mark(sentence: str, mark: str) -> str:
    """`sentence`, ended by `mark` if it has no end mark; a comma at its end gives way."""
    if _ENDED.search(sentence):
        return sentence
    return _LEFT_OPEN.sub("", sentence) + mark


def end_mark(sentence: str) -> str:
    """`?` if the words ask, as far as their form shows it, else `.`."""
    return "?" if _ASKS.search(normalize("NFD", _LEFT_OPEN.sub("", sentence))) else "."


# Korean is matched in separate jamo: 할까요 and 될까요 both end in ᆯ + 까요.
_ASKS = re.compile(
    normalize("NFD", r"(?:ᆯ까요?|ᆸ니까|[ᆻᆹ]나요|(?:하|되|시|주|오|보|맞)나요|ᆫ가요|냐고요)$")
    + r"|^(?!.*[\u1100-\u11ff])(?:(?:so|and|but|ok|okay|well)\W+)*"
    r"(?:(?:what(?!\s+an?\b)|where|who|whose|why|how|which)\b"
    r"|(?:when\s+)?(?:is|are|was|were|do|does|did|can|could|will|would|may|should|have|has)"
    r"\s+(?:i|you|he|she|it|we|they|there|this|that|the|my|your)\b)",
    re.IGNORECASE,
)
