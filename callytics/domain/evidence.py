"""What in a conversation a phrase rests on: sentences that have its words and numbers.

Found by comparing words, never by asking a model, so that a person finds the same.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from callytics.domain.dialogue import Utterance, sentences
from callytics.domain.numerals import unsaid_numbers
from callytics.domain.summary_checks import content_words, said_in
from callytics.domain.transcript import Role

MOST_SENTENCES = 3
"""Sentences that a phrase is shown to rest on."""

LEAST_SHARE = 0.3
"""Share of a phrase that its first sentence must have; each further one adds LEAST_GAIN."""

LEAST_GAIN = 0.2

OTHER_SIDE = 0.5
"""What a sentence of the other side counts, where a side is looked for."""


OUTCOME_WORDS = frozenset(
    [
        "완료",
        "결정",
        "예정",
        "없음",
        "있음",
        "없이",
        "제출",
        "납부",
        "지참",
        "선택",
        "원인",
        "이유",
        "전송",
        "시",
        "때",
        "중",
        "후",
        "전",
        "및",
        "chosen",
        "choice",
        "payment",
        "reason",
        "done",
        "completed",
        "pending",
        "planned",
        "settled",
        "needed",
        "required",
        "lost",
    ]
)
"""What an analysis says in its own words of how things stand."""


SAID_AS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(spoken)
    for name, spoken in {
        "분실": r"잃어\s?버|없어졌|못 찾|놓고 [내왔]|흘렸",
        "파손": r"깨[졌져진]|부서|찢어|망가",
        "고장": r"안 [켜돼되나]|망가|멈[췄춰추]|끊[겨기]",
        "장애": r"안 [돼되]|끊[겨기]|느려",
        "오류": r"안 [돼되]|잘못|이상하|에러",
        "실패": r"안 [돼됐되]|못 ",
        "불량": r"안 [켜돼되]|이상하|상했",
        "변질": r"상했|상한|녹았|쉬었",
        "지연": r"늦[어게]|밀[렸려]|안 [와왔오]|언제 [와오]|몰려",
        "누락": r"빠[졌져진]|안 [왔들]",
        "중단": r"멈[췄춰추]|끊[겨기]",
        "증가": r"올랐|오른|늘[었어]|많이 나|더 나|갑자기|비싸",
        "감소": r"줄[었어]",
        "과다": r"많이 [나쓰썼]|너무 [많비]",
        "초과": r"넘[었어는]",
        "부족": r"모자라",
        "중복": r"두 번",
        "이중": r"두 번|두 달",
        "변경": r"바꾸|바꿔|바꿀|바뀌|옮기|옮겨|옮길|낮추|낮춰",
        "교환": r"바꾸|바꿔|바꿀",
        "이전": r"옮기|옮겨|옮길|이사",
        "환불": r"돌려\s?[받주드]",
        "반환": r"돌려\s?[받주드]",
        "납부": r"(?<![가-힣])(?:내[실면시야고려]|낼)",
        "구매": r"(?<![가-힣])(?:샀|산 |사서|사려)|주문",
        "방문": r"(?<![가-힣])(?:오[시실]|가서|가시|가셔)|와 주",
        "발송": r"보내|보낼|보냈",
        "전송": r"보내|보낼|보냈",
        "해지": r"끊고|그만\s?[쓰두]",
        "회수": r"가지러|가져가",
        "설치": r"달아|놓아",
    }.items()
}
"""What an analysis calls a matter, and how people say it. Names of what nobody hinted at are made up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A sentence: who says it, in which turn, and its characters of the conversation's text."""

    turn: int
    role: Role
    text: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Support:
    """The sentences that a phrase rests on, in order, and the share of it that they have (0..1)."""

    sentences: tuple[Said, ...] = ()
    share: float = 0.0


def all_said(utterances: Sequence[Utterance]) -> tuple[Said, ...]:
    return tuple(
        Said(turn=turn, role=one.role, text=one.text, start=one.start, end=one.end)
        for turn, utterance in enumerate(utterances)
        for one in sentences(utterance)
    )


def support(phrase: str, said: Sequence[Said], side: Role | None = None) -> Support:
    """What `phrase` rests on: sentences of `side` before others, of equal ones the first of `said`.

    Words and numbers that are said seldom weigh more than those that are said all the time.
    """
    wanted = _tokens(phrase)
    has = [_found(phrase, wanted, sentence.text) for sentence in said]
    weights = {token: 1 / max(1, sum(token in tokens for tokens in has)) ** 0.5 for token in wanted}
    total = sum(weights.values())
    taken: list[int] = []
    covered: set[str] = set()
    while total and len(taken) < MOST_SENTENCES:
        gains = {
            index: sum(weights[token] for token in tokens - covered) * _worth(said[index], side)
            for index, tokens in enumerate(has)
            if tokens - covered
        }
        best = max(gains, key=gains.__getitem__, default=None)
        least = (LEAST_GAIN if taken else LEAST_SHARE * OTHER_SIDE) * total
        if best is None or gains[best] < least:
            break
        taken.append(best)
        covered |= has[best]
    share = sum(weights[token] for token in covered) / total if total else 0.0
    if share < LEAST_SHARE:
        return Support()
    found = sorted((said[index] for index in taken), key=lambda one: one.start)
    return Support(sentences=tuple(found), share=share)


def matter_words(text: str) -> list[str]:
    """The words that say what a phrase is about."""
    return [
        word
        for word in content_words(text)
        if OUTCOME_WORDS.isdisjoint({word.lower(), _AFTER_OUTCOME.sub("", word)})
    ]


_AFTER_OUTCOME = re.compile(r"(?<=[가-힣]{2})(?:으로|로|을|를|이|가|은|는)$")


def mentions(keyword: str, said: Sequence[Said]) -> tuple[Said, ...]:
    """The first sentences that say the keyword; of a compound's parts, those that say them apart."""
    words = matter_words(keyword)
    if not words and not unsaid_numbers(keyword, ""):
        return ()
    whole = [one for one in said if not _missing(keyword, words, one.text)]
    if whole:
        return tuple(whole[:MOST_SENTENCES])
    if _missing(keyword, words, "\n".join(one.text for one in said)):
        return ()
    # A compound's parts that are said apart, wherever that is.
    return support(" ".join(map(_apart, words)), said).sentences


def says(text: str, word: str) -> bool:
    """Whether the text has the word, with another ending, or as people say it: 분실 as 잃어버렸어요."""
    stem = _VERB_ENDING.sub("", word)
    if said_in(word, text) or (stem != word and said_in(stem, text)):
        return True
    return any(said_as.search(text) for said_as in _said_as(stem))


def _said_as(stem: str) -> list[re.Pattern[str]]:
    return [
        said_as
        for name, said_as in SAID_AS.items()
        if stem.startswith(name) and _PARTICLE.fullmatch(stem.removeprefix(name))
    ]


_PARTICLE = re.compile(
    r"(?:을|를|이|가|은|는|에|로|으로|와|과|의|도|한|된|할|하여|해서|하기|하고)?"
)
_VERB_ENDING = re.compile(
    r"(?<=[가-힣]{2})(?:(?:아|어)?(?:주|드리)?(?:면|고|서|며|지|는|던|여|도록|려고|으면|지만|라고))$"
)


def _missing(phrase: str, words: Sequence[str], text: str) -> bool:
    return any(not says(text, word) for word in words) or bool(unsaid_numbers(phrase, text))


def _tokens(phrase: str) -> Sequence[str]:
    return (*matter_words(phrase), *unsaid_numbers(phrase, ""))


def _found(phrase: str, wanted: Sequence[str], text: str) -> frozenset[str]:
    numbers = frozenset(unsaid_numbers(phrase, ""))
    unsaid = frozenset(unsaid_numbers(phrase, text)) if numbers else frozenset()
    return frozenset(
        token
        for token in wanted
        if (token not in unsaid if token in numbers else says(text, token))
    )


def _worth(sentence: Said, side: Role | None) -> float:
    return OTHER_SIDE if side and sentence.role not in {side, Role.UNKNOWN} else 1.0


def _apart(word: str) -> str:
    """A Korean compound's halves: `도서분실` rests on `도서` here and `분실` there."""
    return f"{word[:2]} {word[2:]}" if len(word) > 3 and word >= "가" else word  # noqa: PLR2004
