"""Quick summaries and analyses among variants of the chat models."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.models import AnalysisResult, Job, ModelRoute
from callytics.db.providers import ProviderChoices
from callytics.db.routes import book_of
from callytics.domain.excerpt import Line
from callytics.domain.job import Priority
from callytics.domain.jobs import JobKind
from callytics.domain.routes import assign
from callytics.domain.stages import Queue, StageStatus
from callytics.domain.transcript import Role
from callytics.ports import ModelInfo
from callytics.services import quick_summary
from callytics.services.batch_items import AnalysisWork
from callytics.services.job import run_job
from callytics.services.quick_summary import Question, QuickSummaryWork
from callytics.services.stage import Outcome
from callytics.settings import Settings
from tests.support.batches import BatchDesk, insert_client
from tests.support.chat import ScriptedChat
from tests.support.workers import beat

HALVES = {"v1": 1, "v2": 1}
TEXT = "고객: 환불이 안 돼요.\n상담사: 확인해 보겠습니다."


def set_route(sessions: sessionmaker[Session], queue: Queue, weights: dict[str, int]) -> None:
    with unit_of_work(sessions) as session:
        session.add(ModelRoute(queue=queue, weights=weights))
        session.flush()
        book_of(session).look(session)


def test_consultations_of_a_batch_are_shared_and_each_variant_uses_its_own_model(
    sessions: sessionmaker[Session], settings: Settings
) -> None:
    set_route(sessions, Queue.MLM, HALVES)
    desk = BatchDesk(sessions, settings, insert_client(sessions))

    desk.submit(20)

    wanted = {hint.job_id: assign(Queue.MLM, hint.job_id, HALVES) for hint in desk.sent}
    assert Counter(wanted.values()).keys() == {"v1", "v2"}
    assert {hint.job_id: hint.variant for hint in desk.sent} == wanted
    own = settings.models.analyse.model_copy(update={"model": "the-second"})
    second = replace(
        desk.context("w2"),
        variants={Queue.MLM: "v2"},
        jobs={
            JobKind.ANALYSIS: AnalysisWork(desk.chat.named, {settings.models.analyse.model: own})
        },
    )
    for hint in desk.sent:
        mine = hint.variant == "v2"
        assert run_job(second, hint.kind, hint.job_id) is (
            Outcome.DONE if mine else Outcome.NOT_CLAIMED
        )
    with sessions() as session:
        rows = session.scalars(select(AnalysisResult)).all()
        done = session.scalars(select(Job).where(Job.status == StageStatus.DONE)).all()
    assert {row.model for row in rows} == {"the-second"}
    assert {job.id for job in done} == {id_ for id_, variant in wanted.items() if variant == "v2"}


class Desk:
    def __init__(self, sessions: sessionmaker[Session], settings: Settings) -> None:
        self.sessions = sessions
        self.client_id = insert_client(sessions)
        summarize = settings.models.summarize.model_copy(
            update={"model": "scripted", "variants": {"v2": {}}}
        )
        models = settings.models.model_copy(update={"summarize": summarize})
        self.settings = settings.model_copy(update={"models": models})
        beat(sessions, Queue.SLM, model={"model": "scripted", "revision": "1"})

    def ask(self, text: str | None = TEXT) -> quick_summary.Asked:
        question = Question(
            client_id=self.client_id,
            consultation_id="CL-1",
            conversation=text,
            priority=Priority.HIGH,
        )
        return quick_summary.ask(self.sessions, question, self.settings)

    def answer(self, asked: quick_summary.Asked, chat: ScriptedChat | None = None) -> Outcome:
        (hint,) = asked.hints
        work = QuickSummaryWork(
            chat or ScriptedChat(), self.settings.models.summarize, self.settings.quick_summary
        )
        context = BatchDesk(self.sessions, self.settings, self.client_id).context()
        context = replace(
            context, variants={Queue.SLM: hint.variant}, jobs={JobKind.QUICK_SUMMARY: work}
        )
        return run_job(context, hint.kind, hint.job_id)

    def named(self, **second: Any) -> None:
        """The settings name v2, with this that is different."""
        summarize = self.settings.models.summarize.model_copy(update={"variants": {"v2": second}})
        models = self.settings.models.model_copy(update={"summarize": summarize})
        self.settings = self.settings.model_copy(update={"models": models})


@pytest.fixture
def desk(sessions: sessionmaker[Session], settings: Settings) -> Desk:
    return Desk(sessions, settings)


OTHER = {"model": "the-second", "revision": "7"}


def second(provider: str = "vllm") -> ScriptedChat:
    return ScriptedChat(
        info=ModelInfo(name="the-second", revision="7", device="s"), provider=provider
    )


@pytest.mark.parametrize("known", [True, False])
def test_a_switch_never_serves_what_the_other_variant_said(desk: Desk, *, known: bool) -> None:
    """Whether the settings of who asks name the second variant's model, or its workers alone know it."""
    desk.named(**({"model": "the-second"} if known else {}))
    beat(desk.sessions, Queue.SLM, lane="slm.v2", model=OTHER)
    first = desk.ask()
    assert [str(hint.lane) for hint in first.hints] == ["slm"]
    assert desk.answer(first) is Outcome.DONE
    assert desk.ask().summary_id == first.summary_id  # from the cache

    set_route(desk.sessions, Queue.SLM, {"v2": 1})
    asked = desk.ask()

    assert [str(hint.lane) for hint in asked.hints] == ["slm.v2"]
    assert desk.answer(asked, second()) is Outcome.DONE
    assert desk.ask().summary_id == asked.summary_id
    set_route(desk.sessions, Queue.SLM, {"v1": 1})
    assert desk.ask().summary_id == first.summary_id


def test_a_revision_that_another_variant_alone_has_serves_nothing(desk: Desk) -> None:
    desk.named(model="the-second")
    set_route(desk.sessions, Queue.SLM, {"v2": 1})
    beat(desk.sessions, Queue.SLM, model=OTHER)
    asked = desk.ask()
    desk.answer(asked, second())

    assert desk.ask().summary_id != asked.summary_id


def test_what_moved_to_another_variant_is_no_answer_of_the_first(desk: Desk) -> None:
    asked = desk.ask()
    with unit_of_work(desk.sessions) as session:
        session.execute(update(Job).values(variant="v2"))

    assert desk.ask().summary_id != asked.summary_id


def test_a_variant_with_providers_of_its_own_heeds_no_choice(desk: Desk) -> None:
    desk.named(model="the-second", providers=["openai"])
    set_route(desk.sessions, Queue.SLM, {"v2": 1})
    with unit_of_work(desk.sessions) as session:
        ProviderChoices(session).put("slm", ["vllm"])
    asked = desk.ask()
    desk.answer(asked, second("openai"))

    assert desk.ask().summary_id == asked.summary_id


def test_who_reads_a_conversation_ahead_writes_its_summary(desk: Desk) -> None:
    set_route(desk.sessions, Queue.SLM, HALVES)
    seen: set[tuple[str, str]] = set()
    for number in range(12):
        desk.client_id = insert_client(desk.sessions)
        conversation, _ = quick_summary.add_turns(
            desk.sessions,
            desk.client_id,
            "CL-1",
            [Line(role=Role.CUSTOMER, text=f"환불이 {number}")],
            start=None,
            max_chars=1000,
        )
        (hint,) = desk.ask(None).hints
        seen.add((hint.variant, assign(Queue.SLM, conversation.id, HALVES)))

    assert seen == {("v1", "v1"), ("v2", "v2")}


def test_a_text_that_is_asked_again_goes_where_its_answer_is(desk: Desk) -> None:
    set_route(desk.sessions, Queue.SLM, HALVES)
    beat(desk.sessions, Queue.SLM, lane="slm.v2", model={"model": "scripted", "revision": "1"})
    seen = set()

    for number in range(12):
        asked = desk.ask(f"고객: 환불이 {number}")
        seen.add(asked.hints[0].variant)
        desk.answer(asked)
        assert desk.ask(f"고객: 환불이 {number}").summary_id == asked.summary_id

    assert seen == {"v1", "v2"}
