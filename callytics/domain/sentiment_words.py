"""Words that carry sentiment, where they stand in a text, and what they say of it.

A word counts by its own sign: `안 좋아요` and `좋지 않아요` are negative, `불편한 점이 없었어요` positive.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from callytics.domain.sentiment_lexicon import JOYS, REPROACHES, SET_PHRASES, SORROWS
from callytics.domain.transcript import Place, SentimentLabel, Turn


@dataclass(frozen=True, kw_only=True, slots=True)
class SentimentWord:
    """`word` is the dictionary form (negated: 좋지 않다); it stands at `start`..`end` (characters)."""

    label: SentimentLabel
    word: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WordCount:
    word: str
    count: int
    occurrences: tuple[Place, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class WordLists:
    """The most frequent first, of equal ones the one that is said first."""

    positive: tuple[WordCount, ...] = ()
    negative: tuple[WordCount, ...] = ()


def find(text: str) -> tuple[SentimentWord, ...]:
    """The words of `text` that carry sentiment, in order; none overlaps another."""
    found: list[SentimentWord] = []
    for eojeol in _EOJEOL.finditer(text):
        if not found or eojeol.start() >= found[-1].end:
            found += _beginning_at(text, eojeol.start())
    return tuple(found)


def judge(text: str) -> tuple[SentimentLabel, float]:
    """The side that more words are on, and its share of them by Laplace's rule of succession.

    One word gives 2/3, three on one side 4/5. Neutral, with 1/2, if there is none or as many on both sides.
    """
    words = find(text)
    positive = sum(word.label is SentimentLabel.POSITIVE for word in words)
    negative = len(words) - positive
    if positive == negative:
        return SentimentLabel.NEUTRAL, 0.5
    label = SentimentLabel.POSITIVE if positive > negative else SentimentLabel.NEGATIVE
    return label, (max(positive, negative) + 1) / (len(words) + 2)


def words_of(turns: Iterable[Turn]) -> WordLists:
    """The words of all sentences of a call."""
    found: dict[tuple[SentimentLabel, str], list[Place]] = {}
    for turn in turns:
        for index, sentence in enumerate(turn.sentences):
            for word in find(sentence.text):
                place = Place(turn=turn.index, sentence=index, start=word.start, end=word.end)
                found.setdefault((word.label, word.word), []).append(place)
    return WordLists(
        positive=_counted(found, SentimentLabel.POSITIVE),
        negative=_counted(found, SentimentLabel.NEGATIVE),
    )


def _counted(
    found: Mapping[tuple[SentimentLabel, str], Sequence[Place]], wanted: SentimentLabel
) -> tuple[WordCount, ...]:
    counts = [
        WordCount(word=word, count=len(places), occurrences=tuple(places))
        for (label, word), places in found.items()
        if label is wanted
    ]
    return tuple(sorted(counts, key=lambda one: -one.count))


# --- one word --------------------------------------------------------------------------------------

_EOJEOL = re.compile(r"[^\W_]+")
_REST = re.compile(r"[^\W_]*")
_LISTENERS = re.compile(r"[가-힣]{0,3}[시셨실신십세]")
"""The honorific 시 in what follows a stem."""

_NOT_BEFORE = re.compile(
    r"(?<!\w)(?:[안못]|(?:not|never|no|\w+n't)(?:\s(?:very|so|that|really|any))?)\s$", re.IGNORECASE
)
_NOT_AFTER = re.compile(
    r"(?:[가-힣]*?지(?:는|도|가|를|만은)?\s?(?:않|못|아니|마|말)"
    r"|함?[을를이가은는도]?\s?(?:(?:하나도|전혀|별로|아예)\s)?"
    r"(?:안\s?[하되돼됐해했드들]|못\s?[하해했]|없|마[세시])"
    r"|[은는던한할을운울]\s?(?:점|것|거|게|데|일|적|수)[이가은는도]?\s?(?:(?:하나도|전혀)\s)?없"
    r"|[은는]?커녕)[가-힣]*"
)
"""좋|지 않아요, 불편|은 없어요, 걱정| 안 하셔도, 믿|을 수가 없네요, 친절|은커녕."""

_OPPOSITE = {
    SentimentLabel.POSITIVE: SentimentLabel.NEGATIVE,
    SentimentLabel.NEGATIVE: SentimentLabel.POSITIVE,
}
_LONGEST_NEGATOR = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    word: str
    label: SentimentLabel
    stem: re.Pattern[str]
    felt: bool = False
    """Whether it is what one feels oneself."""
    fixed: bool = False
    """Whether it is never negated."""


def _beginning_at(text: str, start: int) -> list[SentimentWord]:
    """The word whose eojeol begins at `start`, where there is one; an 안 or 못 may be joined to it."""
    for joined in range(1 + (text[start] in "안못")):
        for entry in _ENTRIES.get(text[start + joined : start + joined + 1].lower(), ()):
            if stem := entry.stem.match(text, start + joined):
                negated = bool(joined or stem.groupdict().get("no"))
                return _word(text, entry, start, stem.end(), negated=negated)
    return []


def _word(
    text: str, entry: _Entry, start: int, stem_end: int, *, negated: bool
) -> list[SentimentWord]:
    if entry.felt and _LISTENERS.match(text, stem_end):
        return []
    before = after = None
    if not entry.fixed:
        before = _NOT_BEFORE.search(text, max(0, start - _LONGEST_NEGATOR), start)
        after = _NOT_AFTER.match(text, stem_end)
        negated = negated or bool(before) or bool(after)
    rest = after or _REST.match(text, stem_end)
    return [
        SentimentWord(
            label=_OPPOSITE[entry.label] if negated else entry.label,
            word=_negated(entry.word) if negated else entry.word,
            start=before.start() if before else start,
            end=rest.end() if rest else stem_end,
        )
    ]


def _negated(word: str) -> str:
    if word[0] < "가":
        return f"not {word}"
    return f"{word[:-1]}지 않다" if word.endswith("다") else f"{word} 없다"


# --- the lexicon, as patterns ----------------------------------------------------------------------

_OPEN_END = re.compile(r"[가-힣]$")
_STEM = re.compile(r"하?다$")
_STEM_OF = {"다": "", "하다": r"(?=[하-핳해-햏되-됳돼-됗히스이가은는을를도만감]|[^가-힣]|$)"}
_BETWEEN = (
    r"\s?(?:(?:너무|많이|아주|정말|쏙|꼭|다|확|한결|크게|몹시|하나도|전혀|별로|아예)\s)?"
    r"(?P<no>[안못]\s?)?"
)
"""What may stand before the last part of an expression."""
_FINALS = 28
"""What may close a syllable, nothing included (Unicode 3.12): an open one's code is a multiple of it."""


def _entries() -> Mapping[str, Sequence[_Entry]]:
    """By the first letter of the stem, so that few are tried at an eojeol."""
    negative, positive = SentimentLabel.NEGATIVE, SentimentLabel.POSITIVE
    entries = chain(
        (_Entry(word=word, label=positive, stem=stem) for word, stem in _stems(JOYS)),
        (_Entry(word=word, label=negative, stem=stem, felt=True) for word, stem in _stems(SORROWS)),
        (_Entry(word=word, label=negative, stem=stem) for word, stem in _stems(REPROACHES)),
        (
            _Entry(word=word, label=negative, stem=stem, fixed=True)
            for word, stem in _stems(SET_PHRASES)
        ),
    )
    found: dict[str, list[_Entry]] = {}
    for entry in entries:
        found.setdefault(entry.stem.pattern[0], []).append(entry)
    return found


def _stems(table: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Each stem of a table of the lexicon, with its dictionary form."""
    for line in table.strip().splitlines():
        form, *stems = line.split()
        for stem in stems or [_STEM.sub(lambda ending: _STEM_OF[ending[0]], form)]:
            yield form.replace("_", " "), _pattern(stem)


def _pattern(stem: str) -> re.Pattern[str]:
    first, rest = stem[0], _OPEN_END.sub(_with_any_final, stem[1:])
    *parts, last = rest.split("_")
    between = _BETWEEN if parts else ""
    return re.compile(first + r"\s?".join(parts) + between + last, re.IGNORECASE)


def _with_any_final(last: re.Match[str]) -> str:
    syllable = last[0]
    if (ord(syllable) - ord("가")) % _FINALS:
        return syllable
    return f"[{syllable}-{chr(ord(syllable) + _FINALS - 1)}]"


_ENTRIES = _entries()
