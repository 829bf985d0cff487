"""Which of the customer's questions the agent answers, found by rules that a person can repeat.

A question is answered by what it asks for (a time, a figure, a place, a yes or no ...) or by a sentence
that takes up one of its content words; a sentence that promises to find out counts apart.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from callytics.domain.numerals import unsaid_numbers
from callytics.domain.punctuation import end_mark
from callytics.domain.speech_level import Level, level_of
from callytics.domain.summary_checks import content_words
from callytics.domain.transcript import Place, Role, Turn


class AnswerKind(StrEnum):
    """What a question asks for, and what an answer gives."""

    YES_NO = "yes_no"
    TIME = "time"
    FIGURE = "figure"
    PLACE = "place"
    REASON = "reason"
    MANNER = "manner"
    WORD = "word"
    """As an answer: a content word of the question, taken up."""


class AnswerOutcome(StrEnum):
    ANSWERED = "answered"
    PROMISED = "promised"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question of the customer's, by turn and sentence, and what became of it.

    answered_by: what was given; answer: the phrase that gives it, or that promises to find out.
    """

    turn: int
    sentence: int
    asks: AnswerKind
    outcome: AnswerOutcome
    answered_by: AnswerKind | None
    answer: Place | None


def questions(turns: Sequence[Turn]) -> tuple[Question, ...]:
    """The customer's questions, in order; calls of doubt (정말요?) and of anger are none.

    A question is open until the customer's next turn with a question, if the agent has said more than
    a back-channel by then.
    """
    return tuple(
        _judged(turn.index, index, sentence, _replies(turns[at + 1 :]))
        for at, turn in enumerate(turns)
        if turn.role is Role.CUSTOMER
        for index, sentence in _asked(turn)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reply:
    """A sentence of the agent's."""

    turn: int
    sentence: int
    text: str

    def place(self, start: int, end: int) -> Place:
        return Place(turn=self.turn, sentence=self.sentence, start=start, end=end)


def _asked(turn: Turn) -> Iterator[tuple[int, str]]:
    for index, sentence in enumerate(turn.sentences):
        if _asks(sentence.text):
            yield index, sentence.text


def _asks(text: str) -> bool:
    return (
        _is_question(text)
        and not _RHETORICAL.search(text)
        and (len(text.split()) > 1 or bool(_keys(text)) or _kind(text) is not AnswerKind.YES_NO)
    )


def _is_question(text: str) -> bool:
    """By its mark, or by its form where the recogniser ended it with a full stop."""
    return text.endswith(("?", "？")) or end_mark(text.rstrip(" .。")) == "?"


def _replies(following: Sequence[Turn]) -> Sequence[_Reply]:
    """What the agent says until the customer's next question."""
    found: list[_Reply] = []
    for turn in following:
        if (
            turn.role is Role.CUSTOMER
            and not all(_bare(one.text) for one in found)
            and any(_asked(turn))
        ):
            break
        if turn.role is Role.AGENT:
            found += [
                _Reply(turn=turn.index, sentence=index, text=sentence.text)
                for index, sentence in enumerate(turn.sentences)
            ]
    return found


def is_back_channel(turn: Turn) -> bool:
    return all(_bare(sentence.text) for sentence in turn.sentences)


def _bare(text: str) -> bool:
    """Whether it is a back-channel: no verb in Korean, one word in English."""
    if _HANGUL.search(text):
        return level_of(text)[0] is Level.NONE
    return len(text.split()) == 1


def _judged(turn: int, sentence: int, text: str, replies: Sequence[_Reply]) -> Question:
    asks = _kind(text)
    outcome, given, place = _outcome(asks, _keys(text), replies)
    return Question(
        turn=turn, sentence=sentence, asks=asks, outcome=outcome, answered_by=given, answer=place
    )


def _outcome(
    asks: AnswerKind, keys: frozenset[str], replies: Sequence[_Reply]
) -> tuple[AnswerOutcome, AnswerKind | None, Place | None]:
    """By the first sentence that answers, else by the first promise, else by a mere yes or no."""
    telling = [one for one in replies if not (_bare(one.text) or _stalls(one.text))]
    for reply in telling:
        for given in dict.fromkeys((asks, AnswerKind.WORD)):
            if not _PROMISES.search(reply.text) and (span := _given(given, keys, reply.text)):
                return AnswerOutcome.ANSWERED, given, reply.place(*span)
    for reply in telling:
        if promise := _PROMISES.search(reply.text):
            return AnswerOutcome.PROMISED, None, reply.place(*promise.span())
    for reply in replies:
        if asks is AnswerKind.YES_NO and (found := _SAYS_YES_OR_NO.match(reply.text)):
            return AnswerOutcome.ANSWERED, asks, reply.place(*found.span())
    return AnswerOutcome.UNANSWERED, None, None


def _stalls(text: str) -> bool:
    """Whether it asks back or wins time."""
    return _is_question(text) or bool(_WINS_TIME.search(text))


def _given(kind: AnswerKind, keys: frozenset[str], text: str) -> tuple[int, int] | None:
    """Where `text` gives an answer of this kind (characters)."""
    if kind is AnswerKind.WORD:
        words = (word for word in _WORD.finditer(text) if _key(word[0]) in keys)
        return next((word.span() for word in words), None)
    if found := _GIVES[kind].search(text):
        return found.span()
    return next(_numbers(kind, text), None)


def _numbers(kind: AnswerKind, text: str) -> Iterator[tuple[int, int]]:
    """The numbers that tell a figure, or those that tell a time."""
    if kind in {AnswerKind.FIGURE, AnswerKind.TIME}:
        for number in unsaid_numbers(text, ""):
            start = text.index(number)
            end = start + len(number)
            if kind is AnswerKind.FIGURE or _TIME_UNIT.match(text, end):
                yield start, end


def _kind(question: str) -> AnswerKind:
    kinds = (kind for kind, pattern in _ASKS_FOR.items() if pattern.search(question))
    return next(kinds, AnswerKind.YES_NO)


def _keys(question: str) -> frozenset[str]:
    """What the question's content words are known again by."""
    words = (word for word in content_words(question) if len(word) > 1)
    return frozenset(map(_key, words)) - _LIGHT


def _key(word: str) -> str:
    """Korean: two syllables, the second without its final (보낼, 보내); else the first five letters."""
    if not _HANGUL.match(word):
        return word[:5].lower()
    second = word[1:2]
    return word[0] + (
        chr(ord(second) - (ord(second) - ord("가")) % 28) if _HANGUL.match(second) else ""
    )


_HANGUL = re.compile("[가-힣]")
_WORD = re.compile(r"[^\W_]+")
_RHETORICAL = re.compile(
    r"말이 ?[돼되됩]|도대체|장난|어떡하라|뭘로 보|뭐 ?하[는자]|아니에요|아닙니까|아닌가요|아니냐|다예요"
)
"""Complaints in the form of a question."""

_ASKS_FOR: Mapping[AnswerKind, re.Pattern[str]] = {
    kind: re.compile(words, re.IGNORECASE)
    for kind, words in {
        # 혹시 누가 쓴 건 없나요? asks whether anybody did.
        AnswerKind.YES_NO: r"^혹시 .*(?:누가|뭐|무슨|어디|어떤).*(?:[있없되]|될까)[가-힣]*[?？]",
        AnswerKind.TIME: r"언제|며칠|몇 ?(?:시|분|월|일|달|개월|년)|얼마나 (?:오래|걸)|요일"
        r"|\bwhen\b|\bhow long\b|\bwhat time\b",
        AnswerKind.FIGURE: r"얼마|(?<![가-힣])몇|\bhow (?:much|many)\b",
        AnswerKind.PLACE: r"어디|어느 (?:지점|매장|센터|쪽)|\bwhere\b",
        AnswerKind.REASON: r"(?<![가-힣])왜(?![가-힣])|어째서|무슨 이유|\bwhy\b",
        AnswerKind.MANNER: r"어떻게|방법|\bhow\b",
        AnswerKind.WORD: r"누구|누가|뭐|뭘|무엇|무슨|어느|어떤|\b(?:what|who|which)\b",
    }.items()
}
"""In this order; a question that asks for none of these wants a yes or no."""

_PLACES = (
    "센터|지점|매장|은행|병원|홈페이지|사이트|앱|어플|창구|주소|역|공항|터미널|메뉴|화면|우체국|편의점|시청|구청"
    "|주민센터|대리점|영업점|본사|경비실|서울|부산|문자|이메일|메일|팩스"
)
_GIVES: Mapping[AnswerKind, re.Pattern[str]] = {
    kind: re.compile(words, re.IGNORECASE)
    for kind, words in {
        AnswerKind.YES_NO: r"^(?:네|예|아니[요오]|아뇨|물론|그럼요|맞[습아으]|그렇습)(?=[\s,.])"
        r"|가능[하합]|불가|(?:안 ?)?(?:됩니다|돼요|되세요|되십니다)|어렵습"
        r"|[있없](?:(?:습|으십)니다|(?:어|으세)요)"
        r"|^(?:yes|yeah|no|sure|of course|certainly|unfortunately)\b|\b(?:can|can't|cannot)\b",
        AnswerKind.TIME: r"(?<![가-힣])(?:오늘|내일|모레|글피|지금|바로|즉시|당일|주말|평일|오전|오후|저녁"
        r"|아침|다음 ?[주달]|이번 ?[주달]|[월화수목금토일]요일|하루|이틀|사흘|나흘|일주일)"
        r"|\b(?:today|tomorrow|tonight|now|monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b",
        AnswerKind.FIGURE: r"무료|공짜|\bfree\b",
        AnswerKind.PLACE: rf"[가-힣]*(?:{_PLACES})(?=에|으로|로|입니다|이에요|예요)|\b(?:at|in|on) the \w+",
        AnswerKind.REASON: r"때문|이유|원인|인해|인하여|관계로|(?<!에)서 그렇|거든요|\b(?:because|due to)\b",
        # What to do, or that it is done for the customer.
        AnswerKind.MANNER: r"(?:시면|으면|하면) ?[됩되돼]|셔야|시면\s|주시면|해 ?주세요"
        r"|(?:도와|해|보내|바꿔) ?(?:드리겠|드릴게|드렸)"
        r"|\byou (?:can|need to|have to)\b",
    }.items()
}
_TIME_UNIT = re.compile(
    r"\s?(?:시|분|일|주|개월|달|년|월|영업일|:|(?:minute|hour|day|week|month)s?\b)", re.IGNORECASE
)
_SAYS_YES_OR_NO = re.compile(r"(?:네|예|아니[요오]|아뇨|yes|no)\b", re.IGNORECASE)
_PROMISES = re.compile(
    r"(?:(?:확인|조회|파악|문의|전달|검토)(?:을|해|하고|하여|한)?|알아)\s?(?:[가-힣]+\s){0,2}"
    r"[가-힣]*(?:겠|드릴게|볼게|드릴 예정|드리도록)[가-힣]*"
    r"|다시 (?:연락|전화|안내|말씀)[가-힣]*\s?(?:드리|주)[가-힣]*"
    r"|\b(?:i'll|i will|let me) (?:check|find out|look into|get back|call you)\b",
    re.IGNORECASE,
)
_WINS_TIME = re.compile(
    r"잠시|기다려|알겠(?:습니다|어요)[.!\s]*$|\b(?:one moment|hold on)\b", re.IGNORECASE
)
_LIGHT_WORDS = """
    있나요 있을까요 있는지 있어요 있습니까 없나요 없어요 되나요 되는 되죠 될까요 돼요 하나요 하면 하는
    하려고 해야 할까요 해요 했는데 주실 주나요 주세요 주시 줄까 드려 싶은데 싶어요 건가요 거예요
    것인가요 가능한가요 언제 언제쯤 어디 얼마 얼마나 며칠 어떻게 어떤 무슨 무엇 뭐예요 뭔가요 누구 누가
    어느 이거 그거 저거 이것 그것 여기 거기 저기 이번 이번에 지금 그럼 그러면 그리고 혹시 제가 저는 저희
    우리 그게 이게 그건 이건 근데 그런 이런 이렇게 그렇게 정도 대해 혹은 아니면 어째서 그런데 그래서
    그래요 정말 진짜 여보세요 맞아요
    please could would does have know this that your some when where there here what just
"""
"""Words of questions that carry no matter."""

_LIGHT = frozenset(map(_key, _LIGHT_WORDS.split()))
