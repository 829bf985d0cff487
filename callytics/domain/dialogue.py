"""A conversation that came as text: who says what, and where in the text it stands.

Customers label turns as they like (`고객:`, `[상담사]`, `SPEAKER_00:`, with times or without, several on
a line) or not at all. Every utterance keeps its place, so that results can point to it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from callytics.domain.roles import decide
from callytics.domain.transcript import Role, Turn


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """What one side says until another label; `text` is what stands at `start`..`end` (characters)."""

    role: Role
    text: str
    start: int
    end: int


def read(text: str) -> tuple[Utterance, ...]:
    """Who says what, in order. Nothing is left out but labels, times before them, and space.

    Labels that name no side (`A:`, `화자1:`, names) get their roles from what is said, where that
    tells. Without labels, paragraphs, lines or sentences are utterances of an unknown role.
    """
    marks = _marks(text)
    labelled = [mark for mark in marks if mark.speaker]
    if not labelled:
        return _unlabelled(text, marks)
    pieces = [*_unlabelled(text[: marks[0].start], ())]
    ends = [mark.start for mark in marks[1:]] + [len(text)]
    spoken = [
        (mark, piece)
        for mark, end in zip(marks, ends, strict=True)
        if (piece := _piece(text, mark.end, end))
    ]
    roles = _roles(spoken)
    return (
        *pieces,
        *(_utterance(piece, roles.get(mark.speaker, Role.UNKNOWN)) for mark, piece in spoken),
    )


def sentences(utterance: Utterance) -> tuple[Utterance, ...]:
    """The sentences of an utterance, each with its own place.

    Speech that came without punctuation is cut after Korean endings where it would be too long.
    """
    found: list[Utterance] = []
    for start, end in _cut(_SENTENCE_END, utterance.text, 0):
        part = utterance.text[start:end]
        tight = _cut(_SPOKEN_END, part, start) if len(part) > LONG_SENTENCE else [(start, end)]
        for left, right in tight:
            piece = _piece(utterance.text, left, right)
            if piece:
                said, at = piece
                place = utterance.start + at
                found.append(
                    Utterance(role=utterance.role, text=said, start=place, end=place + len(said))
                )
    return tuple(found)


def language_of(utterances: Iterable[Utterance]) -> str:
    """The language (ISO 639-1) by script and, in Latin script, by common words; ko if nothing tells."""
    said = " ".join(utterance.text for utterance in utterances)
    scripts = Counter(
        {
            script: len(letters.findall(said)) * weight
            for script, (letters, weight) in SCRIPTS.items()
        }
    )
    script, count = scripts.most_common(1)[0]
    if not count:
        return "ko"
    if script in {"ja", "zh"}:
        kana = scripts["ja"]
        return "ja" if kana * JAPANESE_KANA > scripts["zh"] else "zh"
    return _latin_language(said) if script == "latin" else script


# --- labels ------------------------------------------------------------------------------------

STRONG: Mapping[Role, str] = {
    Role.AGENT: "상담사|상담원|상담직원|상담자|상담팀|안내원|교환원|에이전트"
    r"|agent|advis[eo]r|operator|representative|csr|customer ?(?:service|support|care)(?: ?[a-z]+)?"
    "|オペレーター|客服|坐席",
    Role.CUSTOMER: "고객|손님|민원인|의뢰인|내담자|customer|caller|お客様|顧客|客户|顾客",
}
"""Words that name a side wherever a colon follows them."""

WEAK: Mapping[Role, str] = {
    Role.AGENT: "상담|직원|담당자|담당|매니저|판매자|rep|staff|support|assistant|担当者",
    Role.CUSTOMER: "회원|구매자|이용자|사용자|가입자|신청인|환자|client|user|guest|member|patient|用户",
}
"""Words that name a side at the start of a line only."""

NOBODY = "시스템|system|ars|안내멘트|자동안내|bot"
"""Labels of what no person says."""

GENERIC = (
    r"(?:화자|참석자|참가자|발화자|스피커|speaker|spk|channel|채널|ch|발신자?|수신자?|남자?|여자?|남성|여성"
    r"|left|right|s|[a-z])[ _-]?(?:\d{1,2}|[a-z])?"
)
"""Labels that tell speakers apart and say nothing of their sides."""

NO_NAME = (
    "번호|이름|성함|성명|연락처|주소|문의|요청|의견|정보|등급|응답|답변|센터|상담|전화|내용|유형|사항|불만|메모"
    "|코드|아이디|일시|일자|날짜|시간|시각|결과|종료|시작|이력|분류|제목|요약|구분|경로|부서|성별|나이|접수|처리"
    "|만족도|id|name|number|no|phone|email|note|type|code|request|question"
)
"""Words after a side's word that make a heading of it: `고객 번호:`."""

NAMED_SHARE = 0.6
"""Share of lines that must begin with a label, for names to count as labels."""

SCRIPTS: Mapping[str, tuple[re.Pattern[str], int]] = {
    "ko": (re.compile(r"[가-힣]"), 2),
    "ja": (re.compile(r"[぀-ヿ]"), 2),
    "zh": (re.compile(r"[㐀-鿿]"), 2),
    "ru": (re.compile(r"[Ѐ-ӿ]"), 1),
    "th": (re.compile(r"[฀-๿]"), 1),
    "ar": (re.compile(r"[؀-ۿ]"), 1),
    "latin": (re.compile(r"[A-Za-zÀ-ɏḀ-ỿ]"), 1),
}
"""The letters of each script, and how many Latin letters one of them is worth."""

JAPANESE_KANA = 8
"""Chinese has no kana; Japanese has at least one in so many signs."""

LATIN_WORDS: Mapping[str, str] = {
    "en": "the and you is to of i it that for have my can your was with not we please yes what",
    "es": "el la los que de y en un una por con para no es mi su está gracias hola cómo pero",
    "fr": "le la les des est vous je pas et de un une pour avec bonjour merci que qui mon votre",
    "de": "der die das und ich ist nicht sie ein eine mit für bitte danke wir haben auf zu den",
    "pt": "o a os as que de e um uma não por com para é meu sua está obrigado olá você mas",
    "it": "il lo la gli che di e un una non per con è mio sua grazie buongiorno sono ma come",
    "vi": "tôi bạn và là của không có được cho anh chị em xin cảm ơn này với thì một các",
    "id": "saya anda dan yang di ke tidak ini itu untuk dengan ada bisa terima kasih sudah apa",
}

LONG_SENTENCE = 60
"""Characters from which on a sentence is looked at for spoken endings."""

_TIME = r"(?:\d{1,2}:)?\d{1,2}:\d{2}(?:[.,]\d{1,3})?|\d{1,5}(?:\.\d{1,3})?\s?s"
_SPAN = rf"(?:{_TIME})(?:\s*(?:-+>?|~|–)\s*(?:{_TIME}))?"
_BRACKETED_TIME = rf"[\[(<]\s*{_SPAN}\s*[\])>]"
_WHEN = rf"(?:{_BRACKETED_TIME}|{_SPAN})"
_NAME = rf"(?!(?:{NO_NAME})\b)(?:[가-힣]{{2,4}}|[A-Za-z]+(?: [A-Za-z]+)?)"
_EXTRA = (
    rf"님?(?:[ _]?(?:\d{{1,2}}|[a-z]\b))?(?:[ ]?[(（][^()（）\n:：]{{1,20}}[)）]|[ ]{_NAME})?님?"
)
_STRONG = "|".join(STRONG.values())
_ANY_SIDE = f"{_STRONG}|{'|'.join(WEAK.values())}|{NOBODY}"
_BULLET = r"[ \t]*(?:[-*•>#]{1,3}[ \t]*|\d{1,4}[.)][ \t]+)?"
_LABEL = rf"(?P<label>(?:{_ANY_SIDE}){_EXTRA}|{GENERIC})"
_LINE_LABEL = re.compile(
    rf"{_BULLET}(?:{_WHEN}[ \t]*)?\**"
    rf"(?:[\[<【〔(（]\s?{_LABEL}\s?[\]>】〕)）]\**[ \t]*(?:{_WHEN}[ \t]*)?(?:[:：]\**)?"
    rf"|{_LABEL.replace('label', 'timed')}[ \t]+{_WHEN}(?=\s*$)"
    rf"|{_LABEL.replace('label', 'plain')}\**(?:[ \t]*{_WHEN})?"
    r"[ \t]*(?:[:：](?!//)\**|\t+|\||[ ][-–—][ ])"
    rf"|(?P<alone>(?:{_STRONG}){_EXTRA})(?=\s*$))",
    re.IGNORECASE,
)
"""A label with its colon, in brackets, or alone on its line."""
_INLINE_LABEL = re.compile(
    rf"(?:{_BRACKETED_TIME}[ \t]*)?"
    rf"(?:[\[<【〔]\s?(?P<label>(?:{_STRONG}){_EXTRA})\s?[\]>】〕]\s?[:：]?"
    rf"|(?<![^\s.?!。？！,…)\]])(?P<plain>(?:{_STRONG}){_EXTRA}|{GENERIC})[ ]?[:：](?!//))",
    re.IGNORECASE,
)
_LINE_TIME = re.compile(
    rf"{_BULLET}(?:{_BRACKETED_TIME}|\d{{1,2}}:\d{{2}}:\d{{2}}(?:[.,]\d+)?)[ \t]*"
)
_NAMED = re.compile(
    rf"{_BULLET}(?:{_WHEN}[ \t]*)?(?P<label>[^\W\d_][\w.\- ]{{0,19}}?)[ \t]*[:：](?!//)"
)
_WORDS_OF_ROLES = tuple(
    (re.compile(rf"(?:{words})", re.IGNORECASE), role)
    for table in (STRONG, WEAK)
    for role, words in table.items()
)
_NOBODYS = re.compile(rf"(?:{NOBODY})", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.?!。？！…]+[\"'”’)]*(?=\s|$)|[。？！]|[\r\n]+")
_SPOKEN_END = re.compile(
    r"(?:니다|니까|세요|네요|[어아해여에예]요|[고는은인]데?요|나요|까요|거든요|[군구]나?요|[지이]요|죠)(?=\s)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mark:
    """A label, or a time alone: what follows `end` is said by `speaker` ("" where nobody is named)."""

    start: int
    end: int
    speaker: str


_Piece = tuple[str, int]
"""Text without space around it, and where it starts."""


def _marks(text: str) -> list[_Mark]:
    lines = list(_lines(text))
    names = _names(lines)
    found = [_line_mark(line, at, names) for at, line in lines]
    generic = {mark.speaker for mark in found if mark and mark.speaker}
    marks: list[_Mark] = []
    speaker = ""
    for (at, line), mark in zip(lines, found, strict=True):
        if mark:
            speaker = mark.speaker or speaker
            marks.append(_Mark(start=mark.start, end=mark.end, speaker=speaker))
        begins = mark.end - at if mark else 0
        for inline in _INLINE_LABEL.finditer(line, begins):
            label = _speaker(_label(inline))
            if _side(label) or label in generic:
                speaker = label
                marks.append(_Mark(start=at + inline.start(), end=at + inline.end(), speaker=label))
    return marks


def _lines(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    for line in text.splitlines(keepends=True):
        yield at, line
        at += len(line)


def _line_mark(line: str, at: int, names: frozenset[str]) -> _Mark | None:
    found = _LINE_LABEL.match(line) or _NAMED.match(line)
    speaker = _speaker(_label(found)) if found else ""
    if found and found.re is _NAMED and speaker not in names:
        found, speaker = None, ""
    found = found or _LINE_TIME.match(line)
    return found and _Mark(start=at, end=at + found.end(), speaker=speaker)


def _names(lines: Sequence[tuple[int, str]]) -> frozenset[str]:
    """The names that lines begin with, where most lines begin with a label and names come again."""
    filled = [line for _, line in lines if line.strip()]
    known = sum(_LINE_LABEL.match(line) is not None for line in filled)
    labels = [found for line in filled if (found := _NAMED.match(line))]
    counts = Counter(_speaker(found["label"]) for found in labels)
    again = {name: count for name, count in counts.items() if count > 1}
    enough = known + sum(again.values()) > NAMED_SHARE * len(filled)
    return frozenset(again) if enough and (known or len(again) > 1) else frozenset()


def _label(found: re.Match[str]) -> str:
    return next(label for label in found.groups() if label)


def _speaker(label: str) -> str:
    return re.sub(r"[\s_]+", "", label).casefold()


def _side(speaker: str) -> Role | None:
    """The side that a label names by itself."""
    return next((role for words, role in _WORDS_OF_ROLES if words.match(speaker)), None)


def _roles(spoken: Sequence[tuple[_Mark, _Piece]]) -> Mapping[str, Role]:
    """Each speaker's role: by label, else by what is said."""
    persons = [
        (mark.speaker, said)
        for mark, (said, _) in spoken
        if mark.speaker and not _NOBODYS.match(mark.speaker)
    ]
    turns = [
        Turn(index=index, start_s=0, end_s=0, speaker=speaker, text=said)
        for index, (speaker, said) in enumerate(persons)
    ]
    sides = {speaker: side for speaker, _ in persons if (side := _side(speaker))}
    if len(sides) == len({speaker for speaker, _ in persons}):
        return sides
    return {name: guess.role for name, guess in decide(turns, corrected=sides).items()}


# --- text without labels, and its pieces ------------------------------------------------------------

_PARAGRAPH = re.compile(r"(?:\r\n?|\n)[ \t]*(?:\r\n?|\n)\s*")
_LINE = re.compile(r"[\r\n]+")


def _unlabelled(text: str, times: Sequence[_Mark]) -> tuple[Utterance, ...]:
    """Paragraphs where there are several, else lines, else sentences."""
    if times:
        cuts = [(0, times[0].start)]
        ends = [mark.start for mark in times[1:]] + [len(text)]
        cuts += [(mark.end, end) for mark, end in zip(times, ends, strict=True)]
        return _utterances(text, cuts)
    for pattern in (_PARAGRAPH, _LINE, _SENTENCE_END):
        found = _utterances(text, _cut(pattern, text, 0))
        if len(found) > 1:
            return found
    return found


def _utterances(text: str, cuts: Iterable[tuple[int, int]]) -> tuple[Utterance, ...]:
    pieces = (_piece(text, start, end) for start, end in cuts)
    return tuple(_utterance(piece, Role.UNKNOWN) for piece in pieces if piece)


def _cut(pattern: re.Pattern[str], text: str, offset: int) -> list[tuple[int, int]]:
    """The spans of `text` up to the end of each match, moved by `offset`."""
    ends = [found.end() for found in pattern.finditer(text)]
    starts = [0, *ends]
    return [
        (offset + start, offset + end)
        for start, end in zip(starts, [*ends, len(text)], strict=True)
        if start < end
    ]


def _piece(text: str, start: int, end: int) -> _Piece | None:
    said = text[start:end]
    kept = said.strip()
    return (kept, start + len(said) - len(said.lstrip())) if kept else None


def _utterance(piece: _Piece, role: Role) -> Utterance:
    said, start = piece
    return Utterance(role=role, text=said, start=start, end=start + len(said))


def _latin_language(said: str) -> str:
    words = Counter(re.findall(r"[^\W\d_]+", said.lower()))
    scores = {
        language: sum(words[word] for word in common.split())
        for language, common in LATIN_WORDS.items()
    }
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] else "en"
