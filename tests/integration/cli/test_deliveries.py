import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker
from typer.testing import Result

from callytics.db.engine import unit_of_work
from callytics.db.models import Client, Delivery, Job
from callytics.domain.delivery import Fault
from callytics.domain.stages import Queue
from callytics.queueing.app import make_celery
from callytics.queueing.broker import backlog
from callytics.services.delivery_views import DeliveryDetail, DeliveryView, EndpointView
from callytics.settings import Settings
from tests.integration.cli.conftest import Run
from tests.support.batches import BatchDesk
from tests.support.deliveries import Deliverer, FakeCallbackClient, answer

URL, OTHER = "https://centerlink.example/webhook", "https://other.example/webhook"
GONE = "redis://127.0.0.1:9/0"


@pytest.fixture
def client() -> FakeCallbackClient:
    return FakeCallbackClient(answer(200))


@pytest.fixture
def deliverer(
    sessions: sessionmaker[Session], settings: Settings, client: FakeCallbackClient
) -> Deliverer:
    return Deliverer.make(sessions, settings, client)


def parsed(result: Result, code: int = 0) -> dict[str, Any]:
    assert result.exit_code == code, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def delivered(deliverer: Deliverer, key: str) -> UUID:
    found = deliverer.enqueue(URL, key=key)
    deliverer.run(found)
    return found


def dead(deliverer: Deliverer, client: FakeCallbackClient, key: str, url: str = URL) -> UUID:
    """Given up at the third no."""
    client.answer = answer(404, body=b"\x1b[31mno such page " + b"x" * 300)
    found = deliverer.enqueue(url, key=key)
    for _ in range(3):
        deliverer.pass_time(24)
        deliverer.run(found)
    client.answer = answer(200)
    return found


def messages(settings: Settings) -> int:
    found = backlog(make_celery(settings))
    assert found is not None
    return found[Queue.CALLBACK]


class TestList:
    def test_callbacks_are_shown_as_the_api_shows_them_and_whose_they_are(
        self, run: Run, deliverer: Deliverer
    ) -> None:
        first, second = delivered(deliverer, "1"), deliverer.enqueue(URL, key="2")
        page = parsed(run("deliveries", "list", "--json"))
        assert [one["delivery_id"] for one in page["data"]] == [str(second), str(first)]
        assert [one["status"] for one in page["data"]] == ["queued", "delivered"]
        assert {one["client_id"] for one in page["data"]} == {"centerlink"}
        assert page["data"][0].keys() >= DeliveryView.model_fields.keys()
        assert DeliveryView.model_validate(page["data"][1]).url == URL

    def test_the_dead_ones_alone(
        self, run: Run, deliverer: Deliverer, client: FakeCallbackClient
    ) -> None:
        delivered(deliverer, "1")
        given_up = dead(deliverer, client, "2")
        [one] = parsed(run("deliveries", "list", "--dead", "--json"))["data"]
        assert (one["delivery_id"], one["error"]["reason"]) == (str(given_up), Fault.REFUSED)
        assert run("deliveries", "list", "--status", "dead").stdout.count(str(given_up)) == 1
        assert run("deliveries", "list", "--dead", "--status", "queued").exit_code == 2

    def test_of_a_batch_a_client_and_a_time(
        self, run: Run, deliverer: Deliverer, sessions: sessionmaker[Session], settings: Settings
    ) -> None:
        desk = BatchDesk(sessions, settings, deliverer.client_id)
        [name] = desk.submit(20).batches
        desk.run()
        old = delivered(deliverer, "1")
        long_ago(sessions, old)
        with unit_of_work(sessions) as session:
            session.add(Client(id=uuid4(), name="branch"))

        def found(*options: str) -> list[str | None]:
            page = parsed(run("deliveries", "list", "--json", *options))
            return [one["batch_id"] for one in page["data"]]

        assert found("--batch", name) == [name]
        assert found("--since", "24h") == [name]
        assert found("--since", "7d") == [name, None]
        assert found("--client", "branch") == []
        assert run("deliveries", "list", "--batch", "BATCH-20250913-001").exit_code == 4
        assert run("deliveries", "list", "--client", "nobody").exit_code == 4

    def test_pages_follow_one_another(self, run: Run, deliverer: Deliverer) -> None:
        older, newer = delivered(deliverer, "1"), delivered(deliverer, "2")
        first = run("deliveries", "list", "--limit", "1")
        assert str(newer) in first.stdout
        assert f"--after {newer}" in first.stderr
        assert str(older) in run("deliveries", "list", "--after", str(newer)).stdout


class TestShow:
    def test_every_attempt_with_what_was_answered(
        self, run: Run, deliverer: Deliverer, client: FakeCallbackClient
    ) -> None:
        found = dead(deliverer, client, "1")
        shown = parsed(run("deliveries", "show", str(found), "--json"))
        attempts = shown["attempts"]
        assert DeliveryDetail.model_validate(shown).delivery_id == found
        assert [(one["status"], one["fault"], one["verdict"]) for one in attempts] == [
            (404, "refused", "retry"),
            (404, "refused", "retry"),
            (404, "refused", "dead"),
        ]
        assert (attempts[0]["seconds"], len(attempts[0]["answer"])) == (0.1, 200)

    def test_for_a_person_and_without_steering_the_terminal(
        self, run: Run, deliverer: Deliverer, client: FakeCallbackClient
    ) -> None:
        result = run("deliveries", "show", str(dead(deliverer, client, "1")))
        assert "no such page xxx" in result.stdout
        assert "\x1b" not in result.stdout

    def test_one_that_waits_has_no_attempts_yet(self, run: Run, deliverer: Deliverer) -> None:
        result = run("deliveries", "show", str(deliverer.enqueue(URL)))
        assert result.exit_code == 0
        assert "Nothing was sent yet" in result.stderr

    def test_what_it_says_is_not_shown(self, run: Run, deliverer: Deliverer) -> None:
        found = deliverer.enqueue(URL, body='{"summary":"환불"}'.encode())
        for options in ((), ("--json",)):
            assert "환불" not in run("deliveries", "show", str(found), *options).output

    def test_an_unknown_one_is_not_found(self, run: Run, deliverer: Deliverer) -> None:
        assert run("deliveries", "show", str(uuid4())).exit_code == 4
        assert run("deliveries", "show", "BATCH-20250913-001").exit_code == 2


class TestReplay:
    def test_one_is_sent_again_and_its_worker_told(
        self, run: Run, deliverer: Deliverer, client: FakeCallbackClient, settings: Settings
    ) -> None:
        found = dead(deliverer, client, "1")
        answered = parsed(run("deliveries", "replay", str(found), "--json"))
        [one] = answered["deliveries"]
        assert answered["dry_run"] is False
        assert (one["delivery_id"], one["status"], one["replays"]) == (str(found), "queued", 1)
        assert messages(settings) == 1
        deliverer.run(found)
        assert parsed(run("deliveries", "show", str(found), "--json"))["status"] == "delivered"

    def test_all_that_was_given_up_lately(
        self,
        run: Run,
        deliverer: Deliverer,
        client: FakeCallbackClient,
        settings: Settings,
        sessions: sessionmaker[Session],
    ) -> None:
        old, *new = (dead(deliverer, client, key) for key in "123")
        delivered(deliverer, "4")
        long_ago(sessions, old)
        wanted = ("deliveries", "replay", "--all-dead", "--since", "24h", "--json")
        planned = parsed(run(*wanted, "--dry-run"))
        assert {one["delivery_id"] for one in planned["deliveries"]} == {str(one) for one in new}
        assert {one["status"] for one in planned["deliveries"]} == {"dead"}
        assert messages(settings) == 0

        done = parsed(run(*wanted, "--yes"))
        assert {one["status"] for one in done["deliveries"]} == {"queued"}
        assert len(done["deliveries"]) == messages(settings) == 2

    def test_only_one_client_s(
        self,
        run: Run,
        deliverer: Deliverer,
        client: FakeCallbackClient,
        sessions: sessionmaker[Session],
    ) -> None:
        given_up = dead(deliverer, client, "1")
        with unit_of_work(sessions) as session:
            session.add(Client(id=uuid4(), name="branch"))
        wanted = ("deliveries", "replay", "--all-dead", "--since", "24h")
        assert run(*wanted, "--client", "branch").exit_code == 7
        assert run("deliveries", "replay", str(given_up), "--client", "branch").exit_code == 4
        assert run(*wanted, "--client", "centerlink").exit_code == 0

    def test_many_are_not_sent_where_nobody_can_be_asked(
        self, run: Run, deliverer: Deliverer, client: FakeCallbackClient, settings: Settings
    ) -> None:
        for key in "12":
            dead(deliverer, client, key)
        result = run("deliveries", "replay", "--all-dead", "--since", "1h")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Send 2 callbacks again?" in result.stderr
        assert messages(settings) == 0

    def test_nothing_to_send_again_ends_with_7(self, run: Run, deliverer: Deliverer) -> None:
        delivered(deliverer, "1")
        answered = parsed(run("deliveries", "replay", "--all-dead", "--since", "1h", "--json"), 7)
        assert answered == {"dry_run": False, "deliveries": []}

    @pytest.mark.parametrize("options", [(), ("--dry-run",)])
    def test_one_that_is_still_under_way_is_refused(
        self, run: Run, deliverer: Deliverer, options: tuple[str, ...]
    ) -> None:
        result = run("deliveries", "replay", str(deliverer.enqueue(URL)), *options)
        assert result.exit_code == 1
        assert "(delivery_open)" in result.stderr

    def test_an_unknown_one_is_not_found(self, run: Run) -> None:
        assert run("deliveries", "replay", str(uuid4())).exit_code == 4

    def test_a_broker_that_is_away_is_said_once(
        self, run: Run, deliverer: Deliverer, client: FakeCallbackClient
    ) -> None:
        for key in "12":
            dead(deliverer, client, key)
        result = run("deliveries", "replay", "--all-dead", "--since", "1h", "--yes", REDIS_URL=GONE)
        assert result.exit_code == 0
        assert result.stderr.count("The broker does not answer.") == 1

    @pytest.mark.parametrize(
        "arguments",
        [(), (str(uuid4()), "--all-dead", "--since", "1h"), ("--all-dead",), ("--since", "1h")],
    )
    def test_wrong_usage_ends_with_2(self, run: Run, arguments: tuple[str, ...]) -> None:
        assert run("deliveries", "replay", *arguments).exit_code == 2


class TestEndpoints:
    def test_how_each_address_is_doing(
        self, run: Run, deliverer: Deliverer, client: FakeCallbackClient
    ) -> None:
        delivered(deliverer, "1")
        client.answer = answer(410)
        deliverer.run(deliverer.enqueue(OTHER, key="2"))
        off, well = parsed(run("endpoints", "list", "--json"))["data"][::-1]
        assert EndpointView.model_validate(off).url == OTHER
        assert (off["disabled_reason"], off["client_id"]) == ("gone", "centerlink")
        assert (well["disabled_at"], well["failures"]) == (None, 0)
        shown = run("endpoints", "list").stdout
        assert "off: gone" in shown
        assert "ok" in shown
        assert run("endpoints", "list", "--client", "nobody").exit_code == 4

    def test_one_that_is_paused_is_resumed_and_what_waits_goes(
        self, run: Run, deliverer: Deliverer, client: FakeCallbackClient, settings: Settings
    ) -> None:
        client.answer = answer(500)
        for number in range(deliverer.callbacks.pause_after):
            deliverer.run(deliverer.enqueue(URL, key=f"{number}"))
        waiting = deliverer.enqueue(URL, key="waits")
        deliverer.run(waiting)
        [paused] = parsed(run("endpoints", "list", "--json"))["data"]
        assert paused["paused_until"] is not None
        assert "paused until" in run("endpoints", "list").stdout

        resumed = parsed(run("endpoints", "resume", paused["endpoint_id"], "--json"))
        assert (resumed["failures"], resumed["paused_until"]) == (0, None)
        assert messages(settings) == 1
        client.answer = answer(200)
        deliverer.run(waiting)
        assert deliverer.get(waiting).delivered_at is not None

    def test_one_that_fails_but_is_not_paused(
        self, run: Run, deliverer: Deliverer, client: FakeCallbackClient
    ) -> None:
        client.answer = answer(500)
        deliverer.run(deliverer.enqueue(URL))
        assert "failing, 1 in a row" in run("endpoints", "list").stdout

    def test_an_unknown_one_is_not_found(self, run: Run) -> None:
        result = run("endpoints", "resume", str(uuid4()))
        assert result.exit_code == 4
        assert "(endpoint_not_found)" in result.stderr


def long_ago(sessions: sessionmaker[Session], delivery_id: UUID) -> None:
    """As if it had been made and tried two days ago."""
    ago = timedelta(days=2)
    with unit_of_work(sessions) as session:
        session.execute(
            update(Job).where(Job.id == delivery_id).values(finished_at=Job.finished_at - ago)
        )
        session.execute(
            update(Delivery)
            .where(Delivery.id == delivery_id)
            .values(created_at=Delivery.created_at - ago)
        )
