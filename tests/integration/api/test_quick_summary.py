import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import joinedload

from api.context import ApiContext
from callytics.db.clients import Clients
from callytics.db.engine import unit_of_work
from callytics.db.jobs import Jobs
from callytics.db.models import Job, QuickSummary, SpokenTurn
from callytics.db.providers import ProviderChoices
from callytics.domain.job import Priority
from callytics.domain.jobs import JobKind
from callytics.domain.stages import Queue, StageStatus
from callytics.errors import ModelUnavailableError
from callytics.services import quick_summary
from callytics.services.quick_summary import AheadReader, QuickSummaryWork
from tests.support.api import ApiClient, problem, serving
from tests.support.chat import CONVERSATION, SUMMARY, ScriptedChat
from tests.support.pipeline import Pipeline, Workers
from tests.support.waiting import wait_until
from tests.support.workers import beat

PATH = "/api/v1/consultation/quick-summary"

BUDGET_S = 20.0
"""Long, so that what is told at once is told from what was waited for on a busy machine too."""


@pytest.fixture
def chat() -> ScriptedChat:
    return ScriptedChat()


@pytest.fixture
def told() -> list[UUID]:
    """The conversations that the engine was to read ahead."""
    return []


@pytest.fixture
def workers(pipeline: Pipeline, context: ApiContext, chat: ScriptedChat) -> Iterator[Workers]:
    """A worker of the small model."""
    settings = context.settings
    beat(
        context.sessions,
        Queue.SLM,
        model={"model": "scripted", "revision": "1"},
    )
    pipeline.jobs[JobKind.QUICK_SUMMARY] = QuickSummaryWork(
        chat, settings.models.summarize, settings.quick_summary
    )
    workers = Workers(pipeline)
    workers.start()
    yield workers
    workers.stop()


@pytest.fixture
def context(context: ApiContext, told: list[UUID]) -> ApiContext:
    models = context.settings.models
    summarize = models.summarize.model_copy(update={"model": "scripted"})
    quick = context.settings.quick_summary.model_copy(update={"budget_s": BUDGET_S})
    settings = context.settings.model_copy(
        update={
            "models": models.model_copy(update={"summarize": summarize}),
            "quick_summary": quick,
        }
    )
    return replace(context, settings=settings, read_ahead=told.append)


@pytest.fixture
def client(
    context: ApiContext, workers: Workers, new_client: Callable[..., ApiClient]
) -> Iterator[ApiClient]:
    """Of a server that waits on a real socket."""
    made = new_client("centerlink")
    with serving(replace(context, send=workers.send)) as http:
        yield ApiClient(http, made.name, made.secret)


def ask(client: ApiClient, text: str | None = CONVERSATION, **more: Any) -> httpx2.Response:
    body = {"consultation_id": "CL-1", "conversation_text": text, **more}
    return client.post(PATH, json={key: value for key, value in body.items() if value is not None})


def choose(context: ApiContext, provider: str) -> None:
    """Have it answer from now on."""
    with unit_of_work(context.sessions) as session:
        ProviderChoices(session).put("slm", [provider])


class TestAnswering:
    def test_the_row_says_what_the_answer_took(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        ask(client)
        [row] = rows(context)
        assert (row.prompt_tokens, row.output_tokens, row.cost_usd) == (10, 5, 0.25)

    def test_the_answer_has_the_fields_that_the_customer_fixed(self, client: ApiClient) -> None:
        response = ask(client, priority="high")

        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer["consultation_id"] == "CL-1"
        assert "환불" in answer["summary"]
        assert 0 < answer["processing_time"] < BUDGET_S
        assert (answer["model_used"], answer["status"]) == ("scripted", "success")
        assert answer["provider"] == "vllm"
        assert (answer["cached"], answer["source"]) == (False, "model")

    def test_the_key_may_stand_in_the_body(self, client: ApiClient) -> None:
        body = {
            "consultation_id": "CL-1",
            "conversation_text": CONVERSATION,
            "bound_key": client.key(),
        }
        assert client.http.post(PATH, json=body).status_code == 200

    @pytest.mark.parametrize("key", [None, "rubbish", "", 7])
    def test_a_wrong_key_in_the_body_is_refused(self, client: ApiClient, key: object) -> None:
        body = {"consultation_id": "CL-1", "conversation_text": CONVERSATION, "bound_key": key}
        document = problem(client.http.post(PATH, json=body), 401, "invalid_bound_key")
        assert document["error"] == "Invalid bound key"

    def test_a_stale_key_in_the_body_is_refused(self, client: ApiClient) -> None:
        key = client.key(now_s=time.time() - 301)
        body = {"consultation_id": "CL-1", "conversation_text": CONVERSATION, "bound_key": key}
        problem(client.http.post(PATH, json=body), 401, "invalid_bound_key")

    def test_who_has_no_key_learns_nothing_of_the_body(self, client: ApiClient) -> None:
        problem(client.http.post(PATH, json={"nonsense": 1}), 401, "invalid_bound_key")

    @pytest.mark.parametrize("text", ["", "  \n ", "\0"])
    def test_a_text_that_says_nothing_is_refused(self, client: ApiClient, text: str) -> None:
        problem(ask(client, text), 422, "invalid_request")

    def test_a_text_of_a_megabyte_is_told_its_limit(self, client: ApiClient) -> None:
        document = problem(ask(client, "가" * 350_000), 422, "conversation_too_long")
        assert document["max_chars"] == 200_000

    def test_a_huge_body_is_refused(self, client: ApiClient) -> None:
        problem(ask(client, "a" * (5 * 2**20)), 413, "request_too_large")

    def test_greetings_alone_need_no_model(self, client: ApiClient, chat: ScriptedChat) -> None:
        answer = ask(client, "상담사: 안녕하세요.\n고객: 네, 안녕하세요.").json()
        assert (answer["status"], answer["source"], chat.asked) == ("success", "nothing", [])


class TestCache:
    def test_the_same_conversation_is_answered_again_without_the_model(
        self, client: ApiClient, chat: ScriptedChat
    ) -> None:
        first = ask(client).json()
        second = ask(client, priority="high", consultation_id="CL-other").json()

        assert len(chat.asked) == 1
        assert second["consultation_id"] == "CL-other"
        assert (first["cached"], second["cached"]) == (False, True)
        assert first["summary"] == second["summary"]

    def test_after_ten_minutes_it_is_made_anew(
        self, client: ApiClient, chat: ScriptedChat, context: ApiContext
    ) -> None:
        ask(client)
        with unit_of_work(context.sessions) as session:
            earlier = QuickSummary.received_at - timedelta(minutes=10)
            session.execute(update(QuickSummary).values(received_at=earlier))
        assert ask(client).json()["cached"] is False
        assert len(chat.asked) == 2

    def test_another_revision_of_the_model_answers_anew(
        self, client: ApiClient, chat: ScriptedChat, context: ApiContext
    ) -> None:
        ask(client)
        beat(context.sessions, Queue.SLM, model={"model": "scripted", "revision": "2"})
        assert ask(client).json()["cached"] is False
        assert len(chat.asked) == 2

    def test_another_provider_answers_anew(
        self, client: ApiClient, chat: ScriptedChat, context: ApiContext
    ) -> None:
        assert ask(client).json()["provider"] == "vllm"
        choose(context, "openai")
        assert ask(client).json()["cached"] is False
        chat.provider = "openai"
        assert ask(client).json()["cached"] is False
        assert ask(client).json()["cached"] is True
        choose(context, "vllm")
        assert ask(client).json()["provider"] == "vllm"
        assert len(chat.asked) == 3

    def test_another_client_s_answer_is_never_given(
        self, client: ApiClient, chat: ScriptedChat, new_client: Callable[..., ApiClient]
    ) -> None:
        other = new_client("other")
        ask(client)
        assert ask(ApiClient(client.http, other.name, other.secret)).json()["cached"] is False
        assert len(chat.asked) == 2

    def test_two_who_ask_the_same_at_once_share_one_answer(
        self, client: ApiClient, chat: ScriptedChat, context: ApiContext
    ) -> None:
        asked = Event()

        def answer(*_: object) -> str:
            asked.wait(2)
            return SUMMARY

        chat.answer = answer
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(ask, client)
            wait_until(lambda: chat.asked)
            second = pool.submit(ask, client)
            wait_until(lambda: context.watch.watchers == 2)
            asked.set()
            answers = [first.result().json(), second.result().json()]
        assert len(chat.asked) == 1
        assert answers[0]["summary_id"] == answers[1]["summary_id"]
        assert all(answer["status"] == "success" for answer in answers)


class TestBudget:
    @pytest.fixture
    def impatient(
        self, context: ApiContext, workers: Workers, new_client: Callable[..., ApiClient]
    ) -> Iterator[ApiClient]:
        """Of a server whose budget is two seconds."""
        quick = context.settings.quick_summary.model_copy(update={"budget_s": 2.0, "least_s": 0.0})
        settings = context.settings.model_copy(update={"quick_summary": quick})
        made = new_client("impatient")
        with serving(replace(context, send=workers.send, settings=settings)) as http:
            yield ApiClient(http, made.name, made.secret)

    def test_an_answer_past_the_budget_is_fetched(
        self, impatient: ApiClient, chat: ScriptedChat
    ) -> None:
        client = impatient
        released = Event()

        def slow(*_: object) -> str:
            released.wait(60)
            return SUMMARY

        chat.answer = slow
        response = ask(client)
        assert response.status_code == 202, response.text
        answer = response.json()
        assert (answer["status"], answer["summary"]) == ("processing", None)
        assert answer["processing_time"] > 1.9
        where = response.headers["location"]
        assert where == answer["summary_url"]
        assert client.get(where).json()["status"] == "processing"

        released.set()
        fetched = finished(client, where)
        assert "환불" in fetched["summary"]
        assert fetched["processing_time"] > 1.9

    def test_what_cannot_make_it_any_more_is_not_begun_and_told_at_once(
        self, client: ApiClient, pipeline: Pipeline, chat: ScriptedChat, context: ApiContext
    ) -> None:
        quick = context.settings.quick_summary.model_copy(update={"least_s": 60.0})
        pipeline.jobs[JobKind.QUICK_SUMMARY] = QuickSummaryWork(
            chat, context.settings.models.summarize, quick
        )
        response = ask(client)
        assert response.status_code == 202
        assert response.json()["processing_time"] < BUDGET_S / 2

        where = response.headers["location"]
        finished(client, where)
        row = rows(context)[0]
        assert (row.late, row.job.priority, row.job.attempt) == (True, Priority.LOW, 2)

    def test_behind_a_long_queue_a_request_is_told_at_once(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        waiting(context, client, 12, Priority.NORMAL)
        response = ask(client)
        assert response.status_code == 202
        assert response.json()["processing_time"] < BUDGET_S / 2

    def test_late_ones_wait_while_others_can_be_answered_in_time(
        self, client: ApiClient, context: ApiContext, pipeline: Pipeline
    ) -> None:
        waiting(context, client, 12, Priority.NORMAL)
        late = ask(client)
        assert late.status_code == 202
        with unit_of_work(context.sessions) as session:
            # Those before it were answered just now, and were in time.
            others = select(QuickSummary.id).where(QuickSummary.late.is_(False))
            done = {"status": StageStatus.DONE}
            session.execute(update(Job).where(Job.id.in_(others)).values(done))
            session.execute(update(Job).values(next_attempt_at=None))
        [row] = [row for row in rows(context) if row.late]
        pipeline.run_job(JobKind.QUICK_SUMMARY, row.id)
        [row] = [row for row in rows(context) if row.late]
        assert (row.job.status, row.text) == (StageStatus.QUEUED, None)

        with unit_of_work(context.sessions) as session:
            earlier = QuickSummary.received_at - timedelta(seconds=BUDGET_S)
            session.execute(
                update(QuickSummary).where(QuickSummary.late.is_(False)).values(received_at=earlier)
            )
            session.execute(update(Job).values(next_attempt_at=None))
        pipeline.run_job(JobKind.QUICK_SUMMARY, row.id)
        finished(client, late.headers["location"])

    def test_high_priority_does_not_stand_behind_the_others(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        waiting(context, client, 8, Priority.NORMAL)
        assert ask(client, priority="high").status_code == 200

    def test_where_too_many_wait_a_request_is_told_when_to_come_back(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        waiting(context, client, 50, Priority.NORMAL)
        response = ask(client)
        problem(response, 429, "too_many_waiting")
        assert int(response.headers["retry-after"]) > 0
        assert len(rows(context)) == 50

    def test_who_can_be_answered_in_time_is_not_turned_away_for_those_who_cannot(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        waiting(context, client, 60, Priority.LOW)
        assert ask(client, priority="high").status_code == 200

    def test_a_failure_within_the_budget_is_a_problem(
        self, client: ApiClient, chat: ScriptedChat, pipeline: Pipeline, context: ApiContext
    ) -> None:
        def fail(*_: object) -> str:
            with unit_of_work(context.sessions) as session:
                session.execute(update(Job).values(attempt_limit=Job.attempt))
            raise ModelUnavailableError

        chat.answer = fail
        document = problem(ask(client), 503, "model_unavailable")
        [row] = rows(context)
        assert document["summary_id"] == str(row.id)
        shown = client.get(f"{PATH}/{row.id}").json()
        assert (shown["status"], shown["error"]["code"]) == ("failed", "model_unavailable")

    def test_what_was_said_is_forgotten_after_a_day(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        ask(client)
        with unit_of_work(context.sessions) as session:
            old = QuickSummary.received_at - timedelta(hours=25)
            session.execute(update(QuickSummary).values(received_at=old))
        with unit_of_work(context.sessions) as session:
            quick_summary.tidy(session, timedelta(hours=24))
        assert rows(context) == []
        with unit_of_work(context.sessions) as session:
            assert session.scalar(select(func.count()).select_from(Job)) == 0


class TestTurnsAhead:
    def turns(self, client: ApiClient, *said: tuple[str, str], **more: Any) -> httpx2.Response:
        body = {"turns": [{"role": role, "text": text} for role, text in said], **more}
        return client.post("/api/v1/consultation/CL-9/turns", json=body)

    def test_a_summary_without_a_text_is_of_the_turns(
        self, client: ApiClient, chat: ScriptedChat, told: list[UUID]
    ) -> None:
        for role, text in SAID:
            assert self.turns(client, (role, text)).status_code == 200
        answer = ask(client, None, consultation_id="CL-9").json()

        assert len(told) == len(SAID)
        assert len(set(told)) == 1
        assert answer["status"] == "success"
        assert "환불이 아직" in chat.asked[-1][-1]["content"]

    def test_the_engine_reads_what_is_there(
        self, client: ApiClient, context: ApiContext, chat: ScriptedChat, told: list[UUID]
    ) -> None:
        self.turns(client, *SAID)
        AheadReader(context.sessions, chat, context.settings.models.summarize)(told[0])
        assert len(chat.asked) >= 1
        AheadReader(context.sessions, chat, context.settings.models.summarize)(uuid4())

    def test_who_forgets_what_was_read_is_not_made_to_read_it(
        self, client: ApiClient, context: ApiContext, chat: ScriptedChat, told: list[UUID]
    ) -> None:
        self.turns(client, *SAID)
        model = context.settings.models.summarize
        AheadReader(context.sessions, chat, model, worth_it=lambda: False)(told[0])
        assert chat.asked == []

    def test_turns_sent_twice_with_their_place_are_taken_once(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        for _ in range(2):
            assert self.turns(client, *SAID, start=0).json()["turns"] == 2
        answer = self.turns(client, SAID[1], ("customer", "네, 감사합니다."), start=1).json()
        assert answer["turns"] == 3
        with unit_of_work(context.sessions) as session:
            texts = session.scalars(select(SpokenTurn.text).order_by(SpokenTurn.index)).all()
        assert texts == [SAID[0][1], SAID[1][1], "네, 감사합니다."]

    def test_turns_that_differ_or_leave_a_gap_are_refused(self, client: ApiClient) -> None:
        self.turns(client, *SAID)
        problem(self.turns(client, ("customer", "다른 말"), start=0), 409, "turn_conflict")
        problem(self.turns(client, ("customer", "다른 말"), start=5), 409, "turn_conflict")

    def test_many_at_once_lose_no_turn(self, client: ApiClient, context: ApiContext) -> None:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda n: self.turns(client, ("customer", f"말 {n}")), range(12)))
        with unit_of_work(context.sessions) as session:
            indices = session.scalars(select(SpokenTurn.index).order_by(SpokenTurn.index)).all()
        assert indices == list(range(12))

    def test_a_summary_of_turns_that_never_came_is_not_found(self, client: ApiClient) -> None:
        problem(ask(client, None, consultation_id="CL-9"), 404, "conversation_not_found")

    def test_turns_of_another_client_are_not_there(
        self, client: ApiClient, new_client: Callable[..., ApiClient]
    ) -> None:
        self.turns(client, *SAID)
        other = new_client("other")
        theirs = ApiClient(client.http, other.name, other.secret)
        problem(ask(theirs, None, consultation_id="CL-9"), 404, "conversation_not_found")

    def test_a_conversation_has_a_limit(self, client: ApiClient, context: ApiContext) -> None:
        for _ in range(10):
            self.turns(client, ("customer", "가" * 20_000))
        problem(self.turns(client, ("customer", "가")), 422, "conversation_too_long")


SAID = (
    ("customer", "환불이 아직 안 들어와서 확인 부탁드려요."),
    ("agent", "환불 지연을 확인했고 내일 입금됩니다. 안내 문자를 보내 드리겠습니다."),
)


def rows(context: ApiContext) -> Sequence[QuickSummary]:
    with unit_of_work(context.sessions) as session:
        query = select(QuickSummary).options(joinedload(QuickSummary.job))
        return session.scalars(query).all()


def waiting(context: ApiContext, client: ApiClient, number: int, priority: Priority) -> None:
    """So many other requests wait already, and each takes nine seconds."""
    with unit_of_work(context.sessions) as session:
        client_id = Clients(session).get(client.name).id
        for n in range(number):
            job = Jobs(session).add(JobKind.QUICK_SUMMARY, priority=priority)
            now = func.clock_timestamp()
            session.add(
                QuickSummary(
                    id=job.id,
                    client_id=client_id,
                    consultation_id=f"other-{n}",
                    conversation="",
                    ahead=False,
                    content_hash=str(n),
                    received_at=now,
                    deadline_at=now,
                    seconds=9.0,
                )
            )


def finished(client: ApiClient, where: str) -> dict[str, Any]:
    """The summary at `where`, once it is made."""

    def look() -> dict[str, Any] | None:
        answer: dict[str, Any] = client.get(where).json()
        return answer if answer["status"] == "success" else None

    found: dict[str, Any] = wait_until(look)
    return found
