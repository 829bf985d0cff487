"""Who is the agent, who the customer: from what is said, unless somebody has said so."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, sqrt

from callytics.domain.audio import channel_label
from callytics.domain.transcript import Role, Turn

# What agents and customers say: a pattern, and how much the natural logarithm of the odds that the
# speaker is the agent grows when it is heard (negative: a customer says so). Set by hand.
# Korean is compared without spaces and sentence marks, which recognisers set as they like.
CUES_KOREAN: tuple[tuple[str, float], ...] = (
    # The agent introduces herself, the company, the reason of an outbound call.
    (r"상담[원사](은|는)?[가-힣]{2,5}(입니다|이에요|예요)", 3.0),
    (r"(센터|데스크|콜센터)(의)?[가-힣]{0,8}입니다", 2.0),
    (r"[가-힣a-z]{2,12}(담당자|담당)[가-힣]{2,4}(입니다|이라고합니다)", 2.0),
    (r"(전화|연락|이용해|문의)(를|을)?주셔서(대단히|정말)?감사", 2.5),
    (r"안내(차|해드리려고|드리려고)|해피콜|통화(가|는)?(잠깐|잠시)?(가능하|괜찮으)(신|십|세|시)", 2.5),
    (r"[가-힣]{2,4}(고객님|님)?(되십니까|되시나요|맞으십니까|맞으신가요|맞으시죠|이십니까)", 2.0),
    # She offers help and says what she does.
    (r"(무엇을|뭘|무얼|어떻게|어떤걸|어떤것을)도와드릴까요|도와드리겠습니다|도와드릴게요", 3.0),
    (r"어떤(문의|도움|일로|용건)|문의(사항|하실)(이|내용)?있으(신|십|세)", 2.0),
    (r"(?<!말씀)(?<!말씀을)(?<!부탁)(?<!부탁을)드(리겠습니다|릴게요|릴까요|리도록하겠|리고있)", 1.5),
    (r"(접수|처리|예약|등록|조치|발송|신청)(가|이)?(되셨|되었|됐|도와|해드)", 1.2),
    (r"더(궁금하|필요하|도와|문의하)", 2.0),
    # She addresses the customer, and asks who it is.
    (r"고객님", 2.0),
    (r"(성함|생년월일|연락처|주소|주문번호)(은|는|이|가|을|를|과|와|하고)?.{0,12}(말씀해|알려|불러)주", 1.5),
    (r"(성함|생년월일|연락처|주소)(은|는|이|가)?어떻게되|본인(이)?(확인|맞으)", 2.0),
    (r"기다려주(세요|시겠|십시오|셔서)", 1.2),
    (r"불편을(드려|끼쳐)|불편하셨|양해(부탁|바랍|해주)", 1.5),
    (r"(으십니까|시겠습니까|시겠어요|신가요|으신가요)", 0.6),
    (r"저희(가|는|쪽|회사|센터|측|은행|매장|직원)", 0.7),
    (r"좋은하루(되|보내)(세요|시|십)", 1.0),
    # The customer says why he calls.
    (r"(서|려고|려구)(요)?(전화|연락|문의)(를)?(드렸|드려|드리|했)", -2.5),
    (r"문의(좀)?(드리려|드릴게|드려요|드립니다|하려고|하고싶|할게)", -2.0),
    (r"(전화|연락|문의)(를)?(했는데|했었는데|했더니|했어요)", -1.5),
    (r"(센터|회사|은행)(이죠|죠|인가요|맞나요|맞죠|아닌가요)", -1.5),
    (r"상담[원사](님|분)?(연결|바꿔|하고|이랑|한테|좀)", -1.0),
    # His trouble, his things, his wishes.
    (r"안(돼요|돼서|되네|되는데|되고|되서|됐어요|나와요|나오|와요|켜져|열려)", -1.0),
    (r"고장(났|이났|나서)|끊겨|끊기|먹통|오류가(나|떠)|잘못(왔|나왔|됐|된)", -1.2),
    (r"(샀|구매했|주문했|결제했|가입했|받았|신청했)(는데|거든|어요)", -1.5),
    (r"(저희|우리)(집|엄마|어머니|아버지|남편|아내|아이)|제(폰|핸드폰|휴대폰|카드|계좌|통장|아이디)", -1.2),
    (r"(고싶은데|고싶어요|고싶습니다|려고하는데|려고요|려는데)", -1.2),
    (r"주실수(있|없)(나요|을까요|어요|습니까|는지)|해주셔야|와주셔야", -1.2),
    (r"얼마(인가요|예요|에요|죠|나하|정도)|언제(오|되|쯤|까지|부터)|(인가요|하나요|되나요|있나요)$", -0.6),
    (r"(이름은|성함은)[가-힣]{2,4}(이고|이요|요$|입니다|이에요|예요|인데)", -1.5),
    (r"(주소|번호|생일)는.{1,20}(이요|입니다|이에요|예요|이고요)", -0.8),
    (r"화가(나|납|났)|짜증|답답|속상|너무하|어이가없|말이(돼|되)", -1.5),
    (r"수고하(세요|십시오|셨)|친절하게|말씀드릴게요|부탁드(립|려|릴)", -1.0),
)  # fmt: skip
CUES_ENGLISH: tuple[tuple[str, float], ...] = (
    (r"how (can|may) i (help|assist)", 3.0),
    (r"thank(s| you) for (calling|contacting|holding|your patience)", 2.5),
    (r"\bthis is \w+ (from|with|at)\b|\bmy name is \w+,? (and )?(how|i'll|i will|from)", 2.0),
    (r"\b(i'm|i am) calling from\b", 2.0),
    (r"(can|may|could) i (please )?(have|get|take) your", 2.0),
    (r"(verify|confirm) your|for (security|verification)", 1.5),
    (r"is there anything else|anything else i can", 2.5),
    (r"\b(i'll|i will|let me) (check|look|pull|transfer|connect|send|process|go ahead)", 1.0),
    (r"\b(sir|ma'am|madam)\b", 0.8),
    (r"(sorry|apologi[sz]e) for (the|any|that)? ?(inconvenience|trouble|wait|delay)", 2.0),
    (r"please hold|bear with me|one moment", 0.8),
    (r"have a (great|nice|good|wonderful) (day|one|evening)", 0.7),
    (r"\b(i'm|i am) calling (about|because|to|regarding)|i have a (question|problem)", -2.0),
    (r"\bmy (bill|order|internet|account|phone|card|package|router|refund|payment)\b", -1.2),
    (
        r"(doesn't|isn't|don't|won't|not|stopped|never) work|keeps? (dropping|failing|crashing)",
        -1.2,
    ),
    (r"\bi('d| would) like to|\bi want(ed)? to", -1.2),
    (r"\b(can|could) you (please )?(help|tell|fix|check|send|give|cancel)", -1.0),
    (r"\bi (just )?(bought|ordered|paid|received|signed up)|was charged", -1.5),
    (r"frustrat|ridiculous|unacceptable|fed up", -1.5),
    (r"\bhow (much|long)\b|\bwhen (will|can)\b", -0.6),
)
FIRST_SPEAKER = 0.7
"""Most calls are answered by the agent. It settles nothing where no cue was heard."""

DEPENDENCE = 0.6
"""Cues come together, so their sum says less than if they were independent."""

SUREST = 0.99
PAIR = 2
UNSURE = 0.6
"""Below this probability nobody is called agent or customer."""

_CUES = tuple(
    (re.compile(pattern), weight, language)
    for language, cues in (("ko", CUES_KOREAN), ("en", CUES_ENGLISH))
    for pattern, weight in cues
)
_NOT_A_LETTER = re.compile(r"[\s.,!?…~\"']+")
_OPPOSITE = {Role.AGENT: Role.CUSTOMER, Role.CUSTOMER: Role.AGENT}


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleGuess:
    """A speaker's role and the probability that it is right (1 where a person or the request said so)."""

    role: Role
    confidence: float


UNKNOWN = RoleGuess(role=Role.UNKNOWN, confidence=0.0)


def decide(
    turns: Sequence[Turn],
    *,
    channels: Mapping[str, int] | None = None,
    corrected: Mapping[str, str] | None = None,
) -> dict[str, RoleGuess]:
    """Each speaker's role.

    What a person `corrected` (speaker -> role) goes before `channels` (role -> channel number), and
    both before what is said. Where a person named one of two speakers, the other is the other.
    """
    said = {channel_label(index): Role(role) for role, index in (channels or {}).items()}
    speakers = {*said, *(turn.speaker for turn in turns)}
    corrections = {speaker: Role(role) for speaker, role in (corrected or {}).items()}
    if len(speakers) == PAIR and len(speakers & corrections.keys()) == 1:
        [other] = speakers - corrections.keys()
        [role] = corrections.values()
        said |= {other: _OPPOSITE[role]} if role in _OPPOSITE else {}
    sure = {speaker: _sure(role) for speaker, role in {**said, **corrections}.items()}
    return guess(turns) | sure


def guess(turns: Sequence[Turn]) -> dict[str, RoleGuess]:
    """Each speaker's role from what is said; unknown where one speaks alone or nothing tells.

    The agent is the speaker whose words speak most for it. Of several others, those are customers whose
    own words say so.
    """
    speakers = list(dict.fromkeys(turn.speaker for turn in turns))
    scores = {
        name: agent_score(one.text for one in turns if one.speaker == name) for name in speakers
    }
    if len(speakers) < PAIR or not any(scores.values()):
        return dict.fromkeys(speakers, UNKNOWN)
    pair = len(speakers) == PAIR
    scores[speakers[0]] += FIRST_SPEAKER
    agent, runner_up = sorted(speakers, key=scores.__getitem__, reverse=True)[:PAIR]
    sure = _probability(scores[agent] - scores[runner_up])
    if sure < UNSURE or not (pair or scores[agent] > 0):
        return dict.fromkeys(speakers, UNKNOWN)
    customers = {
        name: RoleGuess(role=Role.CUSTOMER, confidence=_probability(scores[agent] - score))
        for name, score in scores.items()
        if pair or score < 0
    }
    found = {**customers, agent: RoleGuess(role=Role.AGENT, confidence=sure)}
    return {name: found.get(name, UNKNOWN) for name in speakers}


def with_roles(turns: Iterable[Turn], roles: Mapping[str, RoleGuess]) -> tuple[Turn, ...]:
    return tuple(
        replace(
            turn,
            role=roles.get(turn.speaker, UNKNOWN).role,
            role_confidence=roles.get(turn.speaker, UNKNOWN).confidence,
        )
        for turn in turns
    )


def agent_score(texts: Iterable[str]) -> float:
    """How much what one speaker said speaks for the agent (log odds); 0 if no cue was heard.

    A cue that is heard n times counts sqrt(n) times: repetition confirms less and less.
    """
    counts = dict.fromkeys(range(len(_CUES)), 0)
    for text in texts:
        lowered = text.lower()
        forms = {"en": lowered, "ko": _NOT_A_LETTER.sub("", lowered)}
        for index, (pattern, _, language) in enumerate(_CUES):
            counts[index] += len(pattern.findall(forms[language]))
    return sum(_CUES[index][1] * sqrt(count) for index, count in counts.items())


def _probability(log_odds: float) -> float:
    return min(SUREST, 1 / (1 + exp(-DEPENDENCE * log_odds)))


def _sure(role: Role) -> RoleGuess:
    return RoleGuess(role=role, confidence=1.0)
