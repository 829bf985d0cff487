"""Callbacks from their row to a real receiver: what is answered, and what then becomes of them."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event as Flag
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from callytics.adapters.callback_client import HttpCallbackClient
from callytics.db.deliveries import Deliveries, DeliveryFilter
from callytics.db.engine import unit_of_work
from callytics.db.models import (
    AnalysisBatch,
    AnalysisItem,
    AnalysisResult,
    AnalysisRun,
    Client,
    Delivery,
    DeliveryAttempt,
    Job,
)
from callytics.domain.batching import BatchStatus
from callytics.domain.delivery import STATUS_OF, DeliveryStatus, Event, Fault
from callytics.domain.stages import StageStatus
from callytics.errors import DeliveryNotFoundError, DeliveryOpenError, InvalidRequestError
from callytics.services import delivery, keys, upkeep
from callytics.services.stage import Outcome
from callytics.settings import CallbackSettings, PipelineSettings, Settings
from tests.support.deliveries import Deliverer, FakeCallbackClient, answer
from tests.support.receiver import OK, ScriptedReceiver, Step, receiving
from tests.support.waiting import wait_until

URL = "https://centerlink.example/webhook"
BODY = '{"batch_id":"BATCH-20250913-001","요약":"환불 안내"}'.encode()


@pytest.fixture
def deliverer(sessions: sessionmaker[Session], settings: Settings) -> Deliverer:
    return Deliverer.make(sessions, settings)


@pytest.fixture
def fake(deliverer: Deliverer) -> FakeCallbackClient:
    """Instead of the network: answers with success until told otherwise."""
    client = FakeCallbackClient(answer(200))
    deliverer.client = client
    return client


def status(found: Delivery) -> DeliveryStatus:
    return STATUS_OF[found.job.status]


class TestEnqueue:
    def test_the_same_news_twice_are_one_delivery(self, deliverer: Deliverer) -> None:
        first = deliverer.enqueue(URL, body=BODY)
        again = deliverer.enqueue(URL, body=b"another body")
        other = deliverer.enqueue(URL, key="batch:2")
        assert first == again != other
        assert deliverer.get(first).endpoint_id == deliverer.get(other).endpoint_id

    def test_two_at_once_make_one_delivery_and_leave_nothing_behind(
        self, deliverer: Deliverer, sessions: sessionmaker[Session]
    ) -> None:
        with ThreadPoolExecutor(2) as pool, unit_of_work(sessions) as session:
            hint = delivery.enqueue(
                session,
                client_id=deliverer.client_id,
                url=URL,
                event=Event.BATCH_COMPLETED,
                key="batch:1",
                body=BODY,
            )
            twin = pool.submit(deliverer.enqueue, URL)
            wait_until(lambda: _somebody_waits(sessions))
            session.commit()
            assert twin.result(30) == hint.job_id
        with unit_of_work(sessions) as session:
            assert session.scalar(select(func.count()).select_from(Job)) == 1

    def test_what_is_undone_is_not_delivered(
        self, deliverer: Deliverer, sessions: sessionmaker[Session]
    ) -> None:
        with sessions() as session:
            hint = delivery.enqueue(
                session,
                client_id=deliverer.client_id,
                url=URL,
                event=Event.BATCH_COMPLETED,
                key="batch:1",
                body=BODY,
            )
            session.rollback()
        assert deliverer.run(hint.job_id) is Outcome.NOT_CLAIMED


def _somebody_waits(sessions: sessionmaker[Session]) -> bool:
    with unit_of_work(sessions) as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


class TestAddress:
    @pytest.mark.parametrize(
        "url", ["http://centerlink.example/", "https://10.0.0.1/", "https://user@x/", "nonsense"]
    )
    def test_what_can_never_be_called_is_refused_when_it_is_named(self, url: str) -> None:
        with pytest.raises(InvalidRequestError, match="callback_url") as caught:
            delivery.check_callback_url(url, CallbackSettings())
        assert url not in caught.value.detail

    def test_the_operator_may_allow_a_host(self) -> None:
        allowed = CallbackSettings(allowed_hosts=("10.0.0.1",))
        delivery.check_callback_url("http://10.0.0.1:8080/hook", allowed)

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("https://internal.example/", Fault.ADDRESS_FORBIDDEN),
            ("http://internal.example/", Fault.NOT_HTTPS),
        ],
    )
    def test_what_may_not_be_called_is_dead_after_three_tries(
        self, deliverer: Deliverer, url: str, reason: Fault
    ) -> None:
        deliverer.client = HttpCallbackClient(deliverer.callbacks, resolve=_internal)
        own = deliverer.enqueue(url)
        for _ in range(3):
            deliverer.run(own)
            deliverer.pass_time(1)
        found = deliverer.get(own)
        assert status(found) is DeliveryStatus.DEAD
        assert found.job.problem is not None
        assert (found.job.problem["code"], found.job.problem["reason"]) == ("delivery_dead", reason)

    def test_a_name_that_is_not_found_is_tried_by_the_schedule(self, deliverer: Deliverer) -> None:
        deliverer.client = HttpCallbackClient(deliverer.callbacks, resolve=_nothing)
        own = deliverer.enqueue(URL)
        for _ in range(4):
            deliverer.run(own)
            deliverer.pass_time(3)
        found = deliverer.get(own)
        assert (status(found), found.tries) == (DeliveryStatus.QUEUED, 4)
        assert found.attempts[-1].problem == Fault.UNRESOLVABLE


def _internal(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def _nothing(host: str, port: int) -> Sequence[str]:
    raise OSError


class TestAnswers:
    @staticmethod
    def delivered_to(deliverer: Deliverer, *steps: Step) -> tuple[Delivery, ScriptedReceiver]:
        with receiving(*steps, secrets=deliverer.secrets) as server:
            own = deliverer.enqueue(server.url, body=BODY)
            deliverer.run(own)
        return deliverer.get(own), server

    def test_a_success_ends_it_and_is_written_down(
        self, deliverer: Deliverer, sessions: sessionmaker[Session]
    ) -> None:
        found, server = self.delivered_to(deliverer, Step(status=202, body=b"thank you" * 1000))
        assert (status(found), found.tries) == (DeliveryStatus.DELIVERED, 1)
        assert found.delivered_at is not None
        assert (server.script.seen[0].body, server.script.seen[0].faults) == (BODY, ())
        assert server.accepted == {str(found.id): 1}
        with unit_of_work(sessions) as session:
            attempt = session.scalars(select(DeliveryAttempt)).one()
            assert (attempt.status, attempt.problem, attempt.verdict) == (202, None, "delivered")
            assert attempt.answer == (b"thank you" * 1000)[:2048]
            assert attempt.seconds > 0
        assert deliverer.endpoint(server.url).last_success_at is not None

    @pytest.mark.parametrize(
        ("step", "became", "reason", "wait_s"),
        [
            (Step(status=301, headers={"Location": "/x"}), "queued", Fault.REDIRECTED, 5),
            (Step(status=404), "queued", Fault.REFUSED, 5),
            (Step(status=410), "dead", Fault.GONE, 0),
            (Step(status=429, headers={"Retry-After": "120"}), "queued", Fault.THROTTLED, 120),
            (Step(status=500), "queued", Fault.SERVER_ERROR, 5),
            (Step(status=503, headers={"Retry-After": "90"}), "queued", Fault.SERVER_ERROR, 90),
            (Step(how="halfway"), "queued", Fault.CLOSED_HALFWAY, 5),
            (Step(how="nonsense"), "queued", Fault.BAD_ANSWER, 5),
            (Step(how="endless"), "delivered", None, 0),
            (Step(how="endless", status=500), "queued", Fault.SERVER_ERROR, 5),
        ],
    )
    def test_every_answer_has_its_outcome(
        self,
        deliverer: Deliverer,
        step: Step,
        became: str,
        reason: Fault | None,
        wait_s: float,
    ) -> None:
        found, server = self.delivered_to(deliverer, step)
        assert len(server.script.seen) == 1
        assert status(found) == became
        assert found.attempts[0].problem == reason
        assert (found.job.problem or {}).get("reason") == reason
        assert deliverer.wait_s(found.id) == pytest.approx(wait_s, abs=4)

    def test_an_endpoint_that_hangs_is_given_up_in_time(
        self, sessions: sessionmaker[Session], settings: Settings
    ) -> None:
        deliverer = Deliverer.make(sessions, settings, timeout_s=0.3)
        found, _ = self.delivered_to(deliverer, Step(how="silent"))
        assert (status(found), found.attempts[0].problem) == ("queued", Fault.TIMEOUT)

    def test_every_try_sends_the_same_bytes_under_the_same_id_signed_anew(
        self, deliverer: Deliverer
    ) -> None:
        steps = [Step(status=500), Step(how="halfway"), OK]
        with receiving(*steps, secrets=deliverer.secrets) as server:
            own = deliverer.enqueue(server.url, body=BODY)
            for _ in steps:
                deliverer.run(own)
                deliverer.pass_time(1)
        seen = server.script.seen
        assert [received.body for received in seen] == [BODY] * 3
        assert [received.faults for received in seen] == [()] * 3
        assert set(server.script.ids) == {str(own)}
        assert status(deliverer.get(own)) is DeliveryStatus.DELIVERED

    def test_nothing_that_is_sent_or_answered_is_logged(self, deliverer: Deliverer) -> None:
        with capture_logs() as lines:
            self.delivered_to(deliverer, Step(status=500, body=b"the answer"))
        logged = json.dumps(lines, default=str, ensure_ascii=False)
        assert "callback_answered" in logged
        for secret in ("환불", "the answer", "127.0.0.1", "webhook", *deliverer.secrets):
            assert secret not in logged


class TestSchedule:
    def test_after_ten_failures_it_is_a_dead_letter(
        self, deliverer: Deliverer, fake: FakeCallbackClient
    ) -> None:
        fake.answer = answer(500)
        own = deliverer.enqueue(URL)
        waits = []
        for _ in range(10):
            assert deliverer.get(own).job.status is StageStatus.QUEUED
            deliverer.run(own)
            waits.append(round(deliverer.wait_s(own) / 60))
            deliverer.pass_time(24)
        assert waits == [0, 5, 30, 120, 300, 600, 840, 1200, 1440, 0]
        found = deliverer.get(own)
        assert (status(found), found.tries, len(found.attempts)) == (DeliveryStatus.DEAD, 10, 10)
        assert found.job.problem is not None
        assert found.job.problem["code"] == "delivery_dead"
        assert deliverer.run(own) is Outcome.NOT_CLAIMED

    def test_it_is_not_tried_before_its_time(
        self, deliverer: Deliverer, fake: FakeCallbackClient
    ) -> None:
        fake.answer = answer(500)
        own = deliverer.enqueue(URL)
        deliverer.run(own)
        assert deliverer.run(own) is Outcome.NOT_CLAIMED
        assert len(fake.posted) == 1


class TestWorkers:
    def test_two_at_once_send_once(self, deliverer: Deliverer) -> None:
        go = Flag()
        with receiving(Step(when=go), secrets=deliverer.secrets) as server:
            own = deliverer.enqueue(server.url)
            with ThreadPoolExecutor(4) as pool:
                runs = [pool.submit(deliverer.run, own) for _ in range(4)]
                wait_until(lambda: server.script.busy)
                others = [run for run in runs if run.done()]
                assert all(run.result() is Outcome.NOT_CLAIMED for run in others)
                go.set()
                outcomes = sorted(run.result(30) for run in runs)
        assert outcomes == ["done", "not_claimed", "not_claimed", "not_claimed"]
        assert len(server.script.seen) == 1

    def test_a_lost_worker_s_delivery_is_sent_again_under_the_same_id(
        self, deliverer: Deliverer, sessions: sessionmaker[Session]
    ) -> None:
        with receiving(secrets=deliverer.secrets) as server:
            own = deliverer.enqueue(server.url, body=BODY)
            sending = deliverer.client
            deliverer.client = _Killed(sending)
            with pytest.raises(SystemExit):
                deliverer.run(own)
            assert deliverer.run(own) is Outcome.NOT_CLAIMED

            deliverer.client = sending
            with unit_of_work(sessions) as session:
                session.execute(
                    update(Job).values(lease_until=func.clock_timestamp() - timedelta(seconds=1))
                )
            upkeep.sweep(sessions, PipelineSettings())
            deliverer.pass_time(1)
            assert deliverer.run(own) is Outcome.DONE

        assert server.script.ids == [str(own)] * 2
        assert [received.body for received in server.script.seen] == [BODY] * 2
        assert server.accepted == {str(own): 2}
        found = deliverer.get(own)
        assert (found.tries, len(found.attempts)) == (1, 1)

    def test_a_slow_endpoint_leaves_the_workers_to_the_others(self, deliverer: Deliverer) -> None:
        go = Flag()
        with (
            receiving(*[Step(when=go)] * 9, secrets=deliverer.secrets) as slow,
            receiving(secrets=deliverer.secrets) as quick,
        ):
            waiting = [deliverer.enqueue(slow.url, key=f"slow:{n}") for n in range(5)]
            last = deliverer.enqueue(quick.url, key="quick")
            with ThreadPoolExecutor(3) as pool:
                runs = [pool.submit(deliverer.run, own) for own in (*waiting, last)]
                assert runs[-1].result(30) is Outcome.DONE
                assert len(slow.script.seen) <= 2
                assert sum(run.done() for run in runs[:-1]) >= 3
                go.set()
                for run in runs:
                    run.result(30)
                # Whoever had to wait is called up as the others end, and nobody else need look.
                while deliverer.hints:
                    deliverer.run(deliverer.hints.pop(0).job_id)
        assert sorted(slow.script.ids) == sorted(map(str, waiting))


class _Killed:
    """Sends, and is killed before anybody hears of it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def post(self, *arguments: Any, **options: Any) -> Any:
        self._client.post(*arguments, **options)
        raise SystemExit


class TestHealth:
    """An endpoint is paused after five failures in a row."""

    @staticmethod
    def failing(deliverer: Deliverer, count: int) -> list[UUID]:
        """So many deliveries, each of which failed once."""
        own = [deliverer.enqueue(URL, key=f"failed:{n}") for n in range(count)]
        for one in own:
            deliverer.run(one)
        return own

    def test_it_is_paused_and_its_deliveries_wait(
        self, deliverer: Deliverer, fake: FakeCallbackClient
    ) -> None:
        fake.answer = answer(fault=Fault.UNREACHABLE)
        self.failing(deliverer, 5)
        assert deliverer.endpoint(URL).failures == 5
        waiting = deliverer.enqueue(URL, key="new")
        assert deliverer.run(waiting) is Outcome.NOT_CLAIMED
        assert len(fake.posted) == 5
        assert deliverer.wait_s(waiting) == pytest.approx(60, abs=4)
        assert deliverer.get(waiting).tries == 0

    def test_other_endpoints_are_not(self, deliverer: Deliverer, fake: FakeCallbackClient) -> None:
        fake.answer = answer(fault=Fault.UNREACHABLE)
        self.failing(deliverer, 5)
        other = deliverer.enqueue("https://other.example/", key="other")
        deliverer.run(other)
        assert deliverer.get(other).tries == 1

    def test_a_success_between_counts_from_nothing_again(
        self, deliverer: Deliverer, fake: FakeCallbackClient
    ) -> None:
        fake.answer = answer(500)
        self.failing(deliverer, 4)
        fake.answer = answer(200)
        deliverer.run(deliverer.enqueue(URL, key="good"))
        assert deliverer.endpoint(URL).failures == 0

    def test_after_the_pause_one_delivery_probes_while_the_others_wait(
        self, deliverer: Deliverer
    ) -> None:
        go = Flag()
        steps = [*[Step(status=500)] * 5, Step(when=go)]
        with receiving(*steps, secrets=deliverer.secrets) as server:
            for n in range(5):
                deliverer.run(deliverer.enqueue(server.url, key=f"failed:{n}"))
            new = [deliverer.enqueue(server.url, key=f"new:{n}") for n in range(3)]
            for one in new:
                deliverer.run(one)
            deliverer.pass_time(1 / 30)  # as long as the pause, and a minute
            with ThreadPoolExecutor(1) as pool:
                probe = pool.submit(deliverer.run, new[0])
                wait_until(lambda: server.script.busy)
                assert [deliverer.run(one) for one in new[1:]] == [Outcome.NOT_CLAIMED] * 2
                go.set()
                assert probe.result(30) is Outcome.DONE
            assert deliverer.endpoint(server.url).paused_until is None
            called_up = [hint.job_id for hint in deliverer.hints]
            assert called_up == new[1:]
            assert [deliverer.run(one) for one in called_up] == [Outcome.DONE] * 2

    def test_a_probe_that_fails_doubles_the_pause(
        self, deliverer: Deliverer, fake: FakeCallbackClient
    ) -> None:
        fake.answer = answer(500)
        self.failing(deliverer, 5)
        waiting = deliverer.enqueue(URL, key="new")
        deliverer.run(waiting)
        deliverer.pass_time(1 / 30)
        deliverer.run(waiting)
        other = deliverer.enqueue(URL, key="newer")
        deliverer.run(other)
        assert deliverer.wait_s(other) == pytest.approx(120, abs=4)

    def test_a_success_does_not_hurry_what_the_schedule_lets_wait(
        self, deliverer: Deliverer, fake: FakeCallbackClient
    ) -> None:
        fake.answer = answer(500)
        failed = self.failing(deliverer, 1)
        fake.answer = answer(200)
        deliverer.run(deliverer.enqueue(URL, key="good"))
        assert deliverer.hints == []
        assert deliverer.wait_s(failed[0]) > 0

    def test_an_endpoint_that_names_a_time_is_left_alone_by_all_until_then(
        self, deliverer: Deliverer, fake: FakeCallbackClient
    ) -> None:
        fake.answer = answer(429, retry_after="600")
        deliverer.run(deliverer.enqueue(URL, key="first"))
        second = deliverer.enqueue(URL, key="second")
        deliverer.run(second)
        assert len(fake.posted) == 1
        assert deliverer.wait_s(second) == pytest.approx(600, abs=4)

    def test_one_that_is_gone_gets_nothing_more(
        self, deliverer: Deliverer, fake: FakeCallbackClient
    ) -> None:
        fake.answer = answer(410)
        gone = deliverer.enqueue(URL, key="first")
        deliverer.run(gone)
        second = deliverer.enqueue(URL, key="second")
        assert deliverer.run(second) is Outcome.FAILED
        assert len(fake.posted) == 1
        for own in (gone, second):
            found = deliverer.get(own)
            assert status(found) is DeliveryStatus.DEAD
            assert found.job.problem is not None
            assert found.job.problem["code"] == "endpoint_disabled"
        assert deliverer.endpoint(URL).disabled_reason == "gone"


class TestSecrets:
    @pytest.mark.parametrize("kept", [0, 1])
    def test_while_secrets_rotate_a_receiver_that_knows_either_accepts(
        self, deliverer: Deliverer, sessions: sessionmaker[Session], settings: Settings, kept: int
    ) -> None:
        with unit_of_work(sessions) as session:
            cipher = keys.make_cipher(settings)
            keys.rotate(session, cipher, name="centerlink", overlap=timedelta(hours=1))
        known = deliverer.secrets[kept]
        with receiving(secrets=[known]) as server:
            own = deliverer.enqueue(server.url)
            for _ in range(2):
                deliverer.run(own)
                deliverer.pass_time(1)
        assert server.accepted == {str(own): 1}
        assert all("webhook" not in " ".join(one.faults) for one in server.script.seen)

    def test_a_client_that_is_disabled_gets_its_callbacks_when_it_is_enabled(
        self, deliverer: Deliverer, fake: FakeCallbackClient, sessions: sessionmaker[Session]
    ) -> None:
        own = deliverer.enqueue(URL)
        with unit_of_work(sessions) as session:
            keys.disable(session, name="centerlink")
        assert deliverer.run(own) is Outcome.NOT_CLAIMED
        assert fake.posted == []
        with unit_of_work(sessions) as session:
            keys.enable(session, name="centerlink")
        deliverer.pass_time(1)
        assert deliverer.run(own) is Outcome.DONE


class TestReplay:
    def replay(self, deliverer: Deliverer, own: UUID, client_id: UUID | None = None) -> None:
        with unit_of_work(deliverer.sessions) as session:
            hint = delivery.replay(session, client_id, own)
            assert hint.job_id == own

    def test_a_delivered_one_goes_out_again_word_for_word(self, deliverer: Deliverer) -> None:
        with receiving(secrets=deliverer.secrets) as server:
            own = deliverer.enqueue(server.url, body=BODY)
            deliverer.run(own)
            self.replay(deliverer, own, deliverer.client_id)
            assert deliverer.get(own).tries == 0
            assert deliverer.run(own) is Outcome.DONE
        assert [received.body for received in server.script.seen] == [BODY] * 2
        assert server.accepted == {str(own): 2}
        found = deliverer.get(own)
        assert (found.replays, found.tries, len(found.attempts)) == (1, 1, 2)

    def test_a_dead_one_begins_its_schedule_anew_and_its_endpoint_is_switched_on(
        self, deliverer: Deliverer, fake: FakeCallbackClient
    ) -> None:
        fake.answer = answer(410)
        own = deliverer.enqueue(URL)
        deliverer.run(own)
        self.replay(deliverer, own)
        assert deliverer.endpoint(URL).disabled_at is None
        fake.answer = answer(500)
        deliverer.run(own)
        assert deliverer.wait_s(own) == pytest.approx(5, abs=4)

    def test_one_that_is_under_way_is_not_replayed(self, deliverer: Deliverer) -> None:
        own = deliverer.enqueue(URL)
        with pytest.raises(DeliveryOpenError):
            self.replay(deliverer, own)

    def test_that_of_another_client_is_not_found(
        self, deliverer: Deliverer, fake: FakeCallbackClient
    ) -> None:
        own = deliverer.enqueue(URL)
        deliverer.run(own)
        for client_id, delivery_id in ((uuid4(), own), (None, uuid4())):
            with pytest.raises(DeliveryNotFoundError):
                self.replay(deliverer, delivery_id, client_id)

    def test_all_that_died_since(
        self, deliverer: Deliverer, fake: FakeCallbackClient, sessions: sessionmaker[Session]
    ) -> None:
        fake.answer = answer(410)
        old, new = deliverer.enqueue(URL, key="old"), deliverer.enqueue(URL, key="new")
        for own in (old, new):
            deliverer.run(own)
        with unit_of_work(sessions) as session:
            session.execute(
                update(Job)
                .where(Job.id == old)
                .values(finished_at=Job.finished_at - timedelta(days=2))
            )
        yesterday = datetime.now(UTC) - timedelta(days=1)
        with unit_of_work(sessions) as session:
            hints = delivery.replay_dead(session, since=yesterday)
        assert [hint.job_id for hint in hints] == [new]
        with unit_of_work(sessions) as session:
            hints = delivery.replay_dead(session, deliverer.client_id)
        assert [hint.job_id for hint in hints] == [old]
        fake.answer = answer(200)
        assert [deliverer.run(own) for own in (old, new)] == [Outcome.DONE] * 2


class TestLists:
    def test_newest_first_page_by_page_by_what_became_of_them(
        self, deliverer: Deliverer, fake: FakeCallbackClient, sessions: sessionmaker[Session]
    ) -> None:
        own = [deliverer.enqueue(URL, key=f"k:{n}") for n in range(5)]
        deliverer.run(own[1])
        fake.answer = answer(410)
        deliverer.run(own[3])
        own.reverse()

        def page(client_id: UUID | None = None, **options: Any) -> list[UUID]:
            after, limit = options.pop("after", None), options.pop("limit", 10)
            with unit_of_work(sessions) as session:
                found = Deliveries(session).page(
                    client_id, DeliveryFilter(**options), after=after, limit=limit
                )
                assert all(one.endpoint.url == URL for one in found)
                return [one.id for one in found]

        assert page(limit=2) == own[:2]
        assert page(limit=2, after=own[1]) == own[2:4]
        assert page(deliverer.client_id) == own
        assert page(uuid4()) == []
        assert page(status=DeliveryStatus.DELIVERED) == [own[3]]
        assert page(status=DeliveryStatus.DEAD) == [own[1]]
        assert page(status=DeliveryStatus.QUEUED) == [own[0], own[2], own[4]]
        assert page(created_after=datetime.now(UTC) + timedelta(hours=1)) == []
        with pytest.raises(DeliveryNotFoundError):
            page(uuid4(), after=own[0])


class TestBatchBody:
    def test_each_consultation_with_its_best_result_or_its_problem(self) -> None:
        analysis = {
            # As PostgreSQL gives it back.
            "summary": {"agent": "절차 안내", "result": "접수 완료", "customer": "환불 문의"},
            "keywords": ["환불", "절차"],
            "titles": {"keyword": "환불_절차", "descriptive": "환불 절차 안내"},
            "evidence": {"customer": [{"turn": 0, "start": 0, "end": 3}]},
            "checks": [],
        }
        good = AnalysisResult(run_no=1, analysis=analysis, quality_score=0.9, seconds=4.0)
        failed = AnalysisResult(run_no=2, problem={"code": "x", "detail": "Why."})
        batch = AnalysisBatch(name="BATCH-20250913-001", status=BatchStatus.COMPLETED_WITH_ERRORS)
        run = AnalysisRun(
            run_no=2,
            started_at=datetime(2025, 9, 13, 14, 24, 0, tzinfo=UTC),
            completed_at=datetime(2025, 9, 13, 14, 28, 45, 300_000, tzinfo=UTC),
        )
        earlier = uuid4()

        body = json.loads(
            delivery.batch_body(
                batch,
                run,
                [
                    _item("CL-1", good, failed),
                    _item("CL-2", failed),
                    _item("CL-3", good, with_evidence=True),
                ],
                supersedes=earlier,
            )
        )
        assert [one["consultation_id"] for one in body["results"]] == ["CL-1", "CL-3"]
        assert ["evidence" in one for one in body["results"]] == [False, True]
        assert list(body["results"][0]["summary"]) == ["customer", "agent", "result"]
        assert body["errors"] == [
            {"consultation_id": "CL-2", "error": {"code": "x", "detail": "Why."}}
        ]
        assert body["total_processing_time"] == 285.3
        assert (body["run"], body["supersedes"]) == (2, str(earlier))
        assert body["status"] == "completed_with_errors"


def _item(name: str, *results: AnalysisResult, with_evidence: bool = False) -> AnalysisItem:
    copies = [
        AnalysisResult(
            run_no=one.run_no,
            analysis=one.analysis,
            quality_score=one.quality_score,
            seconds=one.seconds,
            problem=one.problem,
        )
        for one in results
    ]
    return AnalysisItem(
        consultation_id=name,
        results=copies,
        with_evidence=with_evidence,
        job=Job(status=StageStatus.FAILED),
    )


def test_a_client_s_name_goes_with_its_signature(
    deliverer: Deliverer, fake: FakeCallbackClient, sessions: sessionmaker[Session]
) -> None:
    with unit_of_work(sessions) as session:
        session.scalars(select(Client)).one().name = "another"
    deliverer.run(deliverer.enqueue(URL))
    url, headers, _ = fake.posted[0]
    assert url == URL
    assert headers["X-Bound-Key"].startswith("another:")
