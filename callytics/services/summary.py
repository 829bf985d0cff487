"""A checked summary out of a chat model: ask, judge, ask once more with the reasons, else mend or quote.

A conversation that goes on can be read ahead: its summary then only needs to be written.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from typing import Any

from callytics.domain import summary
from callytics.domain.excerpt import Line, telling
from callytics.domain.summary import Draft, Message
from callytics.domain.summary_checks import Check
from callytics.domain.summary_wording import of as wording_of
from callytics.errors import ModelUnavailableError
from callytics.ports import ChatAnswer, ChatModel

RETRY_TEMPERATURE = 0.5
"""The second answer is to be another one."""

SECOND_TAKES = 1.5
"""Times what the first one took: it reads the reasons, and is not to be begun in vain."""

LEAST_TIMEOUT_S = 0.01
"""Clients take a timeout of nothing for none at all."""


class Source(StrEnum):
    MODEL = "model"
    """The model's answer passed every check."""
    MENDED = "mended"
    """A part of it did not: that part is in the speakers' own words, in quotes. The whole passed."""
    QUOTES = "quotes"
    """Nothing of it did: the speakers' own words, in quotes."""
    NOTHING = "nothing"
    """There was nothing to ask a model about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SummaryOptions:
    """How a summary is asked for.

    `input_chars` is how much is read of a conversation that comes as a whole, `ahead_chars` of one
    that is read while it goes on; both must fit into the model's context, at up to two tokens each.
    `tries` is how many answers are asked for where one does not pass.
    """

    max_tokens: int = 50
    temperature: float = 0.1
    timeout_s: float = 120
    input_chars: int = 300
    ahead_chars: int = 1500
    tries: int = 2

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "SummaryOptions":
        """Those of a model's settings; what is meant for its runtime is left alone."""
        return cls(**{key: value for key, value in options.items() if key in cls.__slots__})


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedSummary:
    """A summary that may be shown. `failed` names what was wrong with each answer that was not.

    Tokens, cost and `seconds` are those of all answers together. `answer` is the one that was taken or
    mended, or the last that was not; None: nobody was asked.
    """

    text: str
    source: Source
    answer: ChatAnswer | None = None
    seconds: float = 0.0
    prompt_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float = 0.0
    failed: tuple[tuple[Check, ...], ...] = field(default=())

    @property
    def checks(self) -> dict[str, Any]:
        """As it is stored beside the text."""
        return {
            "source": self.source.value,
            "passed": self.source is not Source.QUOTES,
            "failed": [[check.value for check in answer] for answer in self.failed],
        }


def read_ahead(
    model: ChatModel, lines: Sequence[Line], language: str | None, options: SummaryOptions
) -> None:
    """Have the server read a conversation as far as it went, for `summarise(..., ahead=True)`.

    The server's prefix cache keeps it. Raises ModelUnavailableError.
    """
    if telling(lines):
        messages = summary.prompt(lines, language, options.ahead_chars, ahead=True)
        # One token: not every server takes a request for none.
        model.complete(messages, max_tokens=1, temperature=0.0, timeout_s=options.timeout_s)


def summarise(
    model: ChatModel,
    lines: Sequence[Line],
    language: str | None,
    options: SummaryOptions,
    *,
    ahead: bool = False,
    deadline: float | None = None,
    clock: Callable[[], float] = monotonic,
) -> CheckedSummary:
    """One sentence that says what was asked and what was done.

    `ahead`: the conversation was read with `read_ahead`, up to its last turns at least. `deadline` is
    in seconds of `clock`: no second answer is asked for that would come later, judged by what
    the first one took. No model runs where nobody spoke, or only to greet. Raises
    ModelUnavailableError, for a first answer that does not come in time too.
    """
    lines = [line for line in lines if line.text.strip()]
    wording = wording_of(language)
    if not lines:
        return CheckedSummary(text=wording.no_speech, source=Source.NOTHING)
    if not telling(lines):
        return CheckedSummary(text=wording.no_matter, source=Source.NOTHING)
    started = clock()
    answers: list[ChatAnswer] = []
    failed: list[tuple[Check, ...]] = []
    limit = options.ahead_chars if ahead else options.input_chars
    messages = summary.prompt(lines, language, limit, ahead=ahead)
    text, taken = None, None
    for answer, draft in _drafts(
        model, messages, lines, language, options, deadline=deadline, clock=clock
    ):
        answers.append(answer)
        if not draft.failed:
            text, source, taken = draft.text, Source.MODEL, answer
            break
        failed.append(draft.failed)
        if text is None:
            text, source = summary.mended(draft, lines, messages, language), Source.MENDED
            taken = answer
    if text is None:
        text, source = summary.quoted(lines, language), Source.QUOTES
    return CheckedSummary(
        text=text,
        source=source,
        answer=taken,
        seconds=round(clock() - started, 3),
        prompt_tokens=sum(answer.prompt_tokens for answer in answers),
        output_tokens=sum(answer.output_tokens for answer in answers),
        cached_tokens=sum(answer.cached_tokens for answer in answers),
        cost_usd=sum(answer.cost_usd for answer in answers),
        failed=tuple(failed),
    )


def _drafts(
    model: ChatModel,
    messages: Sequence[Message],
    lines: Sequence[Line],
    language: str | None,
    options: SummaryOptions,
    *,
    deadline: float | None,
    clock: Callable[[], float],
) -> Iterator[tuple[ChatAnswer, Draft]]:
    """The model's answers, each asked for only when the one before is not taken and there is time."""
    asked, temperature = messages, options.temperature
    took: float | None = None
    for _ in range(options.tries):
        started = clock()
        left = options.timeout_s if deadline is None else min(options.timeout_s, deadline - started)
        if took is not None and SECOND_TAKES * took > left:
            return
        try:
            answer = model.complete(
                asked,
                max_tokens=options.max_tokens,
                temperature=temperature,
                timeout_s=max(left, LEAST_TIMEOUT_S),
            )
        except ModelUnavailableError:
            if took is None or deadline is None:
                raise
            return
        took = clock() - started
        finished = answer.finish_reason == "stop"
        draft = summary.read(answer.text, lines, messages, language, finished=finished)
        yield answer, draft
        asked = summary.once_more(messages, draft.failed, language)
        temperature = max(options.temperature, RETRY_TEMPERATURE)
