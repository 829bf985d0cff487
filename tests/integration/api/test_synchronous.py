"""The older paths, which answer when the analysis is done."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update

from api.context import ApiContext
from api.errors import status_of
from api.routers.synchronous import ANALYSIS_ERRORS
from callytics.db.engine import unit_of_work
from callytics.db.models import StageRun
from callytics.domain.stages import Queue, Stage
from callytics.errors import CallyticsError, NotAudioError
from tests.support.api import CALLS, ApiClient, problem, serving, tone
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until
from tests.support.workers import beat, beat_all

PATHS = ["/process_audio", "/process_audio_fast"]

Ask = Callable[..., Future[httpx2.Response]]


@pytest.fixture(autouse=True)
def recording(audio_root: Path) -> Path:
    file = audio_root / "call.wav"
    file.write_bytes(tone())
    return file


@pytest.fixture
def ask(client: ApiClient, pipeline: Pipeline) -> Iterator[Ask]:
    """Asks in a thread; returns once the call was taken in."""
    with ThreadPoolExecutor(8) as pool:

        def begin(path: str, **options: Any) -> Future[httpx2.Response]:
            waiting = len(pipeline.hints)
            future = pool.submit(client.post, path, json={"audio_path": "call.wav", **options})
            wait_until(lambda: len(pipeline.hints) > waiting or future.done())
            return future

        yield begin


@pytest.fixture
def models_ready(context: ApiContext) -> None:
    beat_all(context.sessions)


@pytest.mark.usefixtures("models_ready")
@pytest.mark.parametrize("path", PATHS)
def test_the_answer_is_the_calls_result(
    client: ApiClient, pipeline: Pipeline, ask: Ask, path: str
) -> None:
    answer = ask(path, consultation_id="CL-1")
    pipeline.run()
    response = answer.result()

    assert response.status_code == 200
    result = response.json()
    assert (result["status"], result["consultation_id"]) == ("completed", "CL-1")
    assert result["summary"]["text"]
    assert result == client.get(f"{CALLS}/{result['call_id']}").json()


@pytest.mark.usefixtures("models_ready")
@pytest.mark.parametrize("path", PATHS)
def test_what_takes_too_long_can_be_fetched_later(
    http: TestClient, context: ApiContext, client: ApiClient, pipeline: Pipeline, path: str
) -> None:
    short = context.settings.api.model_copy(update={"wait_timeout_s": 0.2})
    settings = context.settings.model_copy(update={"api": short})
    app = cast("FastAPI", http.app)
    app.state.context = replace(context, settings=settings)

    response = client.post(path, json={"audio_path": "call.wav"})
    assert response.status_code == 202
    assert response.headers["location"] == response.json()["status_url"]
    pipeline.run()
    assert client.get(response.headers["location"]).json()["status"] == "completed"


def test_the_fast_path_refuses_while_a_model_is_not_ready(
    context: ApiContext, client: ApiClient
) -> None:
    beat_all(context.sessions, but=[Queue.STT, Queue.SLM])
    beat(context.sessions, Queue.STT, state="loading")
    response = client.post("/process_audio_fast", json={"audio_path": "call.wav"})

    document = problem(response, 503, "models_not_ready")
    assert document["detail"] == "The models are not ready (stt: loading, slm: missing)."
    assert int(response.headers["retry-after"]) > 0
    assert client.get(CALLS).json()["data"] == []


@pytest.mark.parametrize("path", [*PATHS, CALLS])
@pytest.mark.parametrize("field", ["audio_path", "consultation_id"])
def test_half_a_surrogate_pair_is_no_text(client: ApiClient, path: str, field: str) -> None:
    body = json.dumps({"audio_path": "call.wav", field: "\ud800"})
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in {400, 422}


def test_the_slow_path_waits_for_models(pipeline: Pipeline, ask: Ask) -> None:
    answer = ask("/process_audio")
    assert not answer.done()
    pipeline.run()
    assert answer.result().status_code == 200


@pytest.mark.parametrize("kind", [NotAudioError, *ANALYSIS_ERRORS])
def test_a_failed_analysis_is_a_problem(
    client: ApiClient,
    context: ApiContext,
    pipeline: Pipeline,
    ask: Ask,
    kind: type[CallyticsError],
) -> None:
    answer = ask("/process_audio")
    pipeline.fail(Stage.PREPROCESS, kind())
    call_id = pipeline.hints[0].call_id
    allow_one_attempt(context)
    pipeline.run()
    document = problem(answer.result(), status_of(kind), kind.code)
    assert document["call_id"] == str(call_id)
    assert document["stage"] == "preprocess"
    assert client.get(f"{CALLS}/{call_id}").json()["status"] == "failed"


def allow_one_attempt(context: ApiContext) -> None:
    with unit_of_work(context.sessions) as session:
        session.execute(update(StageRun).values(attempt_limit=1))


def test_a_cancelled_analysis_is_a_problem(client: ApiClient, pipeline: Pipeline, ask: Ask) -> None:
    answer = ask("/process_audio")
    call_id = pipeline.hints[0].call_id
    client.post(f"{CALLS}/{call_id}/cancel")
    assert problem(answer.result(), 409, "call_cancelled")["call_id"] == str(call_id)


def test_a_deleted_call_is_a_problem(client: ApiClient, pipeline: Pipeline, ask: Ask) -> None:
    answer = ask("/process_audio")
    client.request("DELETE", f"{CALLS}/{pipeline.hints[0].call_id}")
    problem(answer.result(), 404, "call_not_found")


def test_more_may_wait_than_there_are_threads(
    context: ApiContext, client: ApiClient, pipeline: Pipeline
) -> None:
    """Starlette has 40 threads; here 60 requests wait at once, and others are answered meanwhile."""
    with ThreadPoolExecutor(60) as pool:
        body = {"audio_path": "call.wav"}
        waiting = [pool.submit(client.post, "/process_audio", json=body) for _ in range(60)]
        wait_until(lambda: context.watch.watchers == 60)
        assert client.get(CALLS).status_code == 200
        pipeline.run()
        assert {answer.result().status_code for answer in waiting} == {200}


@pytest.mark.parametrize("path", PATHS)
def test_a_request_that_is_not_right(client: ApiClient, context: ApiContext, path: str) -> None:
    beat_all(context.sessions)
    problem(client.post(path, json={}), 422, "invalid_request")
    problem(client.post(path, json={"audio_path": "/etc/passwd"}), 403, "audio_path_forbidden")
    problem(client.post(path, json={"audio_path": "missing"}), 422, "audio_path_unreadable")
    problem(client.post(path, data={"audio_path": "call.wav"}), 415, "unsupported_media_type")
    problem(client.http.post(path, json={"audio_path": "call.wav"}), 401, "invalid_bound_key")


def test_the_same_request_under_the_same_key_waits_for_the_same_call(
    client: ApiClient, pipeline: Pipeline
) -> None:
    request = {"json": {"audio_path": "call.wav"}, "headers": {"Idempotency-Key": "k1"}}
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(client.post, "/process_audio", **request) for _ in range(2)]
        wait_until(lambda: pipeline.hints)
        pipeline.run()
        ids = {answer.result().json()["call_id"] for answer in answers}
    assert len(ids) == 1


def test_who_hangs_up_is_not_waited_for(context: ApiContext, client: ApiClient) -> None:
    with serving(context) as http:
        impatient = ApiClient(http, client.name, client.secret)
        with pytest.raises(httpx2.ReadTimeout):
            impatient.post("/process_audio", json={"audio_path": "call.wav"}, timeout=0.5)
        wait_until(lambda: context.watch.watchers == 0)
        assert len(impatient.get(CALLS).json()["data"]) == 1
