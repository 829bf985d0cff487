"""The diagnosis of one skin complaint by a chat model: ask, refuse what is no answer, give on the rest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic import Field as Limits

from callytics.domain import diagnosis
from callytics.domain.answers import unfenced
from callytics.domain.diagnosis import (
    FEWEST_CONDITIONS,
    MOST_CONDITIONS,
    MOST_PHRASES,
    Complaint,
    Kind,
    Likelihood,
    Urgency,
)
from callytics.errors import AnswerUnusableError
from callytics.ports import ChatAnswer, ChatModel

Phrase = Annotated[str, StringConstraints(min_length=1, max_length=120, strip_whitespace=True)]
Phrases = Annotated[list[Phrase], Limits(max_length=MOST_PHRASES)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ConditionForm(_Form):
    name: Annotated[str, StringConstraints(min_length=1, max_length=60, strip_whitespace=True)]
    reason: Phrase
    likelihood: Likelihood


# Null is what grammars can tell from a list of one; an empty list they cannot.
Conditions = Annotated[
    list[ConditionForm], Limits(min_length=FEWEST_CONDITIONS, max_length=MOST_CONDITIONS)
]


class TextForm(_Form):
    """What a model fills in by a description."""

    findings: Phrases
    conditions: Conditions | None
    urgency: Urgency
    urgency_reason: Phrase
    next_steps: Annotated[Phrases, Limits(min_length=1)]
    warning_signs: Phrases


class _ImageUse(_Form):
    image_usable: bool
    image_reason: Phrase


class ImageForm(TextForm, _ImageUse):
    """What it fills in by a photo: first whether that can be judged."""


FORMS: Mapping[Kind, type[TextForm]] = {Kind.TEXT: TextForm, Kind.IMAGE: ImageForm}

SCHEMAS: Mapping[Kind, Mapping[str, Any]] = {
    kind: form.model_json_schema() for kind, form in FORMS.items()
}
"""The forms as JSON schemas, for servers that can hold their answers to one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiagnosisOptions:
    """How a diagnosis is asked for; `timeout_s` is for one answer."""

    max_tokens: int = 400
    temperature: float = 0.1
    timeout_s: float = 15

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "DiagnosisOptions":
        """Those of a model's settings; what is meant for its runtime is left alone."""
        return cls(**{key: value for key, value in options.items() if key in cls.__slots__})


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosed:
    """A diagnosis as it is stored, and the answer that it was read from."""

    result: Mapping[str, Any]
    answer: ChatAnswer


def diagnose(
    model: ChatModel, complaint: Complaint, options: DiagnosisOptions, *, left_s: float
) -> Diagnosed:
    """What the model says of the complaint, within `left_s` seconds.

    Raises ModelUnavailableError, and AnswerUnusableError for an answer that is cut off, has not the form or
    is in another language.
    """

    def accept(answer: ChatAnswer) -> None:
        _read(answer, complaint)

    answer = model.complete(
        diagnosis.prompt(complaint),
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        timeout_s=min(options.timeout_s, left_s),
        schema=SCHEMAS[complaint.kind],
        accept=accept,
    )
    return Diagnosed(result=_settled(_read(answer, complaint)), answer=answer)


def _read(answer: ChatAnswer, complaint: Complaint) -> TextForm:
    """The form; raises AnswerUnusableError, whose words quote nothing."""
    if answer.finish_reason == "length":
        raise AnswerUnusableError("The model's answer was cut off.")
    try:
        form = FORMS[complaint.kind].model_validate_json(unfenced(answer.text))
    except ValidationError:
        raise AnswerUnusableError("The model's answer has not the form asked for.") from None
    if not diagnosis.is_written_in(complaint.language, _words(form)):
        raise AnswerUnusableError("The model answers in another language.")
    return form


def _words(form: TextForm) -> Iterator[str]:
    """All but the conditions' names, which may be Latin in any language."""
    yield from form.findings
    yield from form.next_steps
    yield from form.warning_signs
    yield form.urgency_reason
    yield from (condition.reason for condition in form.conditions or ())


def _settled(form: TextForm) -> dict[str, Any]:
    """As it is stored and shown: of a photo that cannot be judged nothing is concluded, and a condition
    that is named again, as small models do, is left out.
    """
    found = {"image_usable": None, "image_reason": None, **form.model_dump(mode="json")}
    named: dict[str, Any] = {}
    if found["image_usable"] is not False:
        for condition in found["conditions"] or ():
            named.setdefault(condition["name"].casefold(), condition)
    found["conditions"] = list(named.values())
    return found
