import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from callytics.domain.diagnosis import Complaint, Kind, Language, prompt
from callytics.errors import AnswerUnusableError
from callytics.ports import Accept, ChatAnswer, Message, ModelInfo
from callytics.services.diagnosis import SCHEMAS, DiagnosisOptions, diagnose
from tests.support.diagnoses import COMPLAINT, FORM, IMAGE_FORM, written

OPTIONS = DiagnosisOptions(max_tokens=400, temperature=0.1, timeout_s=15)
TEXT = Complaint(text=COMPLAINT, language=Language.KOREAN)
PHOTO = Complaint(text=None, language=Language.KOREAN, jpeg=b"photo")


@dataclass
class Providers:
    """Asks one after the other, as a model behind several servers does: the first acceptable answer."""

    answers: Sequence[tuple[str, str]]
    asked: list[dict[str, Any]] = field(default_factory=list)
    info: ModelInfo = field(
        default_factory=lambda: ModelInfo(name="fake", revision="1", device="server")
    )

    def warm_up(self) -> None:
        """Nothing to warm."""

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float,
        timeout_s: float,
        schema: Mapping[str, Any] | None = None,
        accept: Accept | None = None,
    ) -> ChatAnswer:
        self.asked.append({"max_tokens": max_tokens, "timeout_s": timeout_s, "schema": schema})
        refused: AnswerUnusableError | None = None
        for number, (text, reason) in enumerate(self.answers):
            answer = ChatAnswer(
                text=text,
                finish_reason=reason,
                provider=f"provider-{number}",
                model="m",
                prompt_tokens=9,
                output_tokens=3,
            )
            try:
                if accept:
                    accept(answer)
            except AnswerUnusableError as error:
                refused = error
            else:
                return answer
        raise refused or AssertionError("no answers")


def says(*answers: str) -> Providers:
    return Providers([(answer, "stop") for answer in answers])


def test_a_description_is_judged() -> None:
    chat = says(written(FORM))
    found = diagnose(chat, TEXT, OPTIONS, left_s=60)

    assert found.result == {"image_usable": None, "image_reason": None, **FORM}
    assert chat.asked == [{"max_tokens": 400, "timeout_s": 15, "schema": SCHEMAS[Kind.TEXT]}]


def test_a_photo_is_judged() -> None:
    chat = says(written(IMAGE_FORM))
    found = diagnose(chat, PHOTO, OPTIONS, left_s=60)

    assert found.result == IMAGE_FORM
    assert chat.asked[0]["schema"] == SCHEMAS[Kind.IMAGE]


def test_of_a_photo_that_cannot_be_judged_nothing_is_concluded() -> None:
    found = diagnose(says(written(IMAGE_FORM, image_usable=False)), PHOTO, OPTIONS, left_s=60)

    assert found.result["image_usable"] is False
    assert found.result["conditions"] == []


def test_where_there_is_no_complaint_nothing_is_concluded() -> None:
    chat = says(written(FORM, findings=[], conditions=None))
    assert diagnose(chat, TEXT, OPTIONS, left_s=60).result["conditions"] == []


def test_a_condition_that_is_named_again_is_left_out() -> None:
    first, second = FORM["conditions"]
    again = {**first, "name": f"{first['name']} ", "likelihood": "low"}
    chat = says(written(FORM, conditions=[first, second, again]))

    assert diagnose(chat, TEXT, OPTIONS, left_s=60).result["conditions"] == [first, second]


def test_no_more_time_is_taken_than_is_left() -> None:
    chat = says(written(FORM))
    diagnose(chat, TEXT, OPTIONS, left_s=4.5)

    assert chat.asked[0]["timeout_s"] == 4.5


def test_an_answer_that_is_shown_as_code_is_read() -> None:
    shown = f"```json\n{written(FORM)}\n```"
    assert diagnose(says(shown), TEXT, OPTIONS, left_s=60).result["urgency"] == "routine"


def test_what_cannot_be_stored_is_left_out() -> None:
    first, second = FORM["conditions"]
    nul = written(
        FORM, urgency_reason="열과\0 진물이 없음", conditions=[{**first, "name": "염\0"}, second]
    )
    found = diagnose(says(nul), TEXT, OPTIONS, left_s=60).result

    assert found["urgency_reason"] == FORM["urgency_reason"]
    assert [one["name"] for one in found["conditions"]] == ["염", second["name"]]


CONDITION = FORM["conditions"][0]
BAD = {
    "no JSON": "죄송하지만 도와드릴 수 없습니다.",
    "nothing": "",
    "half of it": written(FORM)[:100],
    "another form": json.dumps({"diagnosis": "x"}),
    "a list": "[]",
    "another urgency": written(FORM, urgency="never"),
    "a number for how sure": written(FORM, confidence=0.93),
    "a likelihood as a number": written(FORM, conditions=[{**CONDITION, "likelihood": 0.9}] * 2),
    "five conditions": written(FORM, conditions=[CONDITION] * 5),
    "one condition": written(FORM, conditions=[CONDITION]),
    "no conditions, said as a list": written(FORM, conditions=[]),
    "no step": written(FORM, next_steps=[]),
    "blank words": written(FORM, urgency_reason="  "),
    "very long words": written(FORM, urgency_reason="가" * 121),
    "another language": written(
        FORM, findings=["a red rash on the arm"], next_steps=["stop using it, see a doctor"]
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_answer_is_refused_so_that_another_provider_is_asked(name: str) -> None:
    with pytest.raises(AnswerUnusableError) as refused:
        diagnose(says(BAD[name]), TEXT, OPTIONS, left_s=60)
    found = diagnose(says(BAD[name], written(FORM)), TEXT, OPTIONS, left_s=60)

    assert found.answer.provider == "provider-1"
    assert not BAD[name] or BAD[name][:20] not in str(refused.value)


def test_an_answer_that_was_cut_off_is_refused_even_if_it_can_be_read() -> None:
    chat = Providers([(written(FORM), "length"), (written(FORM), "stop")])

    assert diagnose(chat, TEXT, OPTIONS, left_s=60).answer.provider == "provider-1"


@pytest.mark.parametrize("kind", Kind)
def test_the_schema_is_one_that_strict_servers_take(kind: Kind) -> None:
    """Every object closed, every field required, no numbers: structured outputs of OpenAI and vLLM."""

    def look(schema: Mapping[str, Any]) -> None:
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False
            assert set(schema["required"]) == set(schema["properties"])
        assert schema.get("type") not in {"number", "integer"}
        for below in [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]:
            look(below)

    look(SCHEMAS[kind])


@pytest.mark.parametrize("language", Language)
def test_the_example_of_the_prompt_is_an_answer_that_would_be_taken(language: Language) -> None:
    complaint = Complaint(text=COMPLAINT, language=language)
    shown = prompt(complaint)[2]["content"]

    assert diagnose(says(shown), complaint, OPTIONS, left_s=60).result["urgency"] == "soon"
