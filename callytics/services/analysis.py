"""The analysis of one conversation by a chat model: ask, check, ask once more, settle, judge."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from time import monotonic
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic import Field as Limits

from callytics.domain import analysis, analysis_answer, analysis_checks
from callytics.domain.analysis import FEWEST_KEYWORDS, MOST_KEYWORDS, Message, Talk
from callytics.domain.analysis_answer import Draft, Settled
from callytics.domain.analysis_checks import Evidence, Finding, Outcome
from callytics.domain.analysis_wording import Fault, Part, Written
from callytics.domain.answers import unfenced
from callytics.domain.dialogue import language_of, read
from callytics.domain.evidence import Said
from callytics.errors import AnalysisInvalidError, AnswerUnusableError, ConversationEmptyError
from callytics.ports import ChatAnswer, ChatModel

F = TypeVar("F", bound=BaseModel)

RETRY_TEMPERATURE = 0.5
"""The second answer is to be another one."""

Phrase = Annotated[str, StringConstraints(min_length=2, max_length=80)]
Keyword = Annotated[str, StringConstraints(min_length=1, max_length=24)]


# No \s in the classes: the engines' grammars take it for a letter.
_TITLE = r'^[^ _",\\\n\r\t]{1,16}(_[^ _",\\\n\r\t]{1,16}){1,3}$'


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SummaryForm(_Form):
    customer: Phrase
    agent: Phrase
    result: Phrase


class TitlesForm(_Form):
    keyword: Annotated[str, StringConstraints(pattern=_TITLE)]
    descriptive: Phrase


class AnalysisForm(_Form):
    """What a model fills in, and what every analysis that is handed out is valid against."""

    summary: SummaryForm
    keywords: Annotated[list[Keyword], Limits(min_length=FEWEST_KEYWORDS, max_length=MOST_KEYWORDS)]
    titles: TitlesForm


class _Repair(BaseModel):
    """The parts that are asked for again. A server that holds to no schema may fill in all."""

    model_config = ConfigDict(extra="ignore", strict=True)

    summary: dict[Part, Phrase]


SCHEMA: Mapping[str, Any] = AnalysisForm.model_json_schema()
"""The form as a JSON schema; engines that can hold their answers to it."""


def schema_of(parts: Collection[Part]) -> dict[str, Any]:
    """The form with nothing but these parts of the summary: short answers come soon."""
    phrase = SCHEMA["$defs"]["SummaryForm"]["properties"]["customer"]
    return _object(summary=_object(**{part.value: phrase for part in parts}))


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysisOptions:
    """How an analysis is asked for; `input_chars` is how much of the conversation is read."""

    max_tokens: int = 320
    temperature: float = 0.1
    timeout_s: float = 300
    input_chars: int = 2000

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "AnalysisOptions":
        """Those of a model's settings; what is meant for its runtime is left alone."""
        return cls(**{key: value for key, value in options.items() if key in cls.__slots__})


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """Summary, keywords and titles; how good they are, by which checks; what they rest on."""

    form: AnalysisForm
    quality_score: float
    findings: tuple[Finding, ...]
    evidence: Evidence

    def to_json(self) -> dict[str, Any]:
        """As it is stored and shown."""
        parts = {
            part.value: _places(found.sentences) for part, found in self.evidence.parts.items()
        }
        keywords = {word: _places(said) for word, said in self.evidence.keywords.items()}
        return {
            **self.form.model_dump(),
            "quality_score": self.quality_score,
            "checks": [_finding(finding) for finding in self.findings],
            "evidence": {**parts, "keywords": keywords},
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysed:
    """An analysis and what it took; `repaired` where the model was asked twice.

    `answer` is the one that the analysis, or most of it, is made of.
    """

    analysis: Analysis
    answer: ChatAnswer
    seconds: float
    prompt_tokens: int
    output_tokens: int
    cost_usd: float
    repaired: bool

    def to_json(self) -> dict[str, Any]:
        """As it is stored: the analysis, and what it took."""
        took = {name: getattr(self, name) for name in _TOOK}
        return {**self.analysis.to_json(), **took}


_TOOK = ("seconds", "prompt_tokens", "output_tokens", "repaired")


def analyse(
    model: ChatModel,
    conversation: str,
    options: AnalysisOptions,
    *,
    language: str | None = None,
) -> Analysed:
    """The analysis of a conversation, in its language.

    Raises ConversationEmptyError, without asking the model, where nobody says anything or nothing but
    greetings, ModelUnavailableError, and AnalysisInvalidError where no answer has the form asked for.
    """
    started = monotonic()
    talk = Talk.of(conversation, language or language_of(read(conversation)))
    if not any(letter.isalnum() for letter in talk.spoken):
        raise ConversationEmptyError
    if not talk.told:
        raise ConversationEmptyError("Nothing but greetings is said in this conversation.")
    reading = analysis.choose(talk, options.input_chars)
    messages = analysis.prompt(reading, talk.language)
    answers = [_ask(model, messages, options)]
    drafts = [_draft(answers[0], talk, messages)]
    first = drafts[0]
    if first is None or first.faults:
        faults = first.faults if first else {Fault.FORM}
        missing = [part for part in Part if first and not first.parts[part]]
        again = analysis.once_more(messages, faults, talk.language)
        if first:
            answers.append(_ask(model, again, _bolder(options), schema_of(missing), _Repair))
            drafts.append(_repaired(answers[1], talk, messages))
        else:
            answers.append(_ask(model, again, _bolder(options)))
            drafts.append(_draft(answers[1], talk, messages))
    settled = analysis_answer.settle(_valid(drafts), talk)
    evidence = analysis_checks.find_evidence(settled, talk)
    findings = analysis_checks.judge(
        Outcome(
            settled=settled,
            talk=talk,
            reading=reading,
            evidence=evidence,
            valid_at_once=drafts[0] is not None,
        )
    )
    return Analysed(
        analysis=Analysis(
            form=_form(settled),
            quality_score=analysis_checks.quality_score(findings),
            findings=findings,
            evidence=evidence,
        ),
        answer=next(one for one, draft in zip(answers, drafts, strict=True) if draft),
        seconds=round(monotonic() - started, 3),
        prompt_tokens=sum(answer.prompt_tokens for answer in answers),
        output_tokens=sum(answer.output_tokens for answer in answers),
        cost_usd=sum(answer.cost_usd for answer in answers),
        repaired=len(answers) > 1,
    )


def _ask(
    model: ChatModel,
    messages: Sequence[Message],
    options: AnalysisOptions,
    schema: Mapping[str, Any] = SCHEMA,
    form: type[BaseModel] = AnalysisForm,
) -> ChatAnswer:
    """An answer that has the `form`; if nobody has one, the last of those that were given."""
    given: list[ChatAnswer] = []

    def accept(answer: ChatAnswer) -> None:
        given.append(answer)
        if _filled(form, answer) is None:
            raise AnswerUnusableError("The answer does not have the form that was asked for.")

    try:
        return model.complete(
            messages,
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            timeout_s=options.timeout_s,
            schema=schema,
            accept=accept,
        )
    except AnswerUnusableError:
        if not given:
            raise
        return given[-1]


def _filled(form: type[F], answer: ChatAnswer) -> F | None:
    try:
        return form.model_validate_json(unfenced(answer.text))
    except ValidationError:
        return None


def _bolder(options: AnalysisOptions) -> AnalysisOptions:
    return replace(options, temperature=max(options.temperature, RETRY_TEMPERATURE))


def _draft(answer: ChatAnswer, talk: Talk, messages: Sequence[Message]) -> Draft | None:
    """What of the answer can stay; None if it does not have the form."""
    form = _filled(AnalysisForm, answer)
    if form is None:
        return None
    written = Written(
        parts={part: getattr(form.summary, part.value) for part in Part},
        keywords=form.keywords,
        keyword_title=form.titles.keyword,
        descriptive_title=form.titles.descriptive,
    )
    return analysis_answer.sift(written, talk, messages)


def _repaired(answer: ChatAnswer, talk: Talk, messages: Sequence[Message]) -> Draft | None:
    """What can stay of the parts that were asked for again."""
    found = _filled(_Repair, answer)
    if found is None:
        return None
    parts = {part: found.summary.get(part, "") for part in Part}
    written = Written(parts=parts, keywords=(), keyword_title="", descriptive_title="")
    return analysis_answer.sift(written, talk, messages)


def _valid(drafts: Sequence[Draft | None]) -> list[Draft]:
    found = [draft for draft in drafts if draft]
    if not found:
        raise AnalysisInvalidError
    return found


def _form(settled: Settled) -> AnalysisForm:
    return AnalysisForm(
        summary=SummaryForm(**{part.value: text for part, text in settled.parts.items()}),
        keywords=list(settled.keywords),
        titles=TitlesForm(keyword=settled.keyword_title, descriptive=settled.descriptive_title),
    )


def _places(said: Sequence[Said]) -> list[dict[str, int]]:
    return [{"turn": one.turn, "start": one.start, "end": one.end} for one in said]


def _finding(finding: Finding) -> dict[str, Any]:
    """With the check's name first, as a table has it."""
    found = asdict(finding)
    return {"name": found.pop("check").value, **found}
