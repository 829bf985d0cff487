import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callytics.domain.analysis_checks import AnalysisCheck
from callytics.errors import (
    AnalysisInvalidError,
    AnswerUnusableError,
    ConversationEmptyError,
    ModelUnavailableError,
    RetryableStageError,
)
from callytics.ports import Accept, ChatAnswer, Message, ModelInfo
from callytics.services.analysis import SCHEMA, Analysed, AnalysisForm, AnalysisOptions, analyse

CALL = """상담사: 한빛통신 고객센터 상담원 김민지입니다. 무엇을 도와드릴까요?
고객: 어제부터 집 인터넷이 자꾸 끊겨서 전화드렸어요.
상담사: 내일 오후 두 시에 방문 예약을 해 드렸습니다. 요금도 할인해 드리겠습니다.
고객: 네, 감사합니다."""
SUMMARY = {
    "customer": "집 인터넷 끊김 문의",
    "agent": "요금 할인 안내",
    "result": "내일 오후 두 시 방문 예약",
}
FORM = {
    "summary": SUMMARY,
    "keywords": ["인터넷", "방문예약", "요금"],
    "titles": {"keyword": "인터넷_방문예약", "descriptive": "집 인터넷 끊김에 따른 방문 예약"},
}
OPTIONS = AnalysisOptions(max_tokens=300, temperature=0.1, timeout_s=9, input_chars=500)


def answer(**summary: str) -> str:
    return json.dumps({**FORM, "summary": SUMMARY | summary}, ensure_ascii=False)


GOOD = answer()
MADE_UP = answer(agent="위약금 면제 안내")


@dataclass
class FakeChat:
    """Gives its answers one after the other, the last one again and again."""

    answers: list[str]
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
        self.asked.append(
            {
                "messages": messages,
                "max_tokens": max_tokens,
                "temperature": temperature,
                "timeout_s": timeout_s,
                "schema": schema,
            }
        )
        text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        given = ChatAnswer(
            text=text, finish_reason="stop", prompt_tokens=100, output_tokens=20, cost_usd=0.5
        )
        if accept:
            accept(given)
        return given


class DeadChat(FakeChat):
    def complete(self, *arguments: Any, **named: Any) -> ChatAnswer:
        raise ModelUnavailableError


def check(found: Analysed, name: AnalysisCheck) -> float:
    [score] = [finding.score for finding in found.analysis.findings if finding.check is name]
    return score


def test_a_good_answer_is_taken_at_once() -> None:
    chat = FakeChat([GOOD])
    found = analyse(chat, CALL, OPTIONS)
    assert found.analysis.form.model_dump() == FORM
    assert found.analysis.quality_score > 0.95
    assert (found.repaired, found.prompt_tokens, found.output_tokens) == (False, 100, 20)
    [asked] = chat.asked
    assert (asked["max_tokens"], asked["temperature"], asked["timeout_s"]) == (300, 0.1, 9)
    assert asked["schema"] == SCHEMA


def test_what_is_stored_has_all_of_it_as_plain_json() -> None:
    stored = analyse(FakeChat([GOOD]), CALL, OPTIONS).to_json()
    assert stored == json.loads(json.dumps(stored))
    assert {name: stored[name] for name in FORM} == FORM
    [finding] = [row for row in stored["checks"] if row["name"] == "figures_found"]
    assert finding == {
        "name": "figures_found",
        "passed": True,
        "score": 1.0,
        "weight": 3,
        "detail": "Every number is said in the conversation.",
    }
    evidence = stored["evidence"]
    assert list(evidence) == ["customer", "agent", "result", "keywords"]
    [place] = evidence["customer"]
    assert place["turn"] == 1
    assert CALL[place["start"] : place["end"]] == "어제부터 집 인터넷이 자꾸 끊겨서 전화드렸어요."
    assert list(evidence["keywords"]) == FORM["keywords"]
    assert {"seconds", "prompt_tokens", "output_tokens", "repaired"} <= set(stored)


def test_what_cannot_be_stored_is_left_out() -> None:
    found = analyse(FakeChat([GOOD.replace("인터넷", r"인\u0000터넷")]), CALL, OPTIONS)
    assert found.analysis.form.model_dump() == FORM


def test_an_answer_without_the_form_is_asked_for_once_more() -> None:
    chat = FakeChat([GOOD[:-30], GOOD])
    found = analyse(chat, CALL, OPTIONS)
    assert found.analysis.form.model_dump() == FORM
    assert found.cost_usd == 1.0
    assert (found.repaired, found.output_tokens) == (True, 40)
    assert check(found, AnalysisCheck.SCHEMA_VALID) == 0
    first, again = (asked["messages"][-1]["content"] for asked in chat.asked)
    assert again.startswith(first)
    assert "JSON" in again.removeprefix(first)
    assert chat.asked[1]["temperature"] > chat.asked[0]["temperature"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "네, 알겠습니다.",
        GOOD[:-30],
        "{}",
        "null",
        json.dumps({**FORM, "extra": 1}),
        json.dumps({**FORM, "keywords": ["인터넷"]}),
        json.dumps({**FORM, "keywords": "인터넷, 요금"}),
        json.dumps({**FORM, "titles": {"keyword": "인터넷 요금", "descriptive": "안내"}}),
        answer(result=""),
        answer(result="방문 " * 60),
    ],
)
def test_two_answers_without_the_form_are_no_analysis_and_worth_another_try(text: str) -> None:
    chat = FakeChat([text])
    with pytest.raises(AnalysisInvalidError) as caught:
        analyse(chat, CALL, OPTIONS)
    assert isinstance(caught.value, RetryableStageError)
    assert caught.value.code == "analysis_invalid"
    assert "인터넷" not in str(caught.value.as_problem())
    assert len(chat.asked) == 2


class Refusing(FakeChat):
    """Says no where the first answer would be."""

    def complete(self, *arguments: Any, **named: Any) -> ChatAnswer:
        if self.answers[0]:
            return super().complete(*arguments, **named)
        raise AnswerUnusableError("It refuses to answer.")


def test_a_refusal_is_no_answer_to_ask_more_about() -> None:
    with pytest.raises(AnswerUnusableError, match="refuses"):
        analyse(Refusing([""]), CALL, OPTIONS)


def test_who_gave_the_answer_that_counts_is_told() -> None:
    given = FakeChat(["no form", GOOD])
    assert "집 인터넷" in analyse(given, CALL, OPTIONS).answer.text
    assert analyse(FakeChat([MADE_UP, "{"]), CALL, OPTIONS).answer.text == MADE_UP


def test_an_answer_shown_as_code_is_read_too() -> None:
    found = analyse(FakeChat([f"```json\n{GOOD}\n```"]), CALL, OPTIONS)
    assert check(found, AnalysisCheck.SCHEMA_VALID) == 1


def test_what_is_made_up_is_asked_for_once_more_and_only_that_is_replaced() -> None:
    chat = FakeChat([MADE_UP, answer(customer="위약금 문의")])
    found = analyse(chat, CALL, OPTIONS)
    assert found.analysis.form.model_dump() == FORM
    assert found.repaired
    assert check(found, AnalysisCheck.SCHEMA_VALID) == 1


def test_only_what_is_missing_is_asked_for_again() -> None:
    repair = json.dumps({"summary": {"agent": "방문 예약, 요금 할인 안내"}})
    chat = FakeChat([MADE_UP, repair])
    found = analyse(chat, CALL, OPTIONS)
    assert found.analysis.form.summary.agent == "방문 예약, 요금 할인 안내"
    assert found.analysis.form.summary.customer == SUMMARY["customer"]
    summary = chat.asked[1]["schema"]["properties"]["summary"]
    assert list(summary["properties"]) == summary["required"] == ["agent"]
    assert "나오지 않은" in chat.asked[1]["messages"][-1]["content"]


def test_what_stays_made_up_is_said_in_the_speakers_own_words_and_costs_quality() -> None:
    chat = FakeChat([MADE_UP])
    found = analyse(chat, CALL, OPTIONS)
    assert len(chat.asked) == 2
    assert found.analysis.form.summary.agent == "“…오후 두 시에 방문 예약을 해 드렸습니다”"
    assert "위약금" not in json.dumps(found.to_json(), ensure_ascii=False)
    assert check(found, AnalysisCheck.AS_WRITTEN) < 1
    assert (
        found.analysis.quality_score
        < analyse(FakeChat([GOOD]), CALL, OPTIONS).analysis.quality_score
    )


def test_a_second_answer_without_the_form_leaves_the_first_one() -> None:
    found = analyse(FakeChat([MADE_UP, "{"]), CALL, OPTIONS)
    assert found.analysis.form.summary.customer == "집 인터넷 끊김 문의"


@pytest.mark.parametrize(
    "text",
    ["", " \n", "고객:\n상담사:", "...", "고객: 안녕하세요\n상담사: 네, 안녕하세요. 감사합니다."],
)
def test_where_nothing_is_said_no_model_is_asked(text: str) -> None:
    chat = FakeChat([GOOD])
    with pytest.raises(ConversationEmptyError) as caught:
        analyse(chat, text, OPTIONS)
    assert not isinstance(caught.value, RetryableStageError)
    assert chat.asked == []


def test_a_server_that_does_not_answer_is_not_hidden() -> None:
    with pytest.raises(ModelUnavailableError):
        analyse(DeadChat([GOOD]), CALL, OPTIONS)


def test_how_much_was_read_is_told() -> None:
    long = "\n".join(
        [CALL, *(f"고객: {n}번째로 요금이 궁금해서 물어보는 말이에요." for n in range(60))]
    )
    found = analyse(FakeChat([GOOD]), long, OPTIONS)
    assert 0 < check(found, AnalysisCheck.WHOLE_READ) < 1


def test_the_language_is_found_or_given() -> None:
    english = "Customer: My internet is down, I need help.\nAgent: I have booked a visit for you."
    chat = FakeChat([GOOD])
    analyse(chat, english, OPTIONS)
    analyse(chat, english, OPTIONS, language="ko")
    systems = [asked["messages"][0]["content"] for asked in chat.asked]
    assert systems[0].startswith("Read")
    assert systems[-1].startswith("콜센터")


def test_options_leave_what_is_meant_for_the_runtime_alone() -> None:
    assert AnalysisOptions.of({"max_tokens": 9, "extra_body": {}}) == AnalysisOptions(max_tokens=9)


SAYINGS = (
    "인터넷",
    "요금",
    "위약금",
    "방문예약",
    "내일 두 시",
    "3만 원",
    "안내",
    "문의",
    "김민지",
    "카드를",
)
ODDITIES = ("ok,", ".", "_", "“", "\\", "네요")
WORDS = st.lists(st.sampled_from(SAYINGS + ODDITIES), min_size=1, max_size=12).map(" ".join)
ANSWERS = st.builds(
    lambda customer, agent, result, keywords, title, line: json.dumps(
        {
            "summary": {"customer": customer, "agent": agent, "result": result},
            "keywords": keywords,
            "titles": {"keyword": title, "descriptive": line},
        }
    ),
    WORDS,
    WORDS,
    WORDS,
    st.lists(WORDS | st.text(min_size=1, max_size=20), min_size=2, max_size=6),
    st.sampled_from(["인터넷_요금", "위약금_면제_안내", "가_나", "^_^", "_"]),
    WORDS | st.text(min_size=2, max_size=70),
)
SPOKEN = WORDS.map(lambda said: f"고객: {said} 환불해 주세요\n상담사: 확인했습니다")


@settings(deadline=None)
@given(ANSWERS, SPOKEN | st.just(CALL) | st.text(max_size=60))
def test_whatever_the_model_says_every_analysis_is_valid_or_none(text: str, spoken: str) -> None:
    try:
        found = analyse(FakeChat([text]), spoken, OPTIONS)
    except (AnalysisInvalidError, ConversationEmptyError):
        return
    stored = found.to_json()
    AnalysisForm.model_validate({name: stored[name] for name in FORM})
    assert 0 <= found.analysis.quality_score <= 1
    places = [
        place for part in ("customer", "agent", "result") for place in stored["evidence"][part]
    ]
    assert all(0 <= place["start"] < place["end"] <= len(spoken) for place in places)
