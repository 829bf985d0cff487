"""What an analysis is asked for in: one Phrasing a language. To add a language, add a Phrasing."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from callytics.domain.transcript import Role


class Part(StrEnum):
    """The parts of a conversation's summary."""

    CUSTOMER = "customer"
    """Why the customer called."""
    AGENT = "agent"
    """What the agent explained or did."""
    RESULT = "result"
    """How it ended."""


class Fault(StrEnum):
    """Why a model is asked once more."""

    FORM = "form"
    """No answer of the form that was asked for."""
    CUT = "cut"
    """The answer was longer than it may be."""
    LANGUAGE = "language"
    """Another language than the conversation's."""
    MADE_UP = "made_up"
    """Words, names or numbers that nobody said."""
    COPIED = "copied"
    """Speech, labels or the prompt instead of a phrase."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """An analysis as a model writes it."""

    parts: Mapping[Part, str]
    keywords: Sequence[str]
    keyword_title: str
    descriptive_title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A conversation and the analysis that is wanted. About topics of no customer's."""

    turns: Sequence[tuple[Role, str]]
    written: Written


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrasing:
    """`phrase` makes a phrase of what is nearly one; `spoken` finds what is speech; `joint` joins two
    phrases to a title; `matter` has the customer's phrases say that they are a question or a wish;
    `general` are the keywords of a conversation that has none.
    """

    task: str
    labels: Mapping[Role, str]
    examples: Sequence[Example]
    reasons: Mapping[Fault, str]
    again: str
    phrase: Callable[[str], str]
    spoken: re.Pattern[str]
    joint: str
    matter: Callable[[Sequence[str]], list[str]]
    general: tuple[str, str]


def of(language: str) -> Phrasing:
    return _PHRASINGS.get(language, _ANY)


A, C = Role.AGENT, Role.CUSTOMER


def _written(
    parts: tuple[str, str, str], keywords: Sequence[str], titles: tuple[str, str]
) -> Written:
    return Written(
        parts=dict(zip(Part, parts, strict=True)),
        keywords=keywords,
        keyword_title=titles[0],
        descriptive_title=titles[1],
    )


# --- Korean --------------------------------------------------------------------------------------

_WISH = re.compile(
    r"(?:문의|요청|항의|신청|신고|접수|예약|취소|해지|변경|확인|불만|호소|질문|희망|의뢰)$"
)
_ANSWER = re.compile(r"\s?(?:안내|설명|제공|전화|연락)$")


_POLITE_DEED = re.compile(r"(?<=[가-힣]{2})(?:을|를)?\s?(?:하|했|합|해\s?드)[가-힣]*(?:니다|게요)$")
_OPEN_STEM = re.compile(r"(?<![가-힣])(보내|바꿔|옮겨|알려)$")
_MADE_NOUN = {"보내": "보냄", "바꿔": "바꿈", "옮겨": "옮김", "알려": "알림"}


def korean_phrase(said: str) -> str:
    """`반환 요청을 접수하겠습니다` is `반환 요청을 접수`, `고지서 보내` is `고지서 보냄`."""
    return _OPEN_STEM.sub(lambda stem: _MADE_NOUN[stem[1]], _POLITE_DEED.sub("", said))


def korean_matter(phrases: Sequence[str]) -> list[str]:
    """`청구에 필요한 서류` is `청구에 필요한 서류 문의`; what the agent does about it is left off."""
    if not phrases or _WISH.search(phrases[-1]):
        return list(phrases)
    return [*phrases[:-1], f"{_ANSWER.sub('', phrases[-1])} 문의"]


_KOREAN = Phrasing(
    task=(
        "콜센터 상담을 읽고 JSON으로 정리한다. 값은 모두 짧은 명사구로 쓴다. 상담에 나온 낱말과 숫자만 쓰고"
        " 사람 이름은 쓰지 않는다.\n"
        "customer: 고객이 전화한 까닭. 문의, 요청, 항의 가운데 하나로 끝낸다.\n"
        "agent: 상담사가 알려 준 것과 해 준 일.\n"
        "result: 상담이 끝났을 때 정해진 일.\n"
        "keywords: 상담의 중요한 낱말 2~5개. 띄어 쓰지 않는다.\n"
        "keyword 제목: 낱말 두세 개를 _로 잇는다.\n"
        "descriptive 제목: 무엇을 어떻게 했는지 한 줄로 쓴다."
    ),
    labels={Role.CUSTOMER: "고객", Role.AGENT: "상담사", Role.UNKNOWN: "통화"},
    examples=(
        Example(
            turns=(
                (C, "빌린 책을 못 찾겠어요. 어떻게 해야 하나요?"),
                (A, "같은 책을 사서 내시거나 책값 만 팔천 원을 내시면 됩니다."),
                (C, "연체료도 있나요? 그럼 책값으로 낼게요."),
                (A, "연체료는 없습니다. 책값 고지서를 메일로 보내 드렸습니다."),
            ),
            written=_written(
                (
                    "빌린 책 분실 시 처리 방법 문의",
                    "같은 책 제출 또는 책값 만 팔천 원 납부, 연체료 없음 안내",
                    "책값 납부로 결정, 고지서 메일 발송",
                ),
                ("책값", "연체료", "고지서"),
                ("책값_고지서_안내", "빌린 책 분실에 따른 책값 납부 안내"),
            ),
        ),
        Example(
            turns=(
                (C, "토요일 수영 강습을 다른 시간으로 옮기고 싶은데요."),
                (A, "두 시는 정원이 찼고 네 시 반은 두 자리 남아 있습니다."),
                (C, "네 시 반이 좋아요."),
                (
                    A,
                    "그럼 토요일 오후 네 시 반으로 변경해 드렸습니다. 수영모는 꼭 가져오셔야 합니다.",
                ),
            ),
            written=_written(
                (
                    "토요일 수영 강습 시간 변경 요청",
                    "네 시 반 강습 자리 확인, 수영모 지참 안내",
                    "토요일 오후 네 시 반으로 변경 완료",
                ),
                ("수영강습", "시간변경", "수영모"),
                ("수영강습_시간변경", "토요일 수영 강습 시간 변경 및 수영모 지참 안내"),
            ),
        ),
        Example(
            turns=(
                (C, "어제 산 우유가 벌써 변질됐어요. 배탈이라도 나면 책임지실 거예요?"),
                (A, "영수증을 매장에 가져오시면 새 우유로 교환해 드리겠습니다."),
                (C, "집에서 먼데 꼭 가야 하나요?"),
                (A, "그럼 오늘 배달 기사가 새 우유를 가져다 드리도록 접수해 두겠습니다."),
            ),
            written=_written(
                (
                    "어제 산 우유 변질 항의",
                    "영수증 지참 시 매장 교환 안내, 배달 접수",
                    "오늘 새 우유 배달 접수",
                ),
                ("우유변질", "우유교환", "영수증"),
                ("우유변질_우유교환", "구매한 우유 변질 항의에 따른 새 우유 배달 접수"),
            ),
        ),
        Example(
            turns=(
                (C, "회비가 왜 이중으로 빠져나갔는지 궁금해서요. 환불받을 수 있어요?"),
                (A, "카드를 바꾸시면서 이전 카드로도 청구됐습니다."),
                (
                    A,
                    "지금은 전산 점검 중이라 환불이 안 되고, 내일 오전에 다시 전화드리겠습니다.",
                ),
                (C, "내일은 꼭 연락 주세요."),
            ),
            written=_written(
                (
                    "회비가 이중으로 빠져나간 이유와 환불 문의",
                    "이전 카드로도 청구된 이유 설명, 전산 점검으로 환불 불가 안내",
                    "내일 오전 전화 약속",
                ),
                ("회비", "환불", "전산점검"),
                ("회비_환불_전산점검", "회비 이중 청구 이유 설명 및 환불 관련 전화 약속"),
            ),
        ),
        Example(
            turns=(
                (C, "놀이공원에 단체 할인으로 들어가려고 하는데요. 열다섯 명이에요."),
                (
                    A,
                    "단체 할인은 스무 명부터 됩니다. 대신 평일 쿠폰을 쓰시면 한 사람에"
                    " 삼만 오천 원에 들어오실 수 있습니다.",
                ),
                (C, "쿠폰은 어디서 받아요?"),
                (A, "누리집에서 받으시면 되고, 받는 방법을 문자로 보내 드리겠습니다."),
            ),
            written=_written(
                (
                    "놀이공원 열다섯 명 단체 할인 문의",
                    "스무 명부터 단체 할인 가능, 평일 쿠폰 삼만 오천 원 안내",
                    "열다섯 명 단체 할인 불가, 쿠폰 받는 방법 문자 발송 예정",
                ),
                ("놀이공원", "단체할인", "평일쿠폰"),
                ("놀이공원_단체할인_쿠폰", "놀이공원 단체 할인 조건 및 평일 쿠폰 안내"),
            ),
        ),
    ),
    reasons={
        Fault.FORM: "모든 값을 빠짐없이 JSON으로 쓴다.",
        Fault.CUT: "더 짧게 쓴다.",
        Fault.LANGUAGE: "한국어로만 쓴다.",
        Fault.MADE_UP: "상담에 나오지 않은 낱말, 이름, 숫자는 쓰지 않는다.",
        Fault.COPIED: "말을 그대로 옮기지 않고 명사구로 줄인다.",
    },
    again="다시 쓴다",
    phrase=korean_phrase,
    # 신고 and 재고 are nouns, 하고 is none.
    spoken=re.compile(
        r"(?:[요죠까]|니다|다고|[는은인]데|니까|거든|[아어여해겨]서|싶[가-힣]*|려고|겠[가-힣]*|지만"
        r"|(?<![신재광사보경출입잔창중참예원최장])고|(?<=[주하시되으])면)[?!.]*$"
    ),
    joint=" 및 ",
    matter=korean_matter,
    general=("상담", "문의"),
)

# --- English -------------------------------------------------------------------------------------

_ENGLISH = Phrasing(
    task=(
        "Read a call-centre conversation and put it in order as JSON. All values are short noun phrases. Use"
        " only words and numbers of the conversation, and no people's names.\n"
        "customer: why the customer called.\n"
        "agent: what the agent explained or did.\n"
        "result: what was settled when the call ended.\n"
        "keywords: 2 to 5 important words of the conversation.\n"
        "keyword title: two or three words joined with _.\n"
        "descriptive title: what was done about what, in one line."
    ),
    labels={Role.CUSTOMER: "Customer", Role.AGENT: "Agent", Role.UNKNOWN: "Call"},
    examples=(
        Example(
            turns=(
                (C, "I lost a book that I borrowed. What should I do?"),
                (A, "You can hand in the same book or pay its price of eighteen dollars."),
                (C, "Is there a late fee? I'll pay for it then."),
                (A, "There is no late fee. I've sent the bill by mail."),
            ),
            written=_written(
                (
                    "question about a borrowed book that is lost",
                    "same book or price, eighteen dollars, no late fee",
                    "payment of the price, bill sent by mail",
                ),
                ("borrowed book", "price", "late fee", "bill"),
                ("borrowed-book_price_bill", "Lost borrowed book and payment of its price"),
            ),
        ),
        Example(
            turns=(
                (C, "Why was my membership charged twice? I need a refund."),
                (A, "It was also charged to your old card. The system is down now."),
                (A, "I'll call you tomorrow morning about the refund."),
                (C, "Please do call."),
            ),
            written=_written(
                (
                    "membership charged twice, refund needed",
                    "reason of the charge to the old card",
                    "call about the refund tomorrow morning",
                ),
                ("membership", "old card", "refund"),
                (
                    "membership_refund",
                    "Membership charged twice and a call about the refund",
                ),
            ),
        ),
    ),
    reasons={
        Fault.FORM: "Fill in every value of the JSON.",
        Fault.CUT: "Be shorter.",
        Fault.LANGUAGE: "Use the language of the conversation only.",
        Fault.MADE_UP: "Use no word, name or number that is not in the conversation.",
        Fault.COPIED: "Do not copy what was said; shorten it to noun phrases.",
    },
    again="Once more",
    phrase=str,
    spoken=re.compile(r"\b(?:I|you|we|I'll|I've|my|your)\b|\?$"),
    joint=" and ",
    matter=list,
    general=("call", "inquiry"),
)

# --- any other language: English instructions, the values in the language of the conversation -------

_ANY = Phrasing(
    task=_ENGLISH.task + "\nWrite all values in the language of the conversation.",
    labels=_ENGLISH.labels,
    examples=(),
    reasons=_ENGLISH.reasons,
    again=_ENGLISH.again,
    phrase=str,
    spoken=re.compile(r"[?？]$"),
    joint=" – ",
    matter=list,
    general=_ENGLISH.general,
)

_PHRASINGS: Mapping[str, Phrasing] = {"ko": _KOREAN, "en": _ENGLISH}
