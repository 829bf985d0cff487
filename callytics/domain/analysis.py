"""The analysis of one conversation: what of it a model reads, and what it is asked.

The model fills a form (summary, keywords, titles). `analysis_answer` keeps what the conversation bears
out, `evidence` finds what that rests on, `analysis_checks` says how good the outcome is.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from callytics.domain import analysis_wording
from callytics.domain.analysis_wording import Fault, Part, Phrasing, Written
from callytics.domain.dialogue import Utterance, read
from callytics.domain.evidence import Said, all_said
from callytics.domain.excerpt import Line, acts, asks, sentences, shortened, telling, tells
from callytics.domain.transcript import Role

ANALYSIS_PROMPT_VERSION = "form-2"
"""Changes with everything that changes what a model is asked or how its answer is read."""

FEWEST_KEYWORDS, MOST_KEYWORDS = 2, 6
LONGEST_PART, LONGEST_KEYWORD, LONGEST_TITLE, LONGEST_TITLE_WORD = 70, 20, 60, 16
"""Characters that fit into a field."""

MOST_PHRASES = 3
"""Phrases that a part is made of."""

TITLE_WORDS = 3
"""Keywords that make a title."""

SIDES: Mapping[Part, Role | None] = {
    Part.CUSTOMER: Role.CUSTOMER,
    Part.AGENT: Role.AGENT,
    Part.RESULT: None,
}
"""Whose words each part is to rest on."""

Message = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Talk:
    """A conversation as it is analysed."""

    text: str
    language: str
    utterances: tuple[Utterance, ...]

    @classmethod
    def of(cls, text: str, language: str) -> "Talk":
        return cls(text=text, language=language, utterances=read(text))

    @cached_property
    def said(self) -> tuple[Said, ...]:
        return all_said(self.utterances)

    @cached_property
    def matter(self) -> tuple[Said, ...]:
        """The sentences that can bear something out: all but greetings, if there are others."""
        found = (
            one
            for one in self.said
            if tells(one.text) and not (one.turn == 0 and _INTRODUCES.search(one.text))
        )
        return tuple(found) or self.said

    @cached_property
    def told(self) -> tuple[Line, ...]:
        """What tells anything of the matter: no greetings, no names and numbers asked for."""
        lines = telling([Line(role=one.role, text=one_line(one.text)) for one in self.utterances])
        informing = (replace(line, text=_without_questions(line)) for line in lines)
        return tuple(line for line in informing if line.text) or tuple(lines)

    @cached_property
    def persons(self) -> frozenset[str]:
        """The names of those who are addressed, or say who they are."""
        found = _PERSON.findall(self.spoken)
        return frozenset(name for names in found for name in names if name)

    @cached_property
    def spoken(self) -> str:
        """What is said, without labels."""
        return "\n".join(utterance.text for utterance in self.utterances)


_INTRODUCES = re.compile(
    r"(?:상담|센터|고객)[^.]*(?:입니다|이에요)[.!]?$|\bthis is \w+", re.IGNORECASE
)
_PERSON = re.compile(
    r"([가-힣]{3})\s(?:고객님|회원님|님|씨|교수|원장|기사|팀장|과장|대리)"
    r"|상담[사원]\s([가-힣]{2,4}?)(?:입니다|이에요|예요|이라고)"
    r"|(?:이름은|성함은|저는)\s([가-힣]{2,4}?)(?:입니다|이에요|예요|이고|이라고|이요)"
)


def _without_questions(line: Line) -> str:
    """What the agent asks is not what is done, unless it is an offer."""
    if line.role is not Role.AGENT:
        return line.text
    kept = (one for one in sentences(line.text) if acts(one) or not one.endswith(("?", "？")))
    return " ".join(kept)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The lines that a model reads, whether one was left out before each, and the share they are."""

    lines: tuple[Line, ...]
    gaps: frozenset[int]
    share: float


# --- what is asked -----------------------------------------------------------------------------


def choose(talk: Talk, limit: int) -> Reading:
    """The turns that are read: all, or whole ones that fit into `limit` characters.

    The first and the last always; then of both ends inward those that ask or act. Only a turn that
    would fill half of the room by itself is cut, between words.
    """
    whole = talk.told
    total = sum(len(line.text) for line in whole)
    lines = [Line(role=line.role, text=shortened(line.text, limit // 2)) for line in whole]
    taken: set[int] = set()
    room = limit
    for index in _by_weight(lines):
        if len(lines[index].text) <= room:
            taken.add(index)
            room -= len(lines[index].text)
    kept = sorted(taken)
    return Reading(
        lines=tuple(lines[index] for index in kept),
        gaps=frozenset(at for at, index in enumerate(kept) if index and index - 1 not in taken),
        share=sum(len(lines[index].text) for index in kept) / total if total else 0.0,
    )


def _by_weight(lines: Sequence[Line]) -> list[int]:
    last = len(lines) - 1

    def weight(index: int) -> tuple[int, int]:
        line, from_end = lines[index], min(index, last - index)
        says = asks(line.text) if line.role is Role.CUSTOMER else acts(line.text)
        return (0 if not from_end else 1 if says else 2), from_end

    return sorted(range(len(lines)), key=weight)


def prompt(reading: Reading, language: str) -> list[Message]:
    """The messages for a chat model; all but the last are the same for every conversation."""
    phrasing = analysis_wording.of(language)
    messages = [_message("system", phrasing.task)]
    for example in phrasing.examples:
        lines = tuple(Line(role=role, text=text) for role, text in example.turns)
        shown = _shown(Reading(lines=lines, gaps=frozenset(), share=1), phrasing)
        messages += [_message("user", shown), _message("assistant", as_form(example.written))]
    return [*messages, _message("user", _shown(reading, phrasing))]


def once_more(messages: Sequence[Message], faults: Iterable[Fault], language: str) -> list[Message]:
    """The messages that ask again, with the reasons named.

    The answer that failed is not shown: small models repeat what they see.
    """
    phrasing = analysis_wording.of(language)
    reasons = " ".join(phrasing.reasons[fault] for fault in Fault if fault in set(faults))
    last = messages[-1]["content"]
    return [*messages[:-1], _message("user", f"{last}\n({phrasing.again}: {reasons})")]


def as_form(written: Written) -> str:
    """As a model is to write it."""
    form = {
        "summary": {part.value: written.parts[part] for part in Part},
        "keywords": list(written.keywords),
        "titles": {"keyword": written.keyword_title, "descriptive": written.descriptive_title},
    }
    return json.dumps(form, ensure_ascii=False, separators=(",", ":"))


def _shown(reading: Reading, phrasing: Phrasing) -> str:
    rows = []
    for index, line in enumerate(reading.lines):
        rows += ["…"] if index in reading.gaps else []
        rows.append(f"{phrasing.labels[line.role]}: {line.text}")
    return "\n".join(rows)


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def one_line(text: str) -> str:
    return " ".join(text.split())
