"""One trace a call: from its request over every attempt to the callback."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from sqlalchemy import select, update

from api.context import ApiContext
from callytics import tracing
from callytics.db.engine import unit_of_work
from callytics.db.jobs import Jobs
from callytics.db.models import Call, Client, StageRun
from callytics.domain.job import Priority
from callytics.domain.jobs import JobKind
from callytics.domain.stages import Stage
from callytics.errors import ModelUnavailableError
from callytics.logs import about
from callytics.services import quick_summary
from callytics.services.call_ending import CallEndedWork
from callytics.services.delivery import DeliveryWork
from callytics.services.quick_summary import Question
from tests.support.api import CALLS, ApiClient
from tests.support.deliveries import FakeCallbackClient, answer
from tests.support.pipeline import Pipeline
from tests.support.tracing import Spans, traced

REQUEST = f"POST {CALLS}"
HOOK = "https://public.example/hook?token=secret"


@pytest.fixture
def spans() -> Iterator[Spans]:
    with traced() as found:
        yield found


@pytest.fixture
def desk(pipeline: Pipeline, context: ApiContext) -> FakeCallbackClient:
    """The client's endpoint."""
    desk = FakeCallbackClient(answer(200))
    pipeline.jobs[JobKind.CALL_ENDED] = CallEndedWork(context.settings)
    pipeline.jobs[JobKind.DELIVERY] = DeliveryWork(desk, context.cipher, context.settings.callbacks)
    return desk


def attribute(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(name)


def test_a_call_is_one_trace_from_its_request_to_its_callback(
    client: ApiClient, pipeline: Pipeline, desk: FakeCallbackClient, spans: Spans
) -> None:
    call_id = client.submit(callback_url=HOOK)
    pipeline.run()

    assert len(spans.traces()) == 1
    assert spans.parents() == {
        REQUEST: None,
        **{f"stage {stage}": REQUEST for stage in Stage},
        "job call_ended": "stage summarize",
        "job delivery": "job call_ended",
        "callback": "job delivery",
    }
    callback = spans.one("callback")
    assert callback.context
    ((_, headers, _),) = desk.posted
    assert headers["traceparent"].split("-")[2] == f"{callback.context.span_id:016x}"
    assert attribute(callback, "http.response.status_code") == 200
    stage = spans.one("stage transcribe")
    assert attribute(stage, "callytics.call_id") == call_id
    assert attribute(stage, "callytics.attempt") == 1
    assert attribute(stage, "callytics.worker") == "test"
    assert attribute(stage, "callytics.wait_s") >= 0


def test_a_span_says_nothing_of_the_call_or_of_where_its_callback_goes(
    client: ApiClient, pipeline: Pipeline, desk: FakeCallbackClient, spans: Spans
) -> None:
    client.submit(callback_url=HOOK, consultation_id="CL-7", hotwords="kim")
    pipeline.run()

    known = {
        *("attempt", "call_id", "job_id", "job_kind", "request_id", "stage", "tries", "variant"),
        *("wait_s", "worker"),
    }
    for span in spans.all:
        names = {name.removeprefix("callytics.") for name in span.attributes or {}}
        assert names <= {*known, "http.route", "http.response.status_code"}
        assert not re.search("secret|CL-7|kim", str(dict(span.attributes or {})))
        assert span.events == ()


def test_each_attempt_is_a_span_and_a_failed_one_has_the_code(
    client: ApiClient, pipeline: Pipeline, context: ApiContext, spans: Spans
) -> None:
    call_id = UUID(client.submit())
    pipeline.fail(Stage.PREPROCESS, ModelUnavailableError())
    pipeline.run()
    with unit_of_work(context.sessions) as session:
        session.execute(update(StageRun).values(next_attempt_at=None))
    pipeline.succeed(Stage.PREPROCESS)
    pipeline.run_stage(Stage.PREPROCESS, call_id)

    failed, done = spans.named("stage preprocess")
    assert [attribute(span, "callytics.attempt") for span in (failed, done)] == [1, 2]
    assert attribute(failed, "error.type") == failed.status.description == "model_unavailable"
    assert done.status.is_unset


def test_an_unforeseen_error_leaves_no_text_in_the_trace(
    client: ApiClient, pipeline: Pipeline, spans: Spans
) -> None:
    client.submit()
    pipeline.fail(Stage.PREPROCESS, ValueError("고객: 010-1234-5678"))
    pipeline.run()
    assert "010" not in spans.one("stage preprocess").to_json()


def test_the_trace_of_the_client_goes_on(client: ApiClient, spans: Spans) -> None:
    above = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    client.get(CALLS, headers={"traceparent": above})
    client.get(CALLS, headers={"traceparent": "nonsense"})
    first, second = spans.named(f"GET {CALLS}")
    assert first.context
    assert first.parent
    assert f"{first.context.trace_id:032x}" == above.split("-")[1]
    assert f"{first.parent.span_id:016x}" == above.split("-")[2]
    assert second.parent is None


@pytest.mark.parametrize("path", ["/health/live", "/health", "/metrics"])
def test_watchmen_make_no_traces(client: ApiClient, spans: Spans, path: str) -> None:
    client.http.get(path)
    assert spans.all == ()


def test_a_quick_summary_knows_what_asked_for_it(
    client: ApiClient, context: ApiContext, spans: Spans
) -> None:
    with context.sessions() as session:
        client_id = session.scalars(select(Client.id)).one()
    with about(request_id="r-1"), tracing.span("asking"):
        above = tracing.trace_parent()
        asked = quick_summary.ask(
            context.sessions,
            Question(
                client_id=client_id,
                consultation_id="CL-1",
                conversation="고객: 안녕하세요",
                priority=Priority.HIGH,
            ),
            context.settings,
        )
    with unit_of_work(context.sessions) as session:
        job = Jobs(session).lock(asked.summary_id)
        assert job is not None
        assert (job.request_id, job.trace_parent) == ("r-1", above)
    assert above is not None


def test_without_a_collector_nothing_is_traced(
    client: ApiClient, pipeline: Pipeline, desk: FakeCallbackClient, context: ApiContext
) -> None:
    call_id = UUID(client.submit(callback_url=HOOK))
    pipeline.run()
    ((_, headers, _),) = desk.posted
    assert "traceparent" not in headers
    with context.sessions() as session:
        call = session.get_one(Call, call_id)
        assert call.request_id is not None
        assert call.trace_parent is None
