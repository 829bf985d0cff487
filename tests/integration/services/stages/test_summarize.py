from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.models import StageRun, Summary
from callytics.db.turns import Turns
from callytics.domain.stages import Stage, StageStatus
from callytics.domain.summary import PROMPT_VERSION
from callytics.domain.transcript import Role, Turn
from callytics.errors import ModelUnavailableError
from callytics.ports import Accept, ChatAnswer, Message, ModelInfo
from callytics.services.stage import Outcome, StageContext, run_stage
from callytics.services.stages.summarize import Summarize
from callytics.settings import ModelSettings
from tests.support.calls import NoStore, insert_call

SPOKEN = (
    (Role.AGENT, "누리카드 상담원 이서연입니다. 무엇을 도와드릴까요?"),
    (Role.CUSTOMER, "지갑을 잃어버려서 카드를 정지하고 싶어요."),
    (Role.AGENT, "카드 정지해 드렸고 재발급 신청도 접수했습니다."),
)
GOOD = "문의: 카드 분실\n처리: 카드 정지, 재발급 신청"
SETTINGS = ModelSettings(runtime="openai", model="fake", options={"max_tokens": 50, "timeout_s": 7})


@dataclass
class FakeChat:
    answer: str = GOOD
    away: bool = False
    asked: list[Sequence[Message]] = field(default_factory=list)
    info: ModelInfo = field(
        default_factory=lambda: ModelInfo(
            name="fake", revision="abc", device="server", settings={"max_tokens": 50}
        )
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
        assert (max_tokens, timeout_s) == (50, 7)
        if self.away:
            raise ModelUnavailableError("The chat server is away.")
        self.asked.append(messages)
        return ChatAnswer(
            text=self.answer,
            finish_reason="stop",
            provider="backup",
            model="other",
            revision="def",
            prompt_tokens=100,
            output_tokens=20,
            cost_usd=0.5,
        )


@pytest.fixture
def chat() -> FakeChat:
    return FakeChat()


def call_of(
    sessions: sessionmaker[Session], spoken: Sequence[tuple[Role, str]] = SPOKEN, **columns: Any
) -> UUID:
    """A call whose turns are punctuated, so that its summary is due."""
    columns = {"detected_language": "ko", **columns}
    call_id = insert_call(sessions, [Stage.SUMMARIZE], **columns)
    turns = [
        Turn(index=at, start_s=at, end_s=at + 1, speaker=role.value, text=text, role=role)
        for at, (role, text) in enumerate(spoken)
    ]
    with unit_of_work(sessions) as session:
        Turns(session).replace(call_id, turns)
        session.get_one(StageRun, (call_id, Stage.SUMMARIZE)).status = StageStatus.QUEUED
    return call_id


def run(sessions: sessionmaker[Session], chat: FakeChat, call_id: UUID) -> Outcome:
    context = StageContext(
        sessions=sessions,
        works={Stage.SUMMARIZE: Summarize(chat, SETTINGS)},
        store=NoStore(),
        send=lambda _hints: None,
        worker="w1",
    )
    return run_stage(context, Stage.SUMMARIZE, call_id)


def summary_of(sessions: sessionmaker[Session], call_id: UUID) -> Summary:
    with sessions() as session:
        return session.get_one(Summary, call_id)


def test_the_summary_is_stored_with_what_it_takes_to_trust_it(
    sessions: sessionmaker[Session], chat: FakeChat
) -> None:
    call_id = call_of(sessions)
    assert run(sessions, chat, call_id) is Outcome.DONE
    found = summary_of(sessions, call_id)
    assert found.text == "고객이 카드 분실을 문의하여 카드 정지, 재발급 신청함."
    assert (found.provider, found.model, found.revision) == ("backup", "other", "def")
    assert found.prompt_version == PROMPT_VERSION
    assert (found.prompt_tokens, found.output_tokens, found.cost_usd) == (100, 20, 0.5)
    assert found.checks == {"source": "model", "passed": True, "failed": []}
    with sessions() as session:
        stage = session.get_one(StageRun, (call_id, Stage.SUMMARIZE))
        assert (stage.model, stage.revision) == ("other", "def")
        assert stage.model_settings == {"max_tokens": 50}


def test_what_fails_the_checks_is_stored_as_quotes_and_says_so(
    sessions: sessionmaker[Session], chat: FakeChat
) -> None:
    chat.answer = "문의: 보험 해지\n처리: 위약금 면제"
    call_id = call_of(sessions)
    assert run(sessions, chat, call_id) is Outcome.DONE
    found = summary_of(sessions, call_id)
    assert "위약금" not in found.text
    assert "카드를 정지하고 싶어요" in found.text
    assert (found.checks["source"], found.checks["passed"]) == ("quotes", False)
    assert found.prompt_tokens == 200


def test_a_rerun_takes_the_place_of_the_first_summary(
    sessions: sessionmaker[Session], chat: FakeChat
) -> None:
    call_id = call_of(sessions)
    run(sessions, chat, call_id)
    first = summary_of(sessions, call_id).created_at
    chat.answer = "문의: 카드 정지\n처리: 재발급 신청 접수"
    with unit_of_work(sessions) as session:
        session.get_one(StageRun, (call_id, Stage.SUMMARIZE)).status = StageStatus.QUEUED
    assert run(sessions, chat, call_id) is Outcome.DONE
    again = summary_of(sessions, call_id)
    assert again.text == "고객이 카드 정지를 문의하여 재발급 신청 접수함."
    assert again.created_at > first


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"detected_language": None}, "통화에 말소리가 없음."),
        ({"detected_language": None, "language": "en"}, "There is no speech in this call."),
    ],
)
def test_a_call_without_speech_says_so_and_asks_nobody(
    sessions: sessionmaker[Session], chat: FakeChat, columns: dict[str, Any], text: str
) -> None:
    call_id = call_of(sessions, (), **columns)
    assert run(sessions, chat, call_id) is Outcome.DONE
    found = summary_of(sessions, call_id)
    assert (found.text, found.provider, found.model) == (text, None, "fake")
    assert chat.asked == []


def test_a_server_that_is_away_leaves_the_stage_for_another_try(
    sessions: sessionmaker[Session], chat: FakeChat
) -> None:
    chat.away = True
    call_id = call_of(sessions)
    assert run(sessions, chat, call_id) is Outcome.RETRY
    with sessions() as session:
        stage = session.get_one(StageRun, (call_id, Stage.SUMMARIZE))
        assert stage.problem == {"code": "model_unavailable", "detail": "The chat server is away."}
        assert session.get(Summary, call_id) is None
