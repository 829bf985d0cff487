"""Whether a sentence is a summary of a conversation: named checks, each of which a person can repeat."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import groupby

from callytics.domain.numerals import unsaid_numbers

LONGEST_COPY = 25
"""Characters in a row that may be the conversation's own."""

LONGEST_ECHO, LONGEST_LATIN_ECHO = 10, 24
"""Letters in a row that may be the prompt's and not the conversation's."""

SHORTEST, LONGEST = 10, 160
MOST_SENTENCES = 2


class Check(StrEnum):
    """What each name asks for; `docs/measurements.md` says how often each fails."""

    FINISHED = "finished"
    """The sentence has an end, and was not cut."""
    LENGTH = "length"
    """Neither a word nor a story."""
    SENTENCES = "sentences"
    """One or two of them, on one line."""
    LANGUAGE = "language"
    """That of the conversation."""
    NO_LABELS = "no_labels"
    """No speakers' labels, headings or markup."""
    NO_ECHO = "no_echo"
    """Nothing of the prompt."""
    OWN_WORDS = "own_words"
    """Nothing long that is copied, nothing that is said over and over."""
    NUMBERS = "numbers"
    """Every number is in the conversation."""
    NAMES = "names"
    """Every name is in the conversation."""
    GROUNDED = "grounded"
    """Every content word is in the conversation, or only names the kind of a matter."""
    ASKED_AND_DONE = "asked_and_done"
    """It says what was asked and what was done, with words of the conversation in each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A summary to judge; `asked` and `done` are its two parts."""

    text: str
    asked: str
    done: str
    conversation: str
    prompt: str
    language: str
    finished: bool = True
    """Whether the model ended by itself."""


def judge(candidate: Candidate) -> dict[Check, bool]:
    """Each check and whether the candidate passes it."""
    return {check: passes(candidate) for check, passes in CHECKS.items()}


_ANY_END = re.compile(r"[.!。！…]$|[\w)”]$")
_FINAL_M = "\u11b7"
_DANGLING = re.compile(
    r"(?:,|·|및|또는|그리고|의|을|를|에서|하고|하여|\band|\bthe|\bto|\bof|\bor)[.]?$"
)


def _finished(candidate: Candidate) -> bool:
    text = candidate.text.rstrip(" .!")
    ends = _ends_korean(text) if candidate.language == "ko" else _ANY_END.search(text)
    return candidate.finished and bool(ends) and not _DANGLING.search(text)


def _ends_korean(text: str) -> bool:
    """A verb's noun form, with a final ㅁ as in 함, or a sentence's ending."""
    return text.endswith(("다", "요")) or unicodedata.normalize("NFD", text[-1:]).endswith(_FINAL_M)


def _length(candidate: Candidate) -> bool:
    return SHORTEST <= len(candidate.text) <= LONGEST


_SENTENCE_END = re.compile(r"(?<!\d)[.!?。！？]+(?=\s|$)")


def _sentences(candidate: Candidate) -> bool:
    parts = [part for part in _SENTENCE_END.split(candidate.text) if part.strip()]
    return 1 <= len(parts) <= MOST_SENTENCES and "\n" not in candidate.text.strip()


_SCRIPTS: Mapping[str, re.Pattern[str]] = {
    "ko": re.compile(r"[가-힣ㄱ-ㅎㅏ-ㅣ]"),
    "ja": re.compile(r"[぀-ヿ㐀-鿿]"),
    "zh": re.compile(r"[㐀-鿿]"),
    "ru": re.compile(r"[Ѐ-ӿ]"),
    "th": re.compile(r"[฀-๿]"),
    "ar": re.compile(r"[؀-ۿ]"),
}
_LATIN = re.compile(r"[A-Za-zÀ-ɏḀ-ỿ]")
_WORD = re.compile(r"[^\W_]+")
OWN_SCRIPT_SHARE = 0.7


def _language(candidate: Candidate) -> bool:
    """Words of another script are fine where the conversation has them: names, addresses."""
    script = _SCRIPTS.get(candidate.language, _LATIN)
    letters = [letter for letter in candidate.text if letter.isalpha()]
    own = sum(bool(script.match(letter)) for letter in letters)
    runs = groupby(candidate.text, key=lambda sign: sign.isalpha() and not script.match(sign))
    said = _plain(candidate.conversation)
    foreign = ["".join(signs) for is_foreign, signs in runs if is_foreign]
    return own > OWN_SCRIPT_SHARE * len(letters) and all(_plain(run) in said for run in foreign)


_LABEL = re.compile(
    r"(?:고객|상담사|상담원|화자|문의|처리|요약|결과|답변|speaker|agent|customer|assistant|user|system|asked|done|summary)"
    r"[\s_]?\d*(?:님)?\s?[:：>\]]|[*_#`<>{}\[\]|]|^\s*(?:[-•]|\d+[.)])\s",
    re.IGNORECASE,
)


def _no_labels(candidate: Candidate) -> bool:
    return not _LABEL.search(candidate.text)


def _no_echo(candidate: Candidate) -> bool:
    prompt, said, text = map(_plain, (candidate.prompt, candidate.conversation, candidate.text))
    longest = LONGEST_ECHO if candidate.language in _SCRIPTS else LONGEST_LATIN_ECHO
    return not any(run in prompt and run not in said for run in _windows(text, longest + 1))


def _own_words(candidate: Candidate) -> bool:
    """However spaces and marks are set: a copy without its comma is a copy."""
    said = candidate.conversation
    for form in (_spaced, _unmarked):
        whole, text = form(said), form(candidate.text)
        if any(run in whole for run in _windows(text, LONGEST_COPY + 1)):
            return False
    return not _repeats(candidate.text)


def _numbers(candidate: Candidate) -> bool:
    return not unsaid_numbers(candidate.text, candidate.conversation)


_TITLED = re.compile(
    r"([가-힣]{2,4})\s?(?:고객님|님|씨|교수|의사|원장|기사|팀장|과장|대리|사원|담당)(?![가-힣]{2})|상담[사원]\s([가-힣]{2,4})"
)
_COMPANY = re.compile(
    r"([가-힣A-Za-z]{2,})(?:통신|은행|카드|보험|병원|의원|항공|택배|렌탈|렌터카|모바일|전자|증권|마트|백화점|센터|대학교"
    r"|구청|시청|광역시|특별시|[가-힣]구(?=\s|$))"
)
_CAPITALISED = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w'-]+|\b\w*[A-Z]\w*[A-Z]\w*\b|\b\w+@\w+")


def _names(candidate: Candidate) -> bool:
    said = _plain(candidate.conversation)
    found = [name for match in _TITLED.findall(candidate.text) for name in match if name]
    found += _CAPITALISED.findall(candidate.text)
    found += [match[0] for match in _COMPANY.finditer(candidate.text)]
    return all(_plain(name) in said or name in REPORT_WORDS for name in found)


def _grounded(candidate: Candidate) -> bool:
    words = content_words(candidate.text)
    return all(_names_a_kind(word) or said_in(word, candidate.conversation) for word in words)


def _asked_and_done(candidate: Candidate) -> bool:
    parts = (candidate.asked, candidate.done)
    return all(
        any(said_in(word, candidate.conversation) for word in content_words(part)) for part in parts
    )


CHECKS: Mapping[Check, Callable[[Candidate], bool]] = {
    Check.FINISHED: _finished,
    Check.LENGTH: _length,
    Check.SENTENCES: _sentences,
    Check.LANGUAGE: _language,
    Check.NO_LABELS: _no_labels,
    Check.NO_ECHO: _no_echo,
    Check.OWN_WORDS: _own_words,
    Check.NUMBERS: _numbers,
    Check.NAMES: _names,
    Check.GROUNDED: _grounded,
    Check.ASKED_AND_DONE: _asked_and_done,
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


REPORT_WORDS = _words(
    """
    고객 고객님 상담 상담사 상담원 문의 문의하여 요청 요청하여 신청 접수 처리 안내 설명 확인 전달 약속
    답변 진행 예정 가능 불가 방법 절차 관련 내용 사항 이유 경우 여부 상황 상태 문제 조치 도움 이용
    제공 통보 신고 항의 불만 발송 대한 대해 위해 통해 따라 따른 후 및 등 또는 함 됨
    라고 답함
    """
)
"""What a report says in its own words."""

KIND_WORDS = _words(
    """
    오류 실패 지연 증가 감소 변동 불량 고장 파손 분실 누락 중단 과다 초과 부족 중복 이중 장애 불편
    기간 시간 시각 일정 날짜 금액 비용 위치 조건 기준 결과 상품 제품 서비스 이용 사용 구매 재구매 조회
    변경 정보 준비물 선택 가능성 필요 서류 issue problem question details information error failure
    delay cost price date time status
    """
)
"""What a matter may be called although nobody said so. Nothing that is a result by itself."""

_PARTICLES = re.compile(
    r"(?:으로|에게|에서|까지|부터|에는|에도|이나|하고|하여|하며|하도록|하기로|하기|되어|되는|된다|하는|했고|했다|합니다|했습니다|드립니다|드렸습니다"
    r"|(?<=[가-힣]{2})(?:고|며|서|던|려고|려는)"
    r"|함|됨|해|한|할|된|될|은|는|이|가|을|를|의|에|로|와|과|도|만|나)$"
)
_STEM = 2
"""Syllables by which a Korean word is known again in another form."""

_SHORT_WORDS = _words(
    """
    a an the to of for in on at by and or with that this it is was were be been has had have they
    their his her he she them not no as from about after so will would can could when how why if
    because also then there one two who what asked agent customer caller wanted wants said told
    regarding agreed promised explained offered requested inquired confirmed provided informed
    answered
    """
)


_NO = r"없|\b안\s|못|불가|어렵|어려|취소|아니|면제|무료"


def bears_out(turn: str, phrase: str) -> bool:
    """Whether one turn has all content words of the phrase, and does not deny them.

    Words from here and there make up what nobody said; `추가 요금은 없습니다` is no 추가 요금.
    """
    words = content_words(phrase)
    if not words or not all(said_in(word, turn) for word in words):
        return False
    stem = re.escape(_PARTICLES.sub("", words[-1]) or words[-1])
    denied = re.search(rf"{stem}\s?(?:신청|접수|요청)?[은는이가도을를]?\s?(?:{_NO})", turn)
    return denied is None or bool(re.search(_NO, phrase))


def content_words(text: str) -> list[str]:
    """The words that carry the matter: no report words, no numbers."""
    found = []
    for word in _WORD.findall(text):
        stem = _PARTICLES.sub("", word) or word
        plain = word.lower() in _SHORT_WORDS or {word, stem} & REPORT_WORDS
        if not plain and not word[0].isdigit() and len(stem) > (word < "가"):
            found.append(word)
    return found


def _names_a_kind(word: str) -> bool:
    return not KIND_WORDS.isdisjoint({word.lower(), _PARTICLES.sub("", word)})


def said_in(word: str, conversation: str) -> bool:
    """Whether the conversation has the word, perhaps in another form."""
    said = _plain(conversation)
    if not re.search(r"[가-힣]", word):
        return _plain(word)[: 5 if _LATIN.match(word) else 2] in said
    stem = _PARTICLES.sub("", word) or word
    return (
        stem in said
        or (len(stem) > _STEM and _parts_occur(stem, said))
        or _inflected(_letters(stem), _letters(said))
    )


def _parts_occur(stem: str, said: str) -> bool:
    """Whether a compound's halves occur: `분실신고` of `분실 접수` and `신고`, or its start: `변경해서`."""
    return stem[:_STEM] in said and (
        stem[_STEM:] in said or stem[_STEM : 2 * _STEM] in said or len(stem) == _STEM + 1
    )


def _inflected(stem: str, said: str) -> bool:
    """Whether the letters of a verb occur but for its noun's ending: 보냄 of 보내, 끊김 of 끊겨."""
    verb = stem.removesuffix(_FINAL_M)
    return any(len(start) >= 2 * _STEM and start in said for start in (verb, verb[:-1]))


def _repeats(text: str) -> bool:
    """Whether the model went round in circles: most words come again and again."""
    words = _WORD.findall(text)
    return len(words) > 5 and len(set(words)) < len(words) * 0.6  # noqa: PLR2004


def _windows(text: str, length: int) -> list[str]:
    return [text[at : at + length] for at in range(len(text) - length + 1)]


@lru_cache(maxsize=8)
def _letters(text: str) -> str:
    """Syllables taken apart."""
    return unicodedata.normalize("NFD", text)


@lru_cache(maxsize=8)
def _plain(text: str) -> str:
    """Letters and figures only, small."""
    return re.sub(r"[\W_]+", "", text).lower()


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _unmarked(text: str) -> str:
    return _spaced(re.sub(r"[^\w\s]|_", " ", text))
