"""Shadows of quick summaries and analyses: they see what was seen, and touch nothing but their own row."""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.jobs import Jobs
from callytics.db.models import (
    AnalysisItem,
    AnalysisResult,
    Call,
    CallTurn,
    Delivery,
    Job,
    ModelRoute,
    QuickSummary,
    ShadowRun,
)
from callytics.db.routes import book_of
from callytics.domain.batching import BatchStatus
from callytics.domain.excerpt import Line
from callytics.domain.job import Priority
from callytics.domain.jobs import JOB_SHADOWS, SHADOW_KINDS, JobKind
from callytics.domain.routes import ALONE
from callytics.domain.stages import Queue, StageStatus
from callytics.domain.transcript import Role
from callytics.errors import ModelUnavailableError
from callytics.ports import ChatAnswer, ModelInfo
from callytics.services import batches, calls, quick_summary, routes, shadow
from callytics.services.batch_items import AnalysisRepeat, AnalysisWork
from callytics.services.batches import Consultation, Rerun
from callytics.services.comparison import Comparison, compare
from callytics.services.job import run_job
from callytics.services.job_work import JobHint
from callytics.services.quick_summary import QuickSummaryRepeat, QuickSummaryWork
from callytics.services.shadow import Repeat, ShadowWork
from callytics.services.stage import AnyHint, Outcome, StageContext
from callytics.services.upkeep import sweep
from callytics.settings import Settings
from tests.support.batches import CALLBACK, FAST, BatchDesk, insert_client
from tests.support.calls import NoStore, insert_call
from tests.support.chat import ANALYSIS, CONVERSATION, SUMMARY, ScriptedChat
from tests.support.waiting import wait_until

BOTH = (JobKind.QUICK_SUMMARY, JobKind.ANALYSIS)
GREETING = "상담사: 안녕하세요.\n고객: 네, 안녕하세요."


@dataclass
class TimedChat(ScriptedChat):
    """Notes how long it may take."""

    limits_s: list[float] = field(default_factory=list)

    def complete(self, *arguments: Any, **more: Any) -> ChatAnswer:
        self.limits_s.append(more["timeout_s"])
        return super().complete(*arguments, **more)


class Bench:
    """Workers of both chat models, each in two variants, whose broker is a list of what they are told."""

    def __init__(self, sessions: sessionmaker[Session], settings: Settings) -> None:
        self.sessions = sessions
        self.settings = settings
        self.client_id = insert_client(sessions)
        self.chat = ScriptedChat()
        self.other = TimedChat(info=ModelInfo(name="other", revision="7", device="cpu"))
        self.sent: list[JobHint] = []
        self.set_routes("v2")

    def set_routes(self, shadow: str | None) -> None:
        with unit_of_work(self.sessions) as session:
            for queue in (Queue.SLM, Queue.MLM):
                session.add(ModelRoute(queue=queue, weights={"v1": 1}, shadow=shadow))
            session.flush()
            book_of(session).look(session)

    def send(self, hints: Iterable[AnyHint]) -> None:
        self.sent += [hint for hint in hints if isinstance(hint, JobHint)]

    def context(self, variant: str) -> StageContext:
        models, quick = self.settings.models, self.settings.quick_summary
        second = models.analyse.model_copy(update={"model": "other"})
        repeats: Mapping[JobKind, Repeat] = {
            JobKind.SHADOW_QUICK_SUMMARY: QuickSummaryRepeat(self.other, models.summarize, quick),
            JobKind.SHADOW_ANALYSIS: AnalysisRepeat(self.other, second, first=models.analyse.model),
        }
        return StageContext(
            sessions=self.sessions,
            works={},
            store=NoStore(),
            send=self.send,
            worker=f"worker-{variant}",
            settings=FAST,
            variants={Queue.SLM: variant, Queue.MLM: variant},
            jobs={
                JobKind.QUICK_SUMMARY: QuickSummaryWork(self.chat, models.summarize, quick),
                JobKind.ANALYSIS: AnalysisWork(self.chat.named),
                **{kind: ShadowWork(kind, repeat) for kind, repeat in repeats.items()},
            },
        )

    def ask(self, text: str | None = CONVERSATION, consultation_id: str = "CL-1") -> None:
        question = quick_summary.Question(
            client_id=self.client_id,
            consultation_id=consultation_id,
            conversation=text,
            priority=Priority.HIGH,
        )
        self.send(quick_summary.ask(self.sessions, question, self.settings).hints)

    def submit(self, consultation: Consultation | None = None) -> str:
        """A batch of one; its name."""
        one = consultation or Consultation(consultation_id="CL-1", conversation=CONVERSATION)
        desk = BatchDesk(self.sessions, self.settings, self.client_id)
        (name,) = desk.submit([one], url=CALLBACK).batches
        desk.age(timedelta(minutes=15))
        desk.tick()
        self.send(desk.sent)
        return name

    def begin(self, kind: JobKind) -> None:
        self.ask() if kind is JobKind.QUICK_SUMMARY else self.submit()

    def run(self, kind: JobKind, variant: str = "v1") -> Outcome:
        """The latest job of the kind that the broker was told of."""
        told = [hint for hint in self.sent if hint.kind is kind][-1]
        return run_job(self.context(variant), kind, told.job_id)

    def recorded(self, kind: JobKind) -> JobHint:
        """A job that was just done; what the broker was told of its shadow."""
        self.begin(kind)
        assert self.run(kind) is Outcome.DONE
        (told,) = [hint for hint in self.sent if hint.kind in SHADOW_KINDS]
        return told

    def row(self) -> tuple[ShadowRun, Any, Job]:
        with self.sessions() as session:
            run = session.scalars(select(ShadowRun)).one()
            return run, run.output, session.get_one(Job, run.id)

    def count(self, table: type[ShadowRun | Job]) -> int:
        with self.sessions() as session:
            return len(session.scalars(select(table)).all())

    def shown(self, kind: JobKind) -> tuple[str | None, str | None]:
        """What was answered, and by which model."""
        with self.sessions() as session:
            if kind is JobKind.QUICK_SUMMARY:
                summary = session.scalars(select(QuickSummary)).one()
                return summary.text, summary.model
            result = session.scalars(select(AnalysisResult)).one()
            return json.dumps(result.analysis), result.model

    def compare(self, queue: Queue) -> Comparison:
        with unit_of_work(self.sessions) as session:
            return compare(session, queue, "v1", "v2", timedelta(days=7))[-1]


@pytest.fixture
def bench(sessions: sessionmaker[Session], settings: Settings) -> Bench:
    return Bench(sessions, settings)


def fail(*_: object) -> str:
    raise ModelUnavailableError


@pytest.mark.parametrize("kind", BOTH)
def test_the_shadow_repeats_what_was_done_and_shows_it_to_nobody(
    bench: Bench, kind: JobKind
) -> None:
    hint = bench.recorded(kind)
    before = bench.shown(kind)
    assert str(hint.lane) == ("slm.v2" if kind is JobKind.QUICK_SUMMARY else "mlm.v2")
    assert (hint.kind, hint.priority) == (JOB_SHADOWS[kind], Priority.LOW)

    assert bench.run(hint.kind, "v1") is Outcome.NOT_CLAIMED
    assert bench.run(hint.kind, "v2") is Outcome.DONE

    run, output, job = bench.row()
    assert (run.model, run.revision, run.main_variant, run.main_attempt) == ("other", "7", "v1", 1)
    assert run.seconds is not None
    assert (job.variant, job.status) == ("v2", StageStatus.DONE)
    assert "환불" in (output["text"] if kind is JobKind.QUICK_SUMMARY else output["keywords"])
    assert bench.other.asked == bench.chat.asked
    assert bench.shown(kind) == before
    assert "other" not in before
    assert bench.run(hint.kind, "v2") is Outcome.NOT_CLAIMED
    assert bench.count(ShadowRun) == 1


@pytest.mark.parametrize("kind", BOTH)
def test_its_failure_touches_nothing_but_its_own_row(bench: Bench, kind: JobKind) -> None:
    hint = bench.recorded(kind)
    before = bench.shown(kind)
    bench.other.answer = fail

    assert bench.run(hint.kind, "v2") is Outcome.RETRY
    with unit_of_work(bench.sessions) as session:
        session.execute(update(Job).values(next_attempt_at=None))
    assert bench.run(hint.kind, "v2") is Outcome.FAILED

    _, output, job = bench.row()
    assert (output, (job.problem or {})["code"]) == (None, "model_unavailable")
    assert bench.shown(kind) == before


def test_a_batch_ends_and_is_told_before_its_shadows_have_begun(bench: Bench) -> None:
    name = bench.submit()

    assert bench.run(JobKind.ANALYSIS) is Outcome.DONE

    batch = BatchDesk(bench.sessions, bench.settings, bench.client_id).batch(name)
    assert batch.status is BatchStatus.COMPLETED
    with bench.sessions() as session:
        assert len(session.scalars(select(Delivery)).all()) == 1
    assert bench.row()[2].status is StageStatus.QUEUED


@pytest.mark.parametrize("kind", BOTH)
def test_one_whose_worker_died_is_run_again(bench: Bench, kind: JobKind) -> None:
    hint = bench.recorded(kind)
    with unit_of_work(bench.sessions) as session:
        lost = {"status": "running", "attempt": 1, "worker": "w", "lease_until": Job.created_at}
        session.execute(update(Job).where(Job.id == hint.job_id).values(lost))

    sweep(bench.sessions, FAST)
    assert bench.row()[2].status is StageStatus.QUEUED
    with unit_of_work(bench.sessions) as session:
        session.execute(update(Job).values(next_attempt_at=None))
    assert bench.run(hint.kind, "v2") is Outcome.DONE
    assert bench.count(ShadowRun) == 1


def test_however_many_wait_the_broker_is_told_of_other_work_first(bench: Bench) -> None:
    bench.recorded(JobKind.QUICK_SUMMARY)
    bench.ask("고객: 배송이 언제 되나요?", "CL-2")
    with unit_of_work(bench.sessions) as session:
        session.execute(update(Job).values(hinted_at=None))

        (told,) = Jobs(session).overdue(0, limit=1)

    assert told.kind is JobKind.QUICK_SUMMARY


@pytest.mark.parametrize("kind", BOTH)
def test_a_switch_that_leaves_the_shadow_out_cancels_what_waits_for_it_alone(
    bench: Bench, kind: JobKind
) -> None:
    hint = bench.recorded(kind)
    bench.ask("고객: 배송이 언제 되나요?", "CL-2")

    with unit_of_work(bench.sessions) as session:
        routes.switch(session, hint.lane.queue, ALONE, bench.settings.models, force=True)

    assert bench.row()[2].status is StageStatus.CANCELLED
    assert bench.run(hint.kind, "v2") is Outcome.NOT_CLAIMED
    assert bench.run(JobKind.QUICK_SUMMARY) is Outcome.DONE


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("shadow", [None, "v1"])
def test_who_did_the_work_is_not_its_own_shadow(
    bench: Bench, kind: JobKind, shadow: str | None
) -> None:
    bench.set_routes(shadow)
    bench.begin(kind)

    assert bench.run(kind) is Outcome.DONE
    assert bench.count(ShadowRun) == 0


@pytest.mark.parametrize("kind", BOTH)
def test_what_failed_is_not_repeated(bench: Bench, kind: JobKind) -> None:
    bench.chat.answer = fail
    bench.begin(kind)

    assert bench.run(kind) is Outcome.RETRY
    assert bench.count(ShadowRun) == 0


def test_where_no_model_was_asked_there_is_nothing_to_repeat(bench: Bench) -> None:
    bench.ask(GREETING)

    assert bench.run(JobKind.QUICK_SUMMARY) is Outcome.DONE
    assert bench.count(ShadowRun) == 0


def test_what_is_forgotten_takes_its_shadows_with_it(bench: Bench) -> None:
    hint = bench.recorded(JobKind.QUICK_SUMMARY)
    bench.run(hint.kind, "v2")

    with unit_of_work(bench.sessions) as session:
        quick_summary.tidy(session, timedelta(0))

    assert (bench.count(ShadowRun), bench.count(Job)) == (0, 0)


def test_an_analysis_that_is_run_again_meanwhile_is_not_repeated(bench: Bench) -> None:
    name = bench.submit()
    bench.run(JobKind.ANALYSIS)
    with unit_of_work(bench.sessions) as session:
        batches.rerun(session, None, name, Rerun(everything=True), bench.settings)

    bench.run(JobKind.SHADOW_ANALYSIS, "v2")

    assert bench.row()[2].status is StageStatus.CANCELLED


def test_a_run_with_a_model_that_no_variant_has_is_not_repeated(bench: Bench) -> None:
    bench.set_routes(None)
    name = bench.submit()
    bench.run(JobKind.ANALYSIS)
    bench.set_routes("v2")
    again = Rerun(everything=True, model="third")
    with unit_of_work(bench.sessions) as session:
        bench.send(batches.rerun(session, None, name, again, bench.settings).hints)
    assert bench.run(JobKind.ANALYSIS) is Outcome.DONE

    bench.run(JobKind.SHADOW_ANALYSIS, "v2")

    assert bench.row()[2].status is StageStatus.CANCELLED
    assert bench.other.asked == []
    assert bench.compare(Queue.MLM).variants[0].runs == 0


class TestOfCalls:
    @pytest.fixture
    def call_id(self, bench: Bench) -> UUID:
        """A call of two turns, whose analysis was just recorded."""
        call_id = insert_call(bench.sessions, [])
        with unit_of_work(bench.sessions) as session:
            bench.client_id = session.get_one(Call, call_id).client_id
            for index, (role, text) in enumerate(SAID):
                session.add(
                    CallTurn(
                        call_id=call_id,
                        index=index,
                        start_s=index,
                        end_s=index + 1,
                        speaker=role.value,
                        role=role,
                        role_confidence=1,
                        text=text,
                        words=[],
                    )
                )
        bench.submit(Consultation(consultation_id="CL-1", call_id=call_id))
        assert bench.run(JobKind.ANALYSIS) is Outcome.DONE
        return call_id

    def delete(self, bench: Bench, call_id: UUID) -> None:
        with unit_of_work(bench.sessions) as session:
            calls.delete(session, bench.client_id, call_id)

    def test_the_shadow_reads_the_turns_as_they_were(self, bench: Bench, call_id: UUID) -> None:
        with unit_of_work(bench.sessions) as session:
            session.execute(update(CallTurn).values(text="다른 말"))

        assert bench.run(JobKind.SHADOW_ANALYSIS, "v2") is Outcome.DONE
        assert bench.other.asked == bench.chat.asked

    def test_a_deleted_call_takes_the_shadow_of_its_analysis_with_it(
        self, bench: Bench, call_id: UUID
    ) -> None:
        self.delete(bench, call_id)

        assert bench.count(ShadowRun) == 0
        assert bench.run(JobKind.SHADOW_ANALYSIS, "v2") is Outcome.NOT_CLAIMED

    def test_a_deleted_call_is_no_failure_of_a_variant(self, bench: Bench, call_id: UUID) -> None:
        self.delete(bench, call_id)

        assert [one.runs for one in bench.compare(Queue.MLM).variants] == [0, 0]

    def test_one_that_is_deleted_while_its_shadow_computes_leaves_nothing(
        self, bench: Bench, call_id: UUID
    ) -> None:
        def answer(*_: object) -> str:
            self.delete(bench, call_id)
            return ANALYSIS

        bench.other.answer = answer

        assert bench.run(JobKind.SHADOW_ANALYSIS, "v2") is Outcome.ABANDONED
        assert bench.count(ShadowRun) == 0

    def test_the_result_of_one_that_is_deleted_before_it_is_recorded_is_not_kept(
        self, bench: Bench, call_id: UUID
    ) -> None:
        bench.submit(Consultation(consultation_id="CL-2", call_id=call_id))

        def answer(*_: object) -> str:
            self.delete(bench, call_id)
            return ANALYSIS

        bench.chat.answer = answer

        assert bench.run(JobKind.ANALYSIS) is Outcome.FAILED
        assert bench.count(ShadowRun) == 0
        with bench.sessions() as session:
            assert session.scalars(select(AnalysisResult.analysis)).all() == [None]

    def test_one_that_is_deleted_while_its_analysis_is_recorded_leaves_nothing(
        self, bench: Bench, call_id: UUID
    ) -> None:
        with ThreadPoolExecutor(1) as pool:
            with unit_of_work(bench.sessions) as session:
                item = session.scalars(select(AnalysisItem)).one()
                job = Jobs(session).lock(item.id)
                assert job is not None
                deletion = pool.submit(self.delete, bench, call_id)
                wait_until(lambda: waits_for_a_lock(bench.sessions))
                shadow.add_of_job(session, job, ["what was said"])
            deletion.result()

        assert bench.count(ShadowRun) == 0


def waits_for_a_lock(sessions: sessionmaker[Session]) -> bool:
    waiting = text("SELECT FROM pg_locks WHERE NOT granted")
    with sessions() as session:
        return session.execute(waiting).first() is not None


SAID = (
    (Role.CUSTOMER, "환불이 아직 안 들어와서 확인 부탁드려요."),
    (Role.AGENT, "환불 지연을 확인했고 내일 입금됩니다. 안내 문자를 보내 드리겠습니다."),
)


class TestTime:
    def test_it_has_the_budget_that_who_asked_had(self, bench: Bench) -> None:
        hint = bench.recorded(JobKind.QUICK_SUMMARY)

        bench.run(hint.kind, "v2")

        assert 0 < bench.other.limits_s[0] <= bench.settings.quick_summary.budget_s

    @pytest.mark.parametrize("what", ["late", "ahead"])
    def test_without_it_where_nobody_waited_or_the_engine_has_read_nothing(
        self, bench: Bench, what: str
    ) -> None:
        if what == "ahead":
            lines = [Line(role=role, text=text) for role, text in SAID]
            quick_summary.add_turns(
                bench.sessions, bench.client_id, "CL-1", lines, start=0, max_chars=1000
            )
            bench.ask(None)
        else:
            bench.ask()
        assert bench.run(JobKind.QUICK_SUMMARY) is Outcome.DONE
        if what == "late":
            with unit_of_work(bench.sessions) as session:
                session.execute(update(QuickSummary).values(late=True))

        assert bench.run(JobKind.SHADOW_QUICK_SUMMARY, "v2") is Outcome.DONE

        assert bench.other.limits_s[0] > bench.settings.quick_summary.budget_s


class TestComparison:
    def repeated(self, bench: Bench, kind: JobKind, count: int) -> Comparison:
        for number in range(count):
            if kind is JobKind.QUICK_SUMMARY:
                bench.ask(f"{CONVERSATION} {number}")
            else:
                bench.submit(
                    Consultation(consultation_id=f"CL-{number}", conversation=CONVERSATION)
                )
            assert bench.run(kind) is Outcome.DONE
            assert bench.run(JOB_SHADOWS[kind], "v2") is Outcome.DONE
        return bench.compare(Queue.SLM if kind is JobKind.QUICK_SUMMARY else Queue.MLM)

    @pytest.mark.parametrize("kind", BOTH)
    def test_equal_answers_agree_in_everything(self, bench: Bench, kind: JobKind) -> None:
        found = self.repeated(bench, kind, 2)

        assert (found.work, found.pairs) == (kind, 2)
        assert [one.runs for one in found.variants] == [2, 2]
        assert [one.failures.value for one in found.variants if one.failures] == [0, 0]
        values = {one.name: one.estimate.value for one in found.agreement}
        assert values == AGREED[kind]

    def test_summaries_agree_by_characters_and_sources(self, bench: Bench) -> None:
        bench.other.answer = lambda *_: SUMMARY.replace("내일", "모레")

        found = self.repeated(bench, JobKind.QUICK_SUMMARY, 1)

        values = {one.name: one.estimate.value for one in found.agreement}
        assert values["character error rate, against the first"] > 0
        assert values["equal sources"] == 0

    def test_analyses_agree_by_verdicts_and_keywords(self, bench: Bench) -> None:
        other = json.loads(ANALYSIS)
        other["keywords"] = ["환불", "입금", "문자"]
        other["titles"]["keyword"] = "환불_입금_안내"
        bench.other.answer = lambda *_: json.dumps(other, ensure_ascii=False)

        found = self.repeated(bench, JobKind.ANALYSIS, 1)

        values = {one.name: one.estimate.value for one in found.agreement}
        assert values["keywords in common"] == pytest.approx(2 / 3)
        assert values["equal keyword titles"] == 0
        assert found.says[2].startswith("Too few analyses")

    def test_the_first_is_the_first_whichever_of_the_two_was_shown(self, bench: Bench) -> None:
        bench.other.answer = lambda *_: SUMMARY.replace("지연 확인", "확인")
        self.repeated(bench, JobKind.QUICK_SUMMARY, 1)
        with unit_of_work(bench.sessions) as session:
            swapped = {"v1": "v2", "v2": "v1"}
            for job in session.scalars(select(Job)):
                job.variant = swapped[job.variant]

        with unit_of_work(bench.sessions) as session:
            one = compare(session, Queue.SLM, "v1", "v2", timedelta(days=7))[0]
            other = compare(session, Queue.SLM, "v2", "v1", timedelta(days=7))[0]

        rates = [found.agreement[0].estimate.value for found in (one, other)]
        assert rates[0] > rates[1] > 0

    def test_seconds_of_what_was_read_ahead_are_left_out(self, bench: Bench) -> None:
        self.repeated(bench, JobKind.QUICK_SUMMARY, 1)
        with unit_of_work(bench.sessions) as session:
            session.execute(update(QuickSummary).values(ahead=True))

        found = bench.compare(Queue.SLM)

        assert [(one.runs, one.median_s) for one in found.variants] == [(1, None), (1, None)]

    def test_greetings_are_no_runs_of_a_model(self, bench: Bench) -> None:
        self.repeated(bench, JobKind.QUICK_SUMMARY, 1)
        bench.ask(GREETING)
        bench.run(JobKind.QUICK_SUMMARY)

        assert bench.compare(Queue.SLM).variants[0].runs == 1

    def test_one_that_was_done_again_is_no_pair(self, bench: Bench) -> None:
        self.repeated(bench, JobKind.ANALYSIS, 1)
        with unit_of_work(bench.sessions) as session:
            session.execute(update(Job).where(Job.kind == "analysis").values(attempt=2))

        assert bench.compare(Queue.MLM).pairs == 0


AGREED = {
    JobKind.QUICK_SUMMARY: {
        "character error rate, against the first": 0.0,
        "equal sources": 1.0,
        "passed the checks, the first": 1.0,
        "passed the checks, the second": 1.0,
    },
    JobKind.ANALYSIS: {
        "equal verdicts of the checks": 1.0,
        "Cohen's kappa": 1.0,
        "keywords in common": 1.0,
        "equal keyword titles": 1.0,
        "quality score, the second less the first": 0.0,
    },
}
