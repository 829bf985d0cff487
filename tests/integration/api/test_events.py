"""Progress as server-sent events, over a real server and real connections."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text

from api.context import ApiContext
from api.watch import ChangeWatch
from callytics.cli import sse
from callytics.domain.stages import EVERY_STAGE, Stage
from callytics.embedded.process import free_port
from tests.support.api import CALLS, ApiClient, problem, serving
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

POLL_S = 60
"""So long that whatever these tests hear of was notified."""


@pytest.fixture
def context(context: ApiContext) -> ApiContext:
    return replace(context, watch=watch(context, POLL_S))


def watch(context: ApiContext, poll_s: float) -> ChangeWatch:
    return ChangeWatch(context.engine.url.render_as_string(hide_password=False), poll_s=poll_s)


@pytest.fixture
def http(context: ApiContext) -> Iterator[httpx2.Client]:
    """A client of a real server."""
    with serving(context) as client:
        yield client


@contextmanager
def following(client: ApiClient, call_id: str, **headers: str) -> Iterator[Iterator[sse.Event]]:
    headers["X-Bound-Key"] = client.key()
    path = f"{CALLS}/{call_id}/events"
    with client.http.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield sse.parse(response.iter_bytes())


def told(event: sse.Event) -> tuple[str, str | None, str]:
    data = json.loads(event.data)
    return event.name, data.get("name"), data["status"]


def take(events: Iterator[sse.Event], count: int) -> list[tuple[str, str | None, str]]:
    return [told(next(events)) for _ in range(count)]


def test_first_all_is_told_as_it_stands(client: ApiClient) -> None:
    call_id = client.submit()
    with following(client, call_id) as events:
        assert take(events, 8) == [
            ("stage", "preprocess", "queued"),
            *(("stage", stage.value, "waiting") for stage in EVERY_STAGE[1:]),
            ("status", None, "queued"),
        ]


def test_each_change_is_told_and_the_stream_ends_with_the_call(
    client: ApiClient, pipeline: Pipeline
) -> None:
    call_id = client.submit()
    with following(client, call_id) as events, ThreadPoolExecutor(1) as pool:
        take(events, 8)
        running = pool.submit(pipeline.run)
        rest = [told(event) for event in events]
        running.result()

    for stage in EVERY_STAGE:
        assert rest.count(("stage", stage.value, "done")) == 1
    assert rest[-1] == ("status", None, "completed")


def test_a_stage_is_told_as_the_result_shows_it(client: ApiClient, pipeline: Pipeline) -> None:
    call_id = client.submit()
    pipeline.run()
    with following(client, call_id) as events:
        stages = [json.loads(event.data) for event in events if event.name == "stage"]
    assert stages == client.get(f"{CALLS}/{call_id}").json()["stages"]


def test_a_call_that_has_ended_is_told_at_once(client: ApiClient, pipeline: Pipeline) -> None:
    call_id = client.submit()
    pipeline.run()
    with following(client, call_id) as events:
        assert [told(event) for event in events][-1] == ("status", None, "completed")


def test_a_client_that_comes_back_is_told_all_again(client: ApiClient, pipeline: Pipeline) -> None:
    call_id = client.submit()
    pipeline.run()
    with following(client, call_id, **{"Last-Event-ID": "no number"}) as events:
        assert len(list(events)) == 8


def test_a_deletion_ends_the_stream(client: ApiClient) -> None:
    call_id = client.submit()
    with following(client, call_id) as events:
        take(events, 8)
        client.request("DELETE", f"{CALLS}/{call_id}")
        assert [event.name for event in events] == ["deleted"]


def test_many_follow_the_same_call_over_one_connection(
    client: ApiClient, pipeline: Pipeline, context: ApiContext
) -> None:
    call_id = client.submit()
    with ThreadPoolExecutor(10) as pool:
        readers = [pool.submit(last_of, client, call_id) for _ in range(10)]
        wait_until(lambda: context.watch.watchers == 10)
        with context.sessions() as session:
            listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            assert session.scalar(text(listening)) == 1
        pipeline.run()
        assert {reader.result() for reader in readers} == {("status", None, "completed")}


def last_of(client: ApiClient, call_id: str) -> Any:
    with following(client, call_id) as events:
        return [told(event) for event in events][-1]


def test_a_client_that_goes_away_leaves_nothing_behind(
    client: ApiClient, context: ApiContext
) -> None:
    call_id = client.submit()
    with following(client, call_id) as events:
        take(events, 8)
        assert context.watch.watchers == 1
    wait_until(lambda: context.watch.watchers == 0)


def test_a_lost_listening_connection_is_made_anew(
    client: ApiClient, pipeline: Pipeline, context: ApiContext
) -> None:
    call_id = client.submit()
    with following(client, call_id) as events:
        take(events, 8)
        with context.sessions() as session:
            session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'callytics-watch'"
                )
            )
        pipeline.run_stage(Stage.PREPROCESS, pipeline.hints[0].call_id)
        assert ("stage", "preprocess", "done") in take(events, 2)


def test_an_unknown_call_is_a_problem_and_no_stream(client: ApiClient) -> None:
    problem(client.get(f"{CALLS}/{uuid4()}/events"), 404, "call_not_found")


class TestWithoutNotifications:
    @pytest.fixture
    def context(self, context: ApiContext) -> ApiContext:
        """Its watch listens nowhere, so only looking again helps."""
        nowhere = f"postgresql://127.0.0.1:{free_port()}/none"
        return replace(context, watch=ChangeWatch(nowhere, poll_s=0.05))

    def test_changes_are_told_a_little_later(self, client: ApiClient, pipeline: Pipeline) -> None:
        call_id = client.submit()
        with following(client, call_id) as events:
            take(events, 8)
            pipeline.run()
            assert [told(event) for event in events][-1] == ("status", None, "completed")
