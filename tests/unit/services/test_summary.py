from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.excerpt import Line
from callytics.domain.summary_checks import LONGEST_COPY, Check
from callytics.domain.transcript import Role
from callytics.errors import ModelUnavailableError
from callytics.ports import Accept, ChatAnswer, Message, ModelInfo
from callytics.services.summary import Source, SummaryOptions, read_ahead, summarise

LINES = (
    Line(role=Role.AGENT, text="한빛통신 고객센터 상담원 김민지입니다."),
    Line(role=Role.CUSTOMER, text="어제부터 집 인터넷이 자꾸 끊겨서 전화드렸어요."),
    Line(role=Role.AGENT, text="내일 오후 두 시에 방문 예약을 해 드리겠습니다."),
)
GOOD = "인터넷 끊김 / 내일 오후 두 시 방문 예약"
MADE_UP = "인터넷 끊김 / 위약금 면제"
ALL_MADE_UP = "카드 분실 / 위약금 면제"
OPTIONS = SummaryOptions(max_tokens=60, temperature=0.1, timeout_s=9, input_chars=300)


@dataclass
class FakeChat:
    """Gives its answers one after the other, the last one again and again."""

    answers: list[str]
    finish_reason: str = "stop"
    takes_s: float = 0.0
    now: float = 100.0
    asked: list[tuple[Sequence[Message], float, float]] = field(default_factory=list)
    info: ModelInfo = field(
        default_factory=lambda: ModelInfo(name="fake", revision="1", device="server")
    )

    def warm_up(self) -> None:
        """Nothing to warm."""

    def clock(self) -> float:
        return self.now

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
        self.asked.append((messages, temperature, timeout_s))
        self.now += self.takes_s
        text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return ChatAnswer(
            text=text,
            finish_reason=self.finish_reason,
            prompt_tokens=100,
            output_tokens=20,
            cached_tokens=70,
            cost_usd=0.5,
            seconds=self.takes_s,
        )


def test_a_good_answer_is_taken_at_once() -> None:
    chat = FakeChat([GOOD])
    found = summarise(chat, LINES, "ko", OPTIONS)
    assert found.text == "고객이 인터넷 끊김을 문의하여 내일 오후 두 시 방문 예약함."
    assert (found.source, found.prompt_tokens, found.output_tokens) == (Source.MODEL, 100, 20)
    assert found.checks == {"source": "model", "passed": True, "failed": []}
    assert [(temperature, timeout) for _, temperature, timeout in chat.asked] == [(0.1, 9)]


def test_what_cannot_be_stored_is_left_out() -> None:
    nul = GOOD.replace("끊김", "끊\0김")
    found = summarise(FakeChat([nul]), LINES, "ko", OPTIONS)

    assert found.source is Source.MODEL
    assert found.text == summarise(FakeChat([GOOD]), LINES, "ko", OPTIONS).text


def test_a_bad_answer_is_asked_for_once_more_with_the_reasons() -> None:
    chat = FakeChat([MADE_UP, GOOD])
    found = summarise(chat, LINES, "ko", OPTIONS)
    assert (found.source, found.prompt_tokens, found.output_tokens) == (Source.MODEL, 200, 40)
    assert found.cost_usd == 1.0
    assert found.checks["passed"] is True
    assert [Check.ASKED_AND_DONE in answer for answer in found.failed] == [True]
    first, again = (messages[-1]["content"] for messages, _, _ in chat.asked)
    assert again.startswith(first)
    assert "`문의 / 처리`" in again.removeprefix(first)
    assert chat.asked[1][1] > chat.asked[0][1]


def test_what_is_half_bad_is_mended_with_quotes() -> None:
    found = summarise(FakeChat([MADE_UP]), LINES, "ko", OPTIONS)
    assert found.text == (
        "고객이 인터넷 끊김을 문의했고,"
        " 상담사가 “…오후 두 시에 방문 예약을 해 드리겠습니다”라고 답함."
    )
    assert (found.checks["source"], found.checks["passed"]) == ("mended", True)
    assert len(found.failed) == 2


def test_what_stays_bad_is_not_shown_but_quoted_and_marked() -> None:
    chat = FakeChat([ALL_MADE_UP])
    found = summarise(chat, LINES, "ko", OPTIONS)
    assert len(chat.asked) == 2
    assert found.text == (
        "고객이 “…집 인터넷이 자꾸 끊겨서 전화드렸어요”라고 문의했고,"
        " 상담사가 “…오후 두 시에 방문 예약을 해 드리겠습니다”라고 답함."
    )
    assert found.checks["source"] == "quotes"
    assert found.checks["passed"] is False
    assert len(found.checks["failed"]) == 2


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("ko", "통화에 말소리가 없음."),
        (None, "통화에 말소리가 없음."),
        ("en", "There is no speech in this call."),
    ],
)
@pytest.mark.parametrize("lines", [(), (Line(role=Role.UNKNOWN, text="  "),)])
def test_a_silent_call_asks_no_model(
    lines: tuple[Line, ...], language: str | None, text: str
) -> None:
    chat = FakeChat([GOOD])
    found = summarise(chat, lines, language, OPTIONS)
    assert (found.text, found.source, found.seconds) == (text, Source.NOTHING, 0.0)
    assert chat.asked == []


def test_a_call_of_greetings_asks_no_model() -> None:
    chat = FakeChat([GOOD])
    found = summarise(chat, [LINES[0], Line(role=Role.CUSTOMER, text="여보세요?")], "ko", OPTIONS)
    assert (found.text, chat.asked) == ("인사 외에 문의 내용이 없는 통화임.", [])


def test_a_model_that_is_away_is_the_callers_business() -> None:
    class Away(FakeChat):
        def complete(self, *arguments: object, **options: object) -> ChatAnswer:
            raise ModelUnavailableError

    with pytest.raises(ModelUnavailableError):
        summarise(Away([""]), LINES, "ko", OPTIONS)


def test_turns_are_read_ahead_and_the_summary_begins_with_what_was_read() -> None:
    chat = FakeChat([GOOD])
    for count in range(1, len(LINES) + 1):
        read_ahead(chat, LINES[:count], "ko", OPTIONS)
    found = summarise(chat, LINES, "ko", OPTIONS, ahead=True)
    assert (found.source, found.cached_tokens) == (Source.MODEL, 70)
    # The greeting that the call begins with tells nothing: there is nothing to read yet.
    shown = [messages[-1]["content"] for messages, _, _ in chat.asked]
    assert len(shown) == len(LINES)
    assert shown[1].startswith(shown[0])
    assert shown[1] == shown[2]


def test_no_second_answer_is_begun_that_would_come_too_late() -> None:
    chat = FakeChat([ALL_MADE_UP, GOOD], takes_s=2.0)
    found = summarise(chat, LINES, "ko", OPTIONS, deadline=chat.now + 4.9, clock=chat.clock)
    assert (found.source, len(chat.asked), found.seconds) == (Source.QUOTES, 1, 2.0)


def test_a_second_answer_that_comes_in_time_is_asked_for() -> None:
    chat = FakeChat([MADE_UP, GOOD], takes_s=1.9)
    found = summarise(chat, LINES, "ko", OPTIONS, deadline=chat.now + 4.9, clock=chat.clock)
    assert (found.source, found.seconds) == (Source.MODEL, 3.8)
    assert [timeout for _, _, timeout in chat.asked] == pytest.approx([4.9, 3.0])


def test_a_second_answer_that_does_not_come_leaves_the_quotes() -> None:
    class AwayAfterOne(FakeChat):
        def complete(self, *arguments: Any, **options: Any) -> ChatAnswer:
            if self.asked:
                raise ModelUnavailableError
            return super().complete(*arguments, **options)

    chat = AwayAfterOne([ALL_MADE_UP])
    found = summarise(chat, LINES, "ko", OPTIONS, deadline=chat.now + 9, clock=chat.clock)
    assert found.source is Source.QUOTES
    with pytest.raises(ModelUnavailableError):
        summarise(AwayAfterOne([MADE_UP]), LINES, "ko", OPTIONS)


def test_a_deadline_that_is_over_leaves_the_model_no_time() -> None:
    chat = FakeChat([GOOD])
    summarise(chat, LINES, "ko", OPTIONS, deadline=chat.now - 1, clock=chat.clock)
    assert 0 < chat.asked[0][2] < 0.1


@given(st.lists(st.text(), min_size=1, max_size=2), st.sampled_from(["stop", "length"]))
def test_no_answer_puts_rubbish_on_the_screen(answers: list[str], finish_reason: str) -> None:
    found = summarise(FakeChat(answers, finish_reason), LINES, "ko", OPTIONS)
    said = " ".join(line.text for line in LINES)
    copies = [
        found.text[at : at + LONGEST_COPY + 1] for at in range(len(found.text) - LONGEST_COPY)
    ]
    assert not any(copy in said for copy in copies)
    assert "\n" not in found.text
    assert found.text.endswith("함.")


def test_options_come_from_the_models_settings() -> None:
    options = SummaryOptions.of({"max_tokens": 50, "extra_body": {"a": 1}, "input_chars": 500})
    assert (options.max_tokens, options.input_chars) == (50, 500)
    assert options.temperature == SummaryOptions().temperature
