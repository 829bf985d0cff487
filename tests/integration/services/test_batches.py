import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker, undefer

from callytics.db.batches import Batches, BatchFilter
from callytics.db.engine import unit_of_work
from callytics.db.models import AnalysisResult, Delivery, Job
from callytics.domain.batching import BatchStatus
from callytics.domain.jobs import JOBS, JobKind
from callytics.domain.stages import StageStatus
from callytics.errors import (
    BatchFinishedError,
    BatchNotFoundError,
    BatchRunningError,
    ConsultationDoubledError,
    ConsultationWaitingError,
    IdempotencyKeyReusedError,
    ModelUnavailableError,
    NothingToRerunError,
)
from callytics.ports import Message
from callytics.services import batches, upkeep
from callytics.services.batches import Consultation, Rerun
from callytics.services.job_work import JobHint
from callytics.services.stage import Outcome
from callytics.settings import Settings
from tests.support.batches import FAST, BatchDesk, insert_client
from tests.support.chat import ANALYSIS, ScriptedChat

QUARTER = timedelta(minutes=15)
BAD = "고객: 이 상담은 모델이 읽지 못합니다.\n상담사: 네, 확인해 보겠습니다. 내일 연락드리겠습니다."


@pytest.fixture
def desk(sessions: sessionmaker[Session], settings: Settings) -> BatchDesk:
    return BatchDesk(sessions, settings, insert_client(sessions))


def fails_on_bad(messages: Sequence[Message], schema: Mapping[str, Any] | None) -> str:
    if "읽지 못합니다" in messages[-1]["content"]:
        raise ModelUnavailableError
    return ANALYSIS


class TestClosing:
    def test_one_consultation_closes_after_a_quarter_of_an_hour(self, desk: BatchDesk) -> None:
        desk.submit(1)
        desk.age(QUARTER - timedelta(seconds=30))
        desk.tick()
        assert (desk.closed_sizes(), desk.open_sizes()) == ([], [1])

        desk.age(timedelta(seconds=30))
        desk.tick()

        assert (desk.closed_sizes(), desk.open_sizes()) == ([1], [])
        assert len(desk.sent) == 1

    def test_twenty_close_at_once(self, desk: BatchDesk) -> None:
        desk.submit(20)
        assert (desk.closed_sizes(), desk.open_sizes()) == ([20], [])
        assert len(desk.sent) == 20

    def test_nineteen_and_one_close_at_once(self, desk: BatchDesk) -> None:
        first = desk.submit(19)
        assert desk.open_sizes() == [19]
        second = desk.submit(1)

        assert desk.closed_sizes() == [20]
        assert list(first.batches) == list(second.batches)

    def test_forty_five_make_twenty_and_twenty_now_and_five_later(self, desk: BatchDesk) -> None:
        placed = desk.submit(45)
        assert list(placed.batches.values()) == [20, 20, 5]
        assert (desk.closed_sizes(), desk.open_sizes()) == ([20, 20], [5])

        desk.age(QUARTER)
        desk.tick()

        assert (desk.closed_sizes(), desk.open_sizes()) == ([20, 20, 5], [])

    def test_both_bounds_are_settings(
        self, sessions: sessionmaker[Session], settings: Settings
    ) -> None:
        own = settings.batch.model_copy(update={"size": 3, "window_s": 60})
        desk = BatchDesk(
            sessions, settings.model_copy(update={"batch": own}), insert_client(sessions)
        )
        desk.submit(4)
        assert (desk.closed_sizes(), desk.open_sizes()) == ([3], [1])
        desk.age(timedelta(minutes=1))
        desk.tick()
        assert desk.closed_sizes() == [3, 1]

    def test_each_client_and_address_has_batches_of_its_own(self, desk: BatchDesk) -> None:
        other = replace(desk, client_id=insert_client(desk.sessions), sent=[])
        desk.submit(10)
        desk.submit(10, url="https://other.example/hook")
        other.submit(10)

        assert (desk.open_sizes(), other.open_sizes()) == ([10, 10], [10])

    def test_names_count_the_batches_of_a_day(self, desk: BatchDesk) -> None:
        desk.submit(41)
        names = [batch.name for batch in desk.batches()]

        assert all(re.fullmatch(r"BATCH-\d{8}-\d{3}", name) for name in names)
        assert [name[-3:] for name in names] == ["001", "002", "003"]

    def test_any_number_may_close_at_once(self, desk: BatchDesk) -> None:
        clients = [replace(desk, client_id=insert_client(desk.sessions), sent=[]) for _ in range(8)]
        for client in clients:
            client.submit(7)
        desk.age(QUARTER)
        with ThreadPoolExecutor(4) as pool:
            told = list(
                pool.map(lambda _: batches.close_due(desk.sessions, desk.settings), range(4))
            )

        assert [client.closed_sizes() for client in clients] == [[7]] * 8
        assert len({hint.job_id for hints in told for hint in hints}) == 56
        assert sum(map(len, told)) == 56

    def test_many_may_fill_at_once(self, desk: BatchDesk) -> None:
        requests = [desk.consultations(7) for _ in range(12)]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(desk.submit, requests))

        assert (desk.closed_sizes(), desk.open_sizes()) == ([20] * 4, [4])
        names = [item.consultation_id for b in desk.batches() for item in desk.items(b.name)]
        assert len(names) == len(set(names)) == 84


class TestSubmitting:
    def test_a_consultation_named_twice_is_refused_and_nothing_is_taken(
        self, desk: BatchDesk
    ) -> None:
        one, two = desk.consultations(2)
        with pytest.raises(ConsultationDoubledError) as caught:
            desk.submit([one, two, one])
        assert caught.value.extra == {"consultation_ids": [one.consultation_id]}
        assert desk.batches() == []

    def test_a_consultation_that_waits_already_is_not_taken_twice(self, desk: BatchDesk) -> None:
        some = desk.consultations(3)
        first = desk.submit(some)
        again = desk.submit([*some, *desk.consultations(1)])

        assert desk.open_sizes() == [4]
        assert list(first.batches) == list(again.batches)
        assert list(again.batches.values()) == [4]

    def test_the_same_consultation_with_another_text_has_to_wait(self, desk: BatchDesk) -> None:
        [one] = desk.consultations(1)
        [name] = desk.submit([one]).batches
        with pytest.raises(ConsultationWaitingError) as caught:
            desk.submit([*desk.consultations(2), replace(one, conversation="고객: 다른 말")])
        assert caught.value.extra == {"consultation_id": one.consultation_id, "batch_id": name}
        assert desk.open_sizes() == [1]

    def test_the_same_consultation_for_another_address_has_to_wait(self, desk: BatchDesk) -> None:
        some = desk.consultations(1)
        desk.submit(some)
        with pytest.raises(ConsultationWaitingError):
            desk.submit(some, url="https://other.example/hook")

    def test_an_analysed_consultation_may_be_sent_again(self, desk: BatchDesk) -> None:
        some = desk.consultations(20)
        desk.submit(some)
        desk.run()
        desk.submit(some)
        assert desk.closed_sizes() == [20, 20]

    def test_the_same_request_under_a_key_is_taken_once(self, desk: BatchDesk) -> None:
        some = desk.consultations(25)
        first = desk.submit(some, key="k")
        desk.run()
        again = desk.submit(some, key="k")

        assert (dict(again.batches), again.hints) == (dict(first.batches), ())
        assert again.estimated_completion == first.estimated_completion
        assert [batch.size for batch in desk.batches()] == [20, 5]
        with pytest.raises(IdempotencyKeyReusedError):
            desk.submit(desk.consultations(1), key="k")

    def test_two_twins_of_a_request_under_a_key_make_one(self, desk: BatchDesk) -> None:
        some = desk.consultations(5)
        with ThreadPoolExecutor(4) as pool:
            placed = list(pool.map(lambda _: desk.submit(some, key="k"), range(4)))
        assert len({tuple(one.batches.items()) for one in placed}) == 1
        assert desk.open_sizes() == [5]

    def test_the_estimate_rests_on_what_consultations_took(self, desk: BatchDesk) -> None:
        first = desk.submit(20)
        assumed = (first.estimated_completion - desk.batches()[0].created_at).total_seconds()
        workers = desk.settings.worker(JOBS[JobKind.ANALYSIS].queue).concurrency
        expected = desk.settings.batch.first_item_s * 20 / workers
        assert assumed == pytest.approx(expected, rel=0.1)

        desk.run()
        with unit_of_work(desk.sessions) as session:
            model = desk.settings.models.analyse.model
            session.execute(update(AnalysisResult).values(seconds=2.0, model=model))
        second = desk.submit(20)
        measured = (second.estimated_completion - desk.batches()[1].created_at).total_seconds()
        assert measured == pytest.approx(2.0 * 20 / workers, rel=0.1)

    def test_an_open_batch_is_estimated_from_when_it_closes(self, desk: BatchDesk) -> None:
        placed = desk.submit(1)
        assert placed.estimated_completion > desk.batches()[0].closes_at


class TestRunning:
    def test_every_item_is_analysed_and_one_delivery_made(self, desk: BatchDesk) -> None:
        [name] = desk.submit(20).batches
        assert desk.run() == [Outcome.DONE] * 20

        batch = desk.batch(name)
        assert batch.status is BatchStatus.COMPLETED
        assert batch.completed_at is not None
        [delivery] = desk.deliveries()
        assert (delivery.batch_id, delivery.run_no, delivery.supersedes) == (batch.id, 1, None)
        for item in desk.items(name):
            [result] = item.results
            assert result.analysis is not None
            assert {"summary", "keywords", "titles", "checks", "evidence"} <= set(result.analysis)
            assert 0 < (result.quality_score or 0) <= 1
            assert result.attempts == 1
        assert [hint.kind.value for hint in desk.sent] == ["delivery"]

    def test_the_body_names_every_consultation(self, desk: BatchDesk) -> None:
        [name] = desk.submit(20).batches
        desk.run()
        body = body_of(desk)
        assert body["batch_id"] == name
        assert len(body["results"]) == 20
        assert set(body["results"][0]) >= {
            "consultation_id",
            "summary",
            "keywords",
            "titles",
            "quality_score",
            "processing_time",
        }

    def test_a_batch_without_an_address_is_only_fetched(self, desk: BatchDesk) -> None:
        [name] = desk.submit(20, url=None).batches
        desk.run()
        assert desk.batch(name).status is BatchStatus.COMPLETED
        assert desk.deliveries() == []

    def test_one_bad_item_never_fails_its_neighbours(self, desk: BatchDesk) -> None:
        desk.chat = ScriptedChat(fails_on_bad)
        bad = Consultation(consultation_id="bad", conversation=BAD)
        [name] = desk.submit([*desk.consultations(19), bad]).batches
        run_to_the_end(desk)

        assert desk.batch(name).status is BatchStatus.COMPLETED_WITH_ERRORS
        body = body_of(desk)
        assert len(body["results"]) == 19
        assert [(e["consultation_id"], e["error"]["code"]) for e in body["errors"]] == [
            ("bad", "model_unavailable")
        ]

    def test_a_batch_of_which_nothing_succeeds_is_failed_and_told(self, desk: BatchDesk) -> None:
        desk.chat = ScriptedChat(fails_on_bad)
        [name] = desk.submit(bad_ones(20)).batches
        run_to_the_end(desk)

        assert desk.batch(name).status is BatchStatus.FAILED
        assert len(body_of(desk)["errors"]) == 20

    def test_an_end_that_nobody_noticed_is_noticed_by_the_tick(
        self, desk: BatchDesk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        [name] = desk.submit(20).batches
        with monkeypatch.context() as killed:
            # The worker dies after each commit, before it looks at the batch.
            killed.setattr("callytics.services.job.follow_up", lambda *_: [])
            desk.run()
        assert desk.batch(name).status is BatchStatus.QUEUED

        desk.tick()
        desk.tick()

        assert desk.batch(name).status is BatchStatus.COMPLETED
        assert len(desk.deliveries()) == 1

    def test_many_that_settle_at_once_make_one_delivery(
        self, desk: BatchDesk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.submit(20)
        with monkeypatch.context() as killed:
            killed.setattr("callytics.services.job.follow_up", lambda *_: [])
            desk.run()
        [batch] = desk.batches()
        with ThreadPoolExecutor(4) as pool:
            told = list(pool.map(lambda _: batches.settle(desk.sessions, batch.id), range(4)))
        assert sum(map(len, told)) == 1
        assert len(desk.deliveries()) == 1

    def test_a_lost_worker_s_item_is_analysed_by_another(self, desk: BatchDesk) -> None:
        desk.submit(20)
        [first, *_] = desk.sent
        with unit_of_work(desk.sessions) as session:
            lost = {
                "status": StageStatus.RUNNING,
                "attempt": 1,
                "worker": "dead",
                "lease_until": Job.queued_at - timedelta(seconds=1),
            }
            session.execute(update(Job).where(Job.id == first.job_id).values(lost))
        desk.run()
        assert desk.batches()[0].status is BatchStatus.QUEUED

        run_to_the_end(desk)

        assert desk.batches()[0].status is BatchStatus.COMPLETED
        assert len(desk.deliveries()) == 1


class TestVeryOldJobs:
    """What was told and tried again for weeks stops nobody else."""

    def test_a_job_that_was_announced_a_thousand_times_is_announced_again(
        self, desk: BatchDesk
    ) -> None:
        desk.submit(20)
        desk.sent.clear()
        with unit_of_work(desk.sessions) as session:
            old = Job.queued_at - timedelta(days=30)
            session.execute(update(Job).values(hints=5000, hinted_at=old))
        hints = upkeep.sweep(desk.sessions, FAST)
        assert len(hints) == 20

    def test_a_job_with_a_thousand_attempts_is_taken_from_its_dead_worker(
        self, desk: BatchDesk
    ) -> None:
        desk.submit(20)
        with unit_of_work(desk.sessions) as session:
            lost = {
                "status": StageStatus.RUNNING,
                "attempt": 5000,
                "attempt_limit": 6000,
                "lease_until": Job.queued_at - timedelta(seconds=1),
            }
            session.execute(update(Job).values(lost))
        upkeep.sweep(desk.sessions, FAST)
        statuses = {item.job.status for item in desk.items(desk.batches()[0].name)}
        assert statuses == {StageStatus.QUEUED}


class TestCancelling:
    def test_what_is_done_stays_and_nothing_is_told(self, desk: BatchDesk) -> None:
        [name] = desk.submit(20).batches
        desk.sent = desk.sent[:3]
        desk.run()
        with unit_of_work(desk.sessions) as session:
            batches.cancel(session, desk.client_id, name)
        statuses = [item.job.status for item in desk.items(name)]

        assert desk.batch(name).status is BatchStatus.CANCELLED
        assert (statuses.count(StageStatus.DONE), statuses.count(StageStatus.CANCELLED)) == (3, 17)
        desk.tick()
        assert desk.deliveries() == []
        with pytest.raises(BatchFinishedError), unit_of_work(desk.sessions) as session:
            batches.cancel(session, desk.client_id, name)

    def test_an_open_batch_is_cancelled_and_the_next_consultation_opens_another(
        self, desk: BatchDesk
    ) -> None:
        [name] = desk.submit(3).batches
        with unit_of_work(desk.sessions) as session:
            batches.cancel(session, desk.client_id, name)
        [other] = desk.submit(1).batches
        assert other != name

    def test_another_client_s_batch_is_not_found(self, desk: BatchDesk) -> None:
        [name] = desk.submit(1).batches
        with pytest.raises(BatchNotFoundError), unit_of_work(desk.sessions) as session:
            batches.cancel(session, uuid4(), name)


class TestRerunning:
    def failed_batch(self, desk: BatchDesk) -> str:
        desk.chat = ScriptedChat(fails_on_bad)
        [name] = desk.submit([*desk.consultations(17), *bad_ones(3)]).batches
        run_to_the_end(desk)
        desk.chat = ScriptedChat()
        desk.sent.clear()
        return name

    def rerun(self, desk: BatchDesk, name: str, **wanted: Any) -> batches.RerunPlan:
        with unit_of_work(desk.sessions) as session:
            plan = batches.rerun(session, None, name, Rerun(**wanted), desk.settings)
        desk.send(plan.hints)
        return plan

    def test_only_what_failed_runs_again_and_what_succeeded_is_kept(self, desk: BatchDesk) -> None:
        name = self.failed_batch(desk)
        kept = {item.id: item.results[0] for item in desk.items(name) if item.results[0].analysis}
        plan = self.rerun(desk, name)
        assert (plan.run_no, plan.items, plan.kept) == (2, 3, 17)

        run_to_the_end(desk)

        assert desk.batch(name).status is BatchStatus.COMPLETED
        for item in desk.items(name):
            runs = [(result.run_no, result.analysis is not None) for result in item.results]
            assert runs == ([(1, True)] if item.id in kept else [(1, False), (2, True)])
        assert [(run.run_no, run.items) for run in desk.batch(name).runs] == [(1, 20), (2, 3)]

    def test_its_callback_supersedes_the_earlier_one(self, desk: BatchDesk) -> None:
        name = self.failed_batch(desk)
        [first] = desk.deliveries()
        self.rerun(desk, name)
        run_to_the_end(desk)
        [_, second] = desk.deliveries()

        assert (second.run_no, second.supersedes) == (2, first.id)
        body = body_of(desk, second)
        assert (body["run"], body["supersedes"]) == (2, str(first.id))
        assert (len(body["results"]), body["errors"]) == (20, [])

    def test_everything_may_run_again_with_another_model(self, desk: BatchDesk) -> None:
        [name] = desk.submit(20).batches
        desk.run()
        with pytest.raises(NothingToRerunError):
            self.rerun(desk, name)
        self.rerun(desk, name, everything=True, model="better")
        run_to_the_end(desk)
        models = {r.model for item in desk.items(name) for r in item.results if r.run_no == 2}
        assert models == {"better"}

    def test_a_result_is_not_lost_where_its_re_run_fails(self, desk: BatchDesk) -> None:
        [name] = desk.submit(20).batches
        desk.run()
        desk.chat = ScriptedChat(never)
        self.rerun(desk, name, everything=True)
        run_to_the_end(desk)

        assert desk.batch(name).status is BatchStatus.COMPLETED
        assert len(body_of(desk, desk.deliveries()[1])["results"]) == 20

    def test_a_dry_run_changes_nothing(self, desk: BatchDesk) -> None:
        name = self.failed_batch(desk)
        plan = self.rerun(desk, name, dry=True)
        assert (plan.items, plan.kept, plan.hints) == (3, 17, ())
        assert desk.batch(name).run_no == 1

    def test_a_batch_that_runs_is_not_run_again(self, desk: BatchDesk) -> None:
        [name] = desk.submit(1).batches
        with pytest.raises(BatchRunningError):
            self.rerun(desk, name)


class TestLists:
    def test_batches_are_found_by_their_status(self, desk: BatchDesk) -> None:
        [waiting, *_] = desk.submit(1, url=None).batches
        [done] = desk.submit(20, url="https://a.example/").batches
        desk.run()
        [begun] = desk.submit(20, url="https://b.example/").batches
        desk.sent = [hint for hint in desk.sent if hint.kind is JobKind.ANALYSIS][:1]
        desk.run()

        with unit_of_work(desk.sessions) as session:

            def found(*statuses: BatchStatus) -> list[str]:
                wanted = BatchFilter(statuses=statuses)
                page = Batches(session).page(desk.client_id, wanted, after=None, limit=10)
                return [batch.name for batch in page]

            assert found(BatchStatus.QUEUED) == [waiting]
            assert found(BatchStatus.RUNNING) == [begun]
            assert found(BatchStatus.COMPLETED) == [done]
            assert found(BatchStatus.FAILED, BatchStatus.COMPLETED_WITH_ERRORS) == []

    def test_pages_go_back_in_time(self, desk: BatchDesk) -> None:
        desk.submit(60)
        names = [batch.name for batch in desk.batches()]
        with unit_of_work(desk.sessions) as session:
            first = Batches(session).page(desk.client_id, BatchFilter(), after=None, limit=2)
            rest = Batches(session).page(
                desk.client_id, BatchFilter(), after=first[-1].name, limit=2
            )
        assert [batch.name for batch in [*first, *rest]] == names[::-1]


def never(messages: Sequence[Message], schema: Mapping[str, Any] | None) -> str:
    raise ModelUnavailableError


def bad_ones(number: int) -> list[Consultation]:
    return [Consultation(consultation_id=f"bad-{n}", conversation=BAD) for n in range(number)]


def run_to_the_end(desk: BatchDesk) -> None:
    """As workers and sweeper would, however often something is tried again."""
    for _ in range(20):
        desk.run()
        with unit_of_work(desk.sessions) as session:
            session.execute(update(Job).values(next_attempt_at=None, hinted_at=None, hints=0))
        hints = upkeep.sweep(desk.sessions, FAST)
        desk.send([hint for hint in hints if isinstance(hint, JobHint)])


def body_of(desk: BatchDesk, delivery: Delivery | None = None) -> dict[str, Any]:
    with unit_of_work(desk.sessions) as session:
        query = select(Delivery).where(Delivery.client_id == desk.client_id)
        if delivery is not None:
            query = query.where(Delivery.id == delivery.id)
        row = session.scalars(query.options(undefer(Delivery.body))).one()
        body: dict[str, Any] = json.loads(row.body)
        return body
