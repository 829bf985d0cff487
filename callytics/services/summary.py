"""A checked summary out of a chat model: ask, judge, ask once more with the reasons, else quote."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from typing import Any

from callytics.domain import summary
from callytics.domain.excerpt import Line, telling
from callytics.domain.summary import Draft
from callytics.domain.summary_checks import Check
from callytics.domain.summary_wording import of as wording_of
from callytics.ports import ChatAnswer, ChatModel

TRIES = 2
RETRY_TEMPERATURE = 0.5
"""The second answer is to be another one."""


class Source(StrEnum):
    MODEL = "model"
    """The model's answer passed every check."""
    QUOTES = "quotes"
    """No answer did: the speakers' own words, in quotes."""
    NOTHING = "nothing"
    """There was nothing to ask a model about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryOptions:
    """How a summary is asked for; `input_chars` is how much of the conversation is read."""

    max_tokens: int = 60
    temperature: float = 0.1
    timeout_s: float = 120
    input_chars: int = 300

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "SummaryOptions":
        """Those of a model's settings; what is meant for its runtime is left alone."""
        return cls(**{key: value for key, value in options.items() if key in cls.__slots__})


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedSummary:
    """A summary that may be shown. `failed` names what was wrong with each answer that was not."""

    text: str
    source: Source
    seconds: float = 0.0
    prompt_tokens: int = 0
    output_tokens: int = 0
    failed: tuple[tuple[Check, ...], ...] = field(default=())

    @property
    def checks(self) -> dict[str, Any]:
        """As it is stored beside the text."""
        return {
            "source": self.source.value,
            "passed": self.source is not Source.QUOTES,
            "failed": [[check.value for check in answer] for answer in self.failed],
        }


def summarise(
    model: ChatModel, lines: Sequence[Line], language: str | None, options: SummaryOptions
) -> CheckedSummary:
    """One sentence that says what was asked and what was done.

    No model runs where nobody spoke, or only to greet. Raises ModelUnavailableError.
    """
    lines = [line for line in lines if line.text.strip()]
    wording = wording_of(language)
    if not lines:
        return CheckedSummary(text=wording.no_speech, source=Source.NOTHING)
    if not telling(lines):
        return CheckedSummary(text=wording.no_matter, source=Source.NOTHING)
    started = monotonic()
    answers: list[ChatAnswer] = []
    failed: list[tuple[Check, ...]] = []
    for answer, draft in _drafts(model, lines, language, options):
        answers.append(answer)
        if not draft.failed:
            break
        failed.append(draft.failed)
    passed = not draft.failed
    return CheckedSummary(
        text=draft.text if passed else summary.quoted(lines, language),
        source=Source.MODEL if passed else Source.QUOTES,
        seconds=round(monotonic() - started, 3),
        prompt_tokens=sum(answer.prompt_tokens for answer in answers),
        output_tokens=sum(answer.output_tokens for answer in answers),
        failed=tuple(failed),
    )


def _drafts(
    model: ChatModel, lines: Sequence[Line], language: str | None, options: SummaryOptions
) -> Iterator[tuple[ChatAnswer, Draft]]:
    """The model's answers, each asked for only when the one before is not taken."""
    messages = summary.prompt(lines, language, options.input_chars)
    asked, temperature = messages, options.temperature
    for _ in range(TRIES):
        answer = model.complete(
            asked,
            max_tokens=options.max_tokens,
            temperature=temperature,
            timeout_s=options.timeout_s,
        )
        finished = answer.finish_reason == "stop"
        draft = summary.read(answer.text, lines, messages, language, finished=finished)
        yield answer, draft
        asked = summary.once_more(messages, draft.failed, language)
        temperature = max(options.temperature, RETRY_TEMPERATURE)
