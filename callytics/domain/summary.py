"""A conversation's summary for the agent's screen: prompt in, checked answer out.

One sentence: what the customer asked, what was done. The model reads an excerpt (excerpt.py) and
writes `asked / done`: two slots without labels, since every token takes it a twentieth of a second.
They are cleaned, put into a sentence (summary_wording.py) and judged (summary_checks.py). What does
not pass is never shown; `quoted` says the same in the speakers' words.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import itemgetter

from callytics.domain import summary_wording
from callytics.domain.answers import NUL
from callytics.domain.excerpt import (
    Line,
    acts,
    asks,
    begun,
    excerpt,
    sentences,
    spoken,
    telling,
)
from callytics.domain.summary_checks import (
    Candidate,
    Check,
    bears_out,
    judge,
)
from callytics.domain.summary_wording import Quote, Wording
from callytics.domain.transcript import Role

PROMPT_VERSION = "slots-4"
"""Changes with everything that changes what a model is asked or how its answer is read."""

MOST_PHRASES = 3
LONGEST_PHRASE = 40

Message = Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A model's answer as a sentence, and how it was judged; `asked` and `done` are its parts."""

    text: str
    checks: Mapping[Check, bool]
    asked: str = ""
    done: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check, passed in self.checks.items() if not passed)


def prompt(
    lines: Sequence[Line], language: str | None, limit: int, *, ahead: bool = False
) -> list[Message]:
    """The messages for a chat model; all but the last are the same for every call in a language.

    At most `limit` characters of the conversation are read, more where the language's are quickly
    read. `ahead` is for a conversation that goes on: its lines are shown in the order spoken, so that
    the prompt of more lines begins with this one.
    """
    wording = summary_wording.of(language)
    limit = int(limit * wording.thrift)
    show, shown = (_in_order, spoken) if ahead else (_shown, excerpt)
    return [*_same_for_all(language), _message("user", show(shown(lines, limit), wording))]


@cache
def _same_for_all(language: str | None) -> tuple[Message, ...]:
    """The task and the examples."""
    wording = summary_wording.of(language)
    messages = [_message("system", wording.task)]
    for example in wording.examples:
        shown = (
            Line(role=Role.CUSTOMER, text=example.customer),
            Line(role=Role.AGENT, text=example.agent),
        )
        messages += [
            _message("user", _shown(shown, wording)),
            _message("assistant", f"{example.asked} / {example.done}"),
        ]
    return tuple(messages)


def once_more(
    messages: Sequence[Message], failed: Iterable[Check], language: str | None
) -> list[Message]:
    """The messages that ask again, with the reasons named.

    The answer that failed is not shown: small models repeat what they see.
    """
    wording = summary_wording.of(language)
    reasons = dict.fromkeys(wording.reasons[check] for check in failed)
    last = messages[-1]["content"]
    return [*messages[:-1], _message("user", f"{last}\n({' '.join(reasons)})")]


def read(
    answer: str,
    lines: Sequence[Line],
    messages: Sequence[Message],
    language: str | None,
    *,
    finished: bool,
) -> Draft:
    """What the model's `answer` to `messages` says, as a sentence, judged by the conversation `lines`.

    `finished` is False where the answer was cut at the token limit.
    """
    wording = summary_wording.of(language)
    conversation = "\n".join(line.text for line in lines)
    answer = answer.replace(NUL, "")
    asked_slot, done_slot = _slots(answer, wording, lines)
    asked = wording.phrase(asked_slot) or ""
    phrases = _phrases(done_slot, wording, whole=finished)
    done = _worth_telling(phrases, asked, lines)
    text = wording.compose(asked, done) if asked and done else " ".join(answer.split())
    candidate = Candidate(
        text=text,
        asked=asked,
        done=", ".join(done),
        conversation=conversation,
        prompt=_fixed_part(messages),
        language=language or "ko",
        finished=finished or bool(asked and done),
    )
    return Draft(text=text, checks=judge(candidate), asked=asked, done=tuple(done))


def mended(
    draft: Draft, lines: Sequence[Line], messages: Sequence[Message], language: str | None
) -> str | None:
    """The `draft` with the part that is not to be shown in the speakers' own words, in quotes.

    None if no part of it is to be shown, or nobody knows who said what.
    """
    wording = summary_wording.of(language)
    quote = _quote(lines, wording)
    if not (quote.asked and quote.done and quote.sides_known):
        return None
    mixed = []
    if draft.done:
        mixed.append((wording.quote_asked(quote.asked, draft.done), quote.asked, draft.done))
    if draft.asked:
        mixed.append((wording.quote_done(draft.asked, quote.done), draft.asked, (quote.done,)))
    for text, asked, done in mixed:
        candidate = Candidate(
            text=text,
            asked=asked,
            done=", ".join(done),
            conversation="\n".join(line.text for line in lines),
            prompt=_fixed_part(messages),
            language=language or "ko",
        )
        if all(judge(candidate).values()):
            return text
    return None


def quoted(lines: Sequence[Line], language: str | None) -> str:
    """What was asked and what was answered in the speakers' own words, a few of each, in quotes."""
    wording = summary_wording.of(language)
    quote = _quote(lines, wording)
    return wording.quote(quote) if quote.asked or quote.done else wording.no_matter


def _fixed_part(messages: Sequence[Message]) -> str:
    return "\n".join(message["content"] for message in messages[:-1])


def _quote(lines: Sequence[Line], wording: Wording) -> Quote:
    told = telling(lines)
    first = next((line.text for line in told if line.role is not Role.AGENT), "")
    asked = next(filter(asks, sentences(first)), next(iter(sentences(first)), None))
    answers = [
        said for line in told if line.role is not Role.CUSTOMER for said in sentences(line.text)
    ]
    done = next((said for said in reversed(answers) if acts(said) and not _is_question(said)), None)
    return Quote(
        asked=wording.few_words(asked) if asked else None,
        done=wording.few_words(done) if done else None,
        sides_known=all(line.role is not Role.UNKNOWN for line in lines),
    )


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _shown(lines: Sequence[Line], wording: Wording) -> str:
    """What each side said; where nobody knows the sides, all in the order spoken."""
    wishes = _sentences(line for line in lines if line.role is Role.CUSTOMER)
    answers = _sentences(line for line in lines if line.role is Role.AGENT)
    if not (wishes and answers):
        return f"{wording.anybody}: {' '.join(_sentences(lines))}"
    informing = list(filter(_informs, answers)) or answers
    return f"{wording.customer}: {' '.join(wishes)}\n{wording.agent}: {' '.join(informing)}"


def _in_order(lines: Sequence[Line], wording: Wording) -> str:
    """What was said as it was said; each line rests on those before it alone."""
    labels = {Role.CUSTOMER: wording.customer, Role.AGENT: wording.agent}
    shown = (
        (
            line.role,
            [said for said in _sentences([line]) if line.role is not Role.AGENT or _informs(said)],
        )
        for line in lines
    )
    said = [(role, " ".join(parts)) for role, parts in shown if parts]
    return "\n".join(
        f"{labels.get(role, wording.anybody)}: {' '.join(text for _, text in turns)}"
        for role, turns in groupby(said, key=itemgetter(0))
    )


def _sentences(lines: Iterable[Line]) -> list[str]:
    return [begun(sentence) for line in lines for sentence in sentences(line.text)]


def _informs(sentence: str) -> bool:
    """What the agent asks is not what is done, unless it is an offer."""
    return acts(sentence) or not _is_question(sentence)


def _is_question(sentence: str) -> bool:
    return sentence.endswith(("?", "？"))


def _slots(answer: str, wording: Wording, lines: Sequence[Line]) -> tuple[str, str]:
    """What was asked and what was done, as it stands in the answer: `asked / done`.

    Models also write labels, or a comma where the slash should be; that one is taken for it only
    behind what a customer said.
    """
    labelled = _slot(answer, wording.asked), _slot(answer, wording.done)
    if any(labelled):
        return labelled
    first = answer.strip().split("\n")[0].strip(" -*")
    asked, slash, done = first.partition(" / ")
    if slash:
        return asked.strip(" .\"'“”"), done.strip(" .\"'“”").replace(" / ", ", ")
    asked, _, done = first.partition(", ")
    wishes = [line.text for line in lines if line.role is not Role.AGENT]
    return (asked, done) if any(bears_out(wish, asked) for wish in wishes) else ("", "")


def _slot(answer: str, label: str) -> str:
    found = re.search(
        rf"^\s*[-*]*\s*{label}\s*[:：]\s*(.+?)\s*$", answer, re.MULTILINE | re.IGNORECASE
    )
    return found[1].strip(" .\"'“”") if found else ""


def _phrases(slot: str, wording: Wording, *, whole: bool) -> list[str]:
    """The phrases of a slot; the last one is left out where the answer was cut in it."""
    parts = [part.strip(" .\"'“”") for part in re.split(r"[,;·、]\s*|\.\s+", slot)]
    phrases = map(wording.phrase, parts if whole else parts[:-1])
    return [phrase for phrase in phrases if phrase and len(phrase) <= LONGEST_PHRASE]


def _worth_telling(phrases: Sequence[str], asked: str, lines: Sequence[Line]) -> list[str]:
    """The phrases that one of the agent's turns bears out and that say something new, a few of them."""
    answers = [line.text for line in lines if line.role is not Role.CUSTOMER]
    kept: list[str] = []
    for phrase in phrases:
        known = phrase == asked or any(phrase in other or other in phrase for other in kept)
        if not known and any(bears_out(answer, phrase) for answer in answers):
            kept.append(phrase)
    return kept[:MOST_PHRASES]
