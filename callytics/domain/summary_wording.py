"""What summaries are asked for and written in: one Wording a language.

The model writes `asked / done`, what was asked and what was done; the sentence around them is ours, so it
always has an end. To add a language, add a Wording.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from callytics.domain.summary_checks import LONGEST_COPY, Check


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A call as the model reads it, and the answer that is wanted. About topics of no customer's."""

    customer: str
    agent: str
    asked: str
    done: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Quote:
    """A few words of what was asked and of what was answered, and whether it is known who said what."""

    asked: str | None
    done: str | None
    sides_known: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """`asked` and `done` are labels that models put before the slots although nobody wants them.

    `phrase` makes a noun phrase of what a model put into a slot, or None if it is none; `compose`
    makes the sentence out of what was asked and what was done (one or more phrases); `quote` out of
    a few words of each, `quote_asked` and `quote_done` out of a few words of one and the other.
    """

    task: str
    customer: str
    agent: str
    anybody: str
    asked: str
    done: str
    examples: Sequence[Example]
    compose: Callable[[str, Sequence[str]], str]
    phrase: Callable[[str], str | None]
    few_words: Callable[[str], str]
    quote: Callable[[Quote], str]
    quote_asked: Callable[[str, Sequence[str]], str]
    quote_done: Callable[[str, str], str]
    reasons: Mapping[Check, str]
    no_speech: str
    no_matter: str
    thrift: float = 1.0
    """Characters that a model reads in the time of one of Korean."""


def of(language: str | None) -> Wording:
    """The wording for an ISO 639-1 code; Korean where the language is not known."""
    return _WORDINGS.get(language or "ko", _ANY)


# --- Korean --------------------------------------------------------------------------------------

_AGENTS_DEEDS = (
    "안내|설명|접수|신청|처리|예약|변경|취소|해지|환불|교환|발송|전송|전달|등록|정지|연장|할인|적용|지급|보상|확인"
    "|약속|요청|완료|조치|수리|수거|회수|설치|연결|추천|제공|유지|통보|반환|발급|재발급|지원|상담|검토|조정|수정"
    "|재계산|해제|추가|제안|권유|배송"
)
_IS_DEED = re.compile(rf"(?:{_AGENTS_DEEDS})$")
_OPEN_STEM = re.compile(r"(보내|바꿔|옮겨|알려)$")
_MADE_NOUN = {"보내": "보냄", "바꿔": "바꿈", "옮겨": "옮김", "알려": "알림"}
_WISH = re.compile(r"\s?(?:문의|요청|질문|(?:전화|연락|문의)(?:드렸|했)음)$")
_PAST = re.compile(r"([가-힣])어요?$")
_FINAL_SS = 20
"""The number of ㅆ among Korean's final consonants: 젖었, 됐, 왔."""
_SPOKEN_WISH = re.compile(r"(?<=[가-힣])요$")
_POLITE_DEED = re.compile(r"(?<=[가-힣]{2})(?:하|했|합|해\s?드)[가-힣]*(?:니다|게요)$")
_CLAUSE = re.compile(
    r"(?:니다|니까|[나까세네예에데거게고든어서]요|[인은는던한]가요|죠|[?]|(?:에도|에서|에게|부터)|겠[가-힣]*|[가-힣]지만|[가-힣]면|싶[가-힣]*)$"
)


def compose_korean(asked: str, done: Sequence[str]) -> str:
    """`고객이 카드 분실을 문의하여 카드 정지, 재발급 신청함.`"""
    return f"고객이 {_asking(asked)} {_deeds(done)}."


def _deeds(done: Sequence[str]) -> str:
    *others, last = (_OPEN_STEM.sub(lambda stem: _MADE_NOUN[stem[1]], phrase) for phrase in done)
    if last == done[-1]:
        last += "함" if _IS_DEED.search(last) else " 안내함"
    return ", ".join([*others, last])


def _asking(asked: str) -> str:
    if re.search(r"(?:항의|신고|불만|호소|건의)$", asked):
        return f"{asked}하여"
    matter = _WISH.sub("", asked) or asked
    spoken = _SPOKEN_WISH.sub("", matter)  # 발이 안 들어가요
    if spoken != matter or re.search(r"[고서]$", matter):
        return f"{spoken} 문의하여"
    return f"{matter}{object_particle(matter)} 문의하여"


def object_particle(noun: str) -> str:
    """을 after a final consonant, 를 else, as the noun is spoken."""
    last = noun.rstrip(".,)'\" ")[-1:]
    if "가" <= last <= "힣":
        return "을" if _final(last) else "를"
    return "을" if last.lower() in set("013678lmnr") else "를"


def _korean_phrase(said: str) -> str | None:
    """`said` as a noun phrase: 접수하겠습니다 is 접수, 젖었어요 is 젖었음; other sentences are none."""
    phrase = _PAST.sub(_past_as_noun, _POLITE_DEED.sub("", said))
    return phrase if phrase and not _CLAUSE.search(phrase) else None


def _past_as_noun(end: re.Match[str]) -> str:
    return f"{end[1]}음" if _final(end[1]) == _FINAL_SS else end[0]


def _final(syllable: str) -> int:
    """The number of the syllable's final consonant, 0 if it has none."""
    return (ord(syllable) - ord("가")) % 28


def _last_words(said: str) -> str:
    """As many words from the end as may be copied: there Korean has its verb."""
    words = said.strip(" .,!?").split()
    while len(" ".join(words)) >= LONGEST_COPY and len(words) > 1:
        words = words[1:]
    kept = " ".join(words)[-LONGEST_COPY + 1 :]
    return kept if kept == said.strip(" .,!?") else f"…{kept}"


def _quote_korean(quote: Quote) -> str:
    if quote.asked and quote.done and quote.sides_known:
        return f"고객이 “{quote.asked}”라고 문의했고, 상담사가 “{quote.done}”라고 답함."
    said = ", ".join(f"“{words}”" for words in (quote.asked, quote.done) if words)
    return f"통화에서 {said}라는 말이 나옴."


_KOREAN = Wording(
    task=(
        "콜센터 상담을 읽고 `문의 / 처리` 꼴로 한 줄만 적는다.\n"
        "문의는 고객이 전화한 까닭을 짧은 명사구 하나로 적는다.\n"
        "처리는 상담사가 해 준 일이나 약속한 일을 짧은 명사구 한두 개로 적는다.\n"
        "나오지 않은 내용은 적지 않는다."
    ),
    customer="고객",
    agent="상담사",
    anybody="통화",
    asked="문의",
    done="처리",
    examples=(
        Example(
            customer="빌린 책을 못 찾겠어요. 어떻게 해야 하나요? 그럼 책값으로 낼게요.",
            agent="같은 책을 사서 내시거나 책값 만 팔천 원을 내시면 됩니다."
            " 네, 고지서를 메일로 보내 드렸습니다.",
            asked="대출 도서 분실",
            done="책값 변상 안내, 고지서 발송",
        ),
        Example(
            customer="토요일 수영 강습을 다른 시간으로 옮기고 싶은데요. 네, 네 시 반이 좋아요.",
            agent="두 시는 정원이 찼고 네 시 반은 두 자리 남아 있습니다."
            " 그럼 토요일 오후 네 시 반으로 옮겨 드렸습니다. 수영모는 꼭 가져오세요.",
            asked="수영 강습 시간 변경",
            done="토요일 네 시 반으로 변경",
        ),
        Example(
            customer="어제 산 우유가 벌써 상했어요. 어떻게 이런 걸 팔아요?",
            agent="영수증을 매장에 가져오시면 새 제품으로 바꿔 드리겠습니다."
            " 담당자에게도 전달해 두겠습니다.",
            asked="우유 변질 항의",
            done="새 제품 교환 약속",
        ),
        Example(
            customer="회비가 왜 두 번 빠져나갔는지 궁금해서요. 돌려받을 수 있어요?",
            agent="카드를 바꾸시면서 이전 카드로도 청구됐습니다."
            " 지금은 전산 점검 중이라 내일 오전에 다시 전화드리겠습니다.",
            asked="회비 이중 출금",
            done="이유 설명, 내일 전화 약속",
        ),
        Example(
            customer="놀이공원에 단체 할인으로 들어가려고 하는데요. 열다섯 명이에요.",
            agent="단체 할인은 스무 명부터라 적용이 어렵습니다."
            " 대신 평일 쿠폰을 쓰시면 삼십 퍼센트 싸게 들어오실 수 있습니다.",
            asked="놀이공원 단체 할인",
            done="할인 불가, 평일 쿠폰 안내",
        ),
    ),
    compose=compose_korean,
    phrase=_korean_phrase,
    few_words=_last_words,
    quote=_quote_korean,
    quote_asked=lambda words, done: f"고객이 “{words}”라고 문의하여 {_deeds(done)}.",
    quote_done=lambda asked, words: (
        f"고객이 {_asking(asked).removesuffix('하여')}했고, 상담사가 “{words}”라고 답함."
    ),
    reasons={
        Check.FINISHED: "더 짧게 적는다.",
        Check.LENGTH: "문의와 처리를 빠짐없이 짧게 적는다.",
        Check.SENTENCES: "더 짧게 적는다.",
        Check.LANGUAGE: "한국어로만 적는다.",
        Check.NO_LABELS: "말한 사람을 적지 않는다.",
        Check.NO_ECHO: "앞의 예가 아니라 이 상담만 적는다.",
        Check.OWN_WORDS: "말을 그대로 옮기지 않고 명사구로 줄인다.",
        Check.NUMBERS: "상담에 없는 숫자를 적지 않는다.",
        Check.NAMES: "이름을 적지 않는다.",
        Check.GROUNDED: "상담에 나온 낱말로 적는다.",
        Check.ASKED_AND_DONE: "`문의 / 처리` 꼴로 상담의 내용을 적는다.",
    },
    no_speech="통화에 말소리가 없음.",
    no_matter="인사 외에 문의 내용이 없는 통화임.",
)

# --- English -------------------------------------------------------------------------------------

_ENGLISH_REASONS = {
    Check.FINISHED: "Be shorter.",
    Check.LENGTH: "Say both what was asked and what was done, briefly.",
    Check.SENTENCES: "Be shorter.",
    Check.LANGUAGE: "Use the language of the call only.",
    Check.NO_LABELS: "Do not write who speaks.",
    Check.NO_ECHO: "Write about this call, not about the examples.",
    Check.OWN_WORDS: "Do not copy what was said; shorten it.",
    Check.NUMBERS: "Write no number that is not in the call.",
    Check.NAMES: "Write no names.",
    Check.GROUNDED: "Use words of the call.",
    Check.ASKED_AND_DONE: "Write `asked / done`, both from the call.",
}


def compose_english(asked: str, done: Sequence[str]) -> str:
    """`The customer asked about a lost card, and the agent blocked it and ordered a new one.`"""
    return f"The customer asked about {_lowered(asked)}, and the agent {_english_deeds(done)}."


def _english_deeds(done: Sequence[str]) -> str:
    return " and ".join(map(_lowered, done))


def _lowered(phrase: str) -> str:
    """Without the capital that a model begins a line with; `I`, `USB` and names keep theirs."""
    first = phrase.split(" ", 1)[0]
    plain = first == "A" or (first[1:].islower() and first[:1].isupper())
    return phrase[:1].lower() + phrase[1:] if plain else phrase


def _english_phrase(said: str) -> str | None:
    spoken = re.search(r"\b(?:I|we|you|my|your|our)\b|\?$", said, re.IGNORECASE)
    return said if said and not spoken else None


def _first_words(said: str) -> str:
    """As many words from the start as may be copied."""
    words = said.strip(" .,!?").split()
    while len(" ".join(words)) >= LONGEST_COPY and len(words) > 1:
        words = words[:-1]
    kept = " ".join(words)[: LONGEST_COPY - 1]
    return kept if kept == said.strip(" .,!?") else f"{kept}…"


def _quote_english(quote: Quote) -> str:
    if quote.asked and quote.done and quote.sides_known:
        return f"The customer said “{quote.asked}”, and the agent answered “{quote.done}”."
    said = " and ".join(f"“{words}”" for words in (quote.asked, quote.done) if words)
    return f"{said} was said in this call."


_ENGLISH = Wording(
    task=(
        "Read a call-centre conversation and write one line, `asked / done`.\n"
        "asked: why the customer called, as one short noun phrase.\n"
        "done: what the agent did or promised, as one or two short phrases that begin with a past verb.\n"
        "Write nothing that was not said."
    ),
    customer="Customer",
    agent="Agent",
    anybody="Call",
    asked="Asked",
    done="Done",
    examples=(
        Example(
            customer="I can't find a book I borrowed. What should I do? I'll pay for it then.",
            agent="You can buy the same book or pay eighteen dollars. I've sent the bill by mail.",
            asked="a lost library book",
            done="explained the replacement cost, sent the bill",
        ),
        Example(
            customer="I'd like to move my Saturday swimming lesson. Yes, half past four is good.",
            agent="Two o'clock is full, half past four has two places. I've moved you to half past four on"
            " Saturday. Please bring a cap.",
            asked="moving a swimming lesson",
            done="moved it to half past four on Saturday",
        ),
        Example(
            customer="Why was my membership fee taken twice? Can I get it back?",
            agent="It was also charged to your old card. The system is down now, so I'll call you tomorrow"
            " morning.",
            asked="a membership fee taken twice",
            done="explained the double charge, promised a call tomorrow morning",
        ),
    ),
    compose=compose_english,
    phrase=_english_phrase,
    few_words=_first_words,
    quote=_quote_english,
    quote_asked=lambda words, done: (
        f"The customer said “{words}”, and the agent {_english_deeds(done)}."
    ),
    quote_done=lambda asked, words: (
        f"The customer asked about {_lowered(asked)}, and the agent answered “{words}”."
    ),
    reasons=_ENGLISH_REASONS,
    thrift=2.5,
    no_speech="There is no speech in this call.",
    no_matter="Nothing but greetings was said in this call.",
)

# --- any other language: English instructions, the slots in the language of the call ----------------

_ANY = Wording(
    task=_ENGLISH.task + "\nWrite both in the language of the conversation.",
    customer=_ENGLISH.customer,
    agent=_ENGLISH.agent,
    anybody=_ENGLISH.anybody,
    asked=_ENGLISH.asked,
    done=_ENGLISH.done,
    examples=(),
    compose=lambda asked, done: f"{asked} – {', '.join(done)}.",
    phrase=lambda said: said if said and not said.endswith(("?", "？")) else None,
    few_words=_first_words,
    quote_asked=lambda words, done: f"“{words}” – {', '.join(done)}.",
    quote_done=lambda asked, words: f"{asked} – “{words}”.",
    quote=lambda quote: " – ".join(f"“{said}”" for said in (quote.asked, quote.done) if said),
    reasons=_ENGLISH_REASONS,
    no_speech=_ENGLISH.no_speech,
    no_matter=_ENGLISH.no_matter,
)

_WORDINGS: Mapping[str, Wording] = {"ko": _KOREAN, "en": _ENGLISH}
