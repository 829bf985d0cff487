"""Which turns of a conversation are read for its summary: what was asked, what was done about it.

Greetings, holding the line and asking who calls fill a prompt and say nothing of the matter; names
that are not read are not repeated either. `excerpt` is for a conversation that is there as a whole,
`spoken` for one that is read while it goes on.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from callytics.domain.transcript import Role


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# Korean is compared without spaces (_joined).
_SMALL_TALK = _any(
    r"[가-힣a-z]{0,15}(센터|상담[사원팀][가-힣]{0,4}|담당[가-힣]{0,5})(입니다|이에요)",
    r"여보세요|안녕하(세요|십니까)|반갑습니다",
    r"(정말|너무|대단히)?(감사|고맙|고마워)(합니다|해요|드립니다|습니다|요)?",
    r"좋은하루[가-힣]*|수고(하|많)[가-힣]*|축하(드|합)[가-힣]*|행복하[가-힣]*",
    r"(무엇을|어떻게|뭘|더)?도와드릴까요|어떤(문의|도움|일)[가-힣]*|더?(궁금|필요)하신[가-힣]*",
    r"불편을?(드려|끼쳐)서?|(정말|너무|대단히)?죄송(합니다|해요)",
    r"(많이|정말)?(놀라|힘드|당황스러우|속상하)셨[가-힣]*",
    r"(잠시|조금)만(요)?|기다려주?(세요|시겠[가-힣]*|셔서)",
    r"(바로)?(확인|조회)(을|를)?해?(보|드리)?겠습니다|확인(되었|됐|했)습니다",
    r"(잘)?(알겠|알았)(습니다|어요)|그렇(군요|죠)|그러(셨|시)군요|다행이(네요|에요)",
    r"(그렇게|그럼)?(그렇게)?해주세요|(괜찮|좋)(아요|습니다|네요)|괜찮으(십니까|세요|신가요)",
    r"고객님|아니[요오]|맞(아요|습니다|네요)",
    r"hello|hi\b|good (morning|afternoon|evening)|(good)?bye|have a \w+ day",
    r"thanks?( you)?( so much| a lot)?( for calling)?|you're welcome",
    r"how (can|may) i help( you)?|one moment|please hold|bear with me|anything else",
    r"(i'm|i am)( so| very)? sorry( about that| to hear that)?|great|okay|(ok|sure|yes|no)\b",
)
_WHO_ARE_YOU = _any(
    r"(성함|이름|생년월일|연락처|번호|주소|호수|이메일).{0,12}(말씀|알려|불러|부탁|되(세요|시|십)|뭐)",
    r"your (full |first |last )?(name|address|phone|number|date of birth|email|account)",
    r"(invoice|order) number",
)
_INTRODUCES = _any(r"(입니다|이에요|예요)[.!]?$", r"\bthis is \w+|thank you for calling")
_ASKS = _any(
    r"싶|려고|려는|나요|까요|[는은]데요|주세요|주실|달라|안되|안돼|못|어떻게|언제|얼마|뭐가",
    r"문의|신청|취소|해지|변경|환불|고장|잘못|이상|\?",
    r"need|want|would like|can (i|you)|could|how|when|why|problem|wrong|not work",
)
_ACTS = _any(
    r"(접수|예약|변경|신청|처리|발송|등록|환불|적용|연장|취소|교환|발급|전달|조치|방문|보내|안내|요청|정지|도와"
    r"|할인|추천).{0,12}(드리|드렸|드릴|되|됐|됩|했|합|하겠|두겠|놓겠|가능|예정)",
    r"(하|오)시면|필요합니다|가능합니다",
    r"(i|we)('ve|'ll| have| will)|you (can|need)|refund|booked|scheduled|sent",
)
_PROMISES = _any(
    r"드렸|드릴게|드리겠|드립니다|[하두놓]겠습니다|[했됐]습니다|되었습니다|완료|예정",
    r"(i|we)('ve|'ll| have| will)|refund|booked|scheduled|sent",
)
_OPENER = re.compile(
    r"^(?:(?:네|예|아니|아|어|음|그럼|그러면|그리고|그런데|근데|혹시|일단|우선|다만|고객님)(?:[,.]\s*|\s+))+"
)
_SENTENCE = re.compile(r"[^.?!。？！]+[.?!。？！]*\s*")
_BETWEEN_SYLLABLES = re.compile(r"(?<=[가-힣])\s+(?=[가-힣])")
_NOT_LETTERS = re.compile(r"[\W_]+")
_SOMETHING = 6
"""Letters that must be left of a sentence without small talk, for it to tell anything."""

_IN_BRIEF = 3
_SYLLABLE = re.compile("[가-힣]")

_LONG = 500
"""Characters from which on a sentence is no small talk, and not looked at to its end."""

_SHORT_REPLY = 40
"""Characters of a turn that may be no more than a name or a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A turn, as far as it is read: who speaks, and what is said."""

    role: Role
    text: str


def telling(lines: Sequence[Line]) -> list[Line]:
    """The lines that tell anything of the matter, without the sentences that do not.

    Who answers the telephone, who calls and small talk are left out. Where nothing else is said, a
    customer's few words (`해지요`) are the matter.
    """
    return _telling(lines, tells) or _telling(
        [line for line in lines if line.role is not Role.AGENT], _tells_in_brief
    )


def _telling(lines: Sequence[Line], tells: Callable[[str], bool]) -> list[Line]:
    found = []
    asked_who = False
    for index, line in enumerate(lines):
        parts = sentences(line.text)
        reply = asked_who and len(line.text) <= _SHORT_REPLY and "?" not in line.text
        kept = [
            part for part in parts if tells(part) and not (index == 0 and _INTRODUCES.search(part))
        ]
        if kept and not reply:
            found.append(replace(line, text=" ".join(kept)))
        asked_who = any(_WHO_ARE_YOU.search(part[:_LONG]) for part in parts)
    return found


def excerpt(lines: Sequence[Line], limit: int) -> tuple[Line, ...]:
    """Of the `telling` lines the sentences that say most of what was asked and done, in order.

    At most `limit` characters in all. Sentences are taken whole: of the customer's the first and
    those that ask, of the agent's those that promise, then those that act, from the last one back.
    Only a sentence that is too long by itself is cut, between words. Neither side leaves the other
    without room.
    """
    told = list(enumerate(telling(lines)))
    places = [place for place, line in told for _ in sentences(line.text)]
    parts = [replace(line, text=said) for _, line in told for said in sentences(line.text)]
    wishes = [index for index, line in enumerate(parts) if line.role is not Role.AGENT]
    answers = [index for index, line in enumerate(parts) if line.role is not Role.CUSTOMER][::-1]
    wishes = wishes[:1] + sorted(wishes[1:], key=lambda index: not asks(parts[index].text))
    answers.sort(key=lambda index: (not promises(parts[index].text), not acts(parts[index].text)))
    taken: dict[int, Line] = {}
    _take(parts, wishes[:1], taken, limit // 2)
    _take(parts, wishes, taken, limit // 2)
    _take(parts, answers, taken, limit)
    _take(parts, wishes, taken, limit)
    by_line = groupby(sorted(taken), key=places.__getitem__)
    return tuple(
        replace(told[place][1], text=" ".join(taken[index].text for index in indices))
        for place, indices in by_line
    )


def spoken(lines: Sequence[Line], limit: int) -> tuple[Line, ...]:
    """The `telling` lines in the order spoken, some `limit` characters of them at most.

    More lines only add to the end of it, so that what was read stays read, but for a customer's few words,
    which stand in for the matter until somebody tells of it. Past `limit` all but the first line and the
    newest are left out, down to half of it: that is read anew, but seldom.
    """
    kept: list[Line] = []
    for line in telling(lines):
        kept.append(replace(line, text=shortened(line.text, limit // 4)))
        if _size(kept) > limit:
            while len(kept) > 2 and _size(kept) > limit // 2:  # noqa: PLR2004 (first and newest)
                del kept[1]
    return tuple(kept)


def sentences(text: str) -> list[str]:
    return [found.strip() for found in _SENTENCE.findall(text) if found.strip()]


def asks(sentence: str) -> bool:
    """Whether a customer's sentence seems to say what he wants."""
    return bool(_ASKS.search(_joined(sentence)))


def acts(sentence: str) -> bool:
    """Whether an agent's sentence seems to say or offer what is done, or what the customer can do."""
    return bool(_ACTS.search(_joined(sentence)))


def promises(sentence: str) -> bool:
    """Whether an agent's sentence seems to say what he did or will do, not what others can do."""
    return acts(sentence) and bool(_PROMISES.search(_joined(sentence)))


def begun(sentence: str) -> str:
    """Without the words that sentences begin with in speech: `네, 그럼 접수해` is `접수해`."""
    return _OPENER.sub("", sentence) or sentence


def tells(sentence: str) -> bool:
    """Whether the sentence says more than greetings, thanks and the like."""
    if len(sentence) > _LONG:
        return True
    rest = _without_small_talk(sentence)
    return len(rest) >= _SOMETHING and not _WHO_ARE_YOU.search(sentence)


def _tells_in_brief(sentence: str) -> bool:
    """Three syllables are a word with its ending; three letters of another script may be anything."""
    return len(_SYLLABLE.findall(_without_small_talk(sentence))) >= _IN_BRIEF


def _without_small_talk(sentence: str) -> str:
    return _NOT_LETTERS.sub("", _SMALL_TALK.sub("", _joined(sentence)))


def shortened(text: str, limit: int) -> str:
    """The words at the start of `text` that fit into `limit` characters; none is cut but a huge one."""
    text = text.strip()
    if len(text) <= limit:
        return text
    words = text[: limit + 1].rsplit(maxsplit=1)[0]
    return words if len(words) <= limit else text[:limit]


def _take(lines: Sequence[Line], wanted: Sequence[int], taken: dict[int, Line], limit: int) -> None:
    """Add the `wanted` lines to `taken` as long as all of them fit into `limit` characters."""
    for index in wanted:
        left = limit - _size(taken.values()) - len(taken)  # a space before each further one
        line = lines[index]
        if index == wanted[0] and index not in taken:
            line = replace(line, text=shortened(line.text, max(left, 0)))
        if len(line.text) <= left:
            taken.setdefault(index, line)


def _size(lines: Iterable[Line]) -> int:
    return sum(len(line.text) for line in lines)


def _joined(sentence: str) -> str:
    """Korean without spaces, which recognisers set as they like; of a text without end its start."""
    return _BETWEEN_SYLLABLES.sub("", sentence[:_LONG])
