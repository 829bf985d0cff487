"""What runs and what is ready, from heartbeat rows; and what Prometheus is shown."""

from contextlib import closing
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, text, update

from api.context import ApiContext
from api.metrics import Metrics
from callytics.db.engine import unit_of_work
from callytics.db.heartbeats import Heartbeats
from callytics.db.models import ProviderUsage, StageAttempt
from callytics.domain.job import Priority
from callytics.domain.providers import Outcome, Use
from callytics.domain.stages import Queue, Stage
from callytics.embedded.process import free_port
from callytics.errors import NotAudioError
from callytics.queueing.app import make_celery
from callytics.queueing.broker import Broker
from callytics.queueing.dispatch import make_send
from callytics.services.providers import ProviderRows
from callytics.services.stage import Hint
from tests.support.api import CALLS, ApiClient, problem
from tests.support.metrics import Sample, count_from, samples, whole
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until
from tests.support.workers import QUEUES, beat, beat_all, beat_breakers


def ready(http: TestClient) -> bool:
    """As the customer's clients ask."""
    response = http.get("/health")
    assert response.status_code == 200
    found = bool(response.json()["data"]["ready_for_fast_analysis"])
    assert response.json()["status"] == ("healthy" if found else "degraded")
    return found


class TestHealth:
    def test_without_workers_nothing_is_ready(self, http: TestClient) -> None:
        assert not ready(http)
        data = http.get("/health").json()["data"]
        assert set(data["model_status"].values()) == {"missing"}
        others = {Queue.MLM, Queue.CALLBACK, Queue.DIAGNOSIS, Queue.CONTROL}
        assert set(data["queues"]) == {*QUEUES, *others}

    def test_all_is_ready_once_every_queue_has_a_worker_with_its_models(
        self, http: TestClient, context: ApiContext
    ) -> None:
        beat_all(context.sessions)
        assert ready(http)
        data = http.get("/health").json()["data"]
        assert data["model_status"] == dict.fromkeys(
            ["diarize", "transcribe", "punctuate", "sentiment", "summarize"], "ready"
        )
        assert data["fast_analyzer"]["transcribe"] == {
            "status": "ready",
            "model": "stt-model",
            "revision": "1",
            "device": "cpu",
            "load_seconds": 1.5,
            "problem": None,
        }

    @pytest.mark.parametrize("queue", QUEUES)
    def test_one_queue_without_a_worker_is_enough_not_to_be_ready(
        self, http: TestClient, context: ApiContext, queue: Queue
    ) -> None:
        beat_all(context.sessions, but=[queue])
        assert not ready(http)

    @pytest.mark.parametrize("state", ["loading", "warming", "failed", "stopped"])
    def test_a_started_worker_is_not_a_ready_one(
        self, http: TestClient, context: ApiContext, state: str
    ) -> None:
        beat_all(context.sessions)
        beat(context.sessions, Queue.STT, state=state)
        assert not ready(http)

    @pytest.mark.parametrize(("missing", "ready"), [("diagnosis_image", 1), ("diagnosis_text", 0)])
    def test_diagnoses_are_served_without_the_model_for_images(
        self, http: TestClient, context: ApiContext, missing: str, ready: int
    ) -> None:
        models = {name: {"status": "ready"} for name in ("diagnosis_text", "diagnosis_image")}
        models[missing] = {"status": "failed"}
        queue = Queue.DIAGNOSIS
        with unit_of_work(context.sessions) as session:
            Heartbeats(session).beat(
                "d@test", queues=[queue], state="failed", pid=1, device="cpu", models=models
            )
        assert http.get("/health").json()["data"]["queues"][queue]["ready"] == ready

    def test_a_worker_that_fell_silent_is_not_counted_on(
        self, http: TestClient, context: ApiContext
    ) -> None:
        beat_all(context.sessions)
        beat(context.sessions, Queue.STT, age_s=8)
        assert ready(http)
        beat(context.sessions, Queue.STT, age_s=16)
        assert not ready(http)

    def test_a_model_that_does_not_load_says_why(
        self, http: TestClient, context: ApiContext
    ) -> None:
        reason = {"code": "model_unavailable", "detail": "no such file"}
        beat(context.sessions, Queue.STT, state="failed", model={"problem": reason})
        model = http.get("/health").json()["data"]["fast_analyzer"]["transcribe"]
        assert (model["status"], model["problem"]) == ("failed", reason)

    def test_queues_say_what_waits(
        self, client: ApiClient, pipeline: Pipeline, context: ApiContext
    ) -> None:
        client.submit()
        client.submit()
        pipeline.run_stage(Stage.PREPROCESS, pipeline.hints[0].call_id)
        queues = client.http.get("/health").json()["data"]["queues"]
        assert (queues["audio"]["queued"], queues["stt"]["queued"]) == (1, 1)
        assert queues["audio"]["oldest_queued_s"] > 0
        assert queues["slm"] == {
            "workers": 0,
            "ready": 0,
            "queued": 0,
            "running": 0,
            "oldest_queued_s": None,
        }


class TestLiveAndReady:
    def test_with_its_servers_the_process_is_ready(self, http: TestClient) -> None:
        assert http.get("/health/live").json()["status"] == "alive"
        assert http.get("/health/ready").json() == {"status": "ready"}

    class TestWithoutRedis:
        @pytest.fixture
        def redis_url(self) -> str:
            return f"redis://127.0.0.1:{free_port()}/0"

        def test_it_lives_but_is_not_ready(self, http: TestClient) -> None:
            assert http.get("/health/live").status_code == 200
            document = problem(http.get("/health/ready"), 503, "unavailable")
            assert document["detail"] == "Not answering: redis."

        def test_metrics_are_still_shown(self, http: TestClient) -> None:
            wait_until(lambda: metrics(http)["callytics_database_up", ()])
            found = metrics(http)
            assert found["callytics_broker_up", ()] == 0
            assert ("callytics_broker_unacked", ()) not in found

    class TestWithoutDatabase:
        @pytest.fixture
        def database_url(self) -> str:
            return f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none"

        def test_it_lives_but_is_not_ready(self, http: TestClient) -> None:
            assert http.get("/health/live").status_code == 200
            document = problem(http.get("/health/ready"), 503, "unavailable")
            assert document["detail"] == "Not answering: database."

        @pytest.mark.parametrize("path", ["/health", CALLS])
        def test_what_needs_it_says_so(self, http: TestClient, path: str) -> None:
            response = http.get(path, headers={"X-Bound-Key": f"a:1:{'0' * 64}"})
            problem(response, 503, "unavailable")
            assert response.headers["retry-after"] == "2"

        def test_metrics_are_still_shown(self, http: TestClient) -> None:
            assert metrics(http)["callytics_database_up", ()] == 0


def metrics(http: httpx2.Client) -> dict[Sample, float]:
    response = http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    return samples(response.text)


def complete(http: httpx2.Client) -> dict[Sample, float]:
    return whole(lambda: http.get("/metrics").text)


class TestMetrics:
    def test_requests_are_counted_by_outcome(self, client: ApiClient) -> None:
        client.submit()
        client.http.get("/nowhere")
        found = metrics(client.http)
        assert found["api_success_rate_total", (("outcome", "success"),)] == 1
        assert found["api_success_rate_total", (("outcome", "client_error"),)] == 1
        labels = (("method", "POST"), ("route", CALLS), ("status", "202"))
        assert found["callytics_request_seconds_count", labels] == 1

    def test_ids_make_no_series(self, client: ApiClient) -> None:
        client.get(f"{CALLS}/{client.submit()}")
        routes = {dict(labels).get("route") for _, labels in metrics(client.http)}
        assert routes == {None, CALLS, f"{CALLS}/{{call_id}}"}

    def test_what_waits_is_shown_by_queue(self, client: ApiClient, context: ApiContext) -> None:
        client.submit()
        beat(context.sessions, Queue.AUDIO, age_s=3)
        found = complete(client.http)
        audio, slm = (("queue", "audio"),), (("queue", "slm"),)
        assert (found["queue_length", audio], found["queue_length", slm]) == (1, 0)
        assert found["callytics_queue_oldest_seconds", audio] > 0
        assert found["callytics_queue_workers_ready", audio] == 1
        assert 3 <= found["callytics_heartbeat_age_seconds", (("worker", "audio@test"),)] < 10
        assert found["mlm_batch_size", ()] == 0
        assert found["callytics_database_up", ()] == 1

    @pytest.fixture
    def attempts(self, client: ApiClient, pipeline: Pipeline, context: ApiContext) -> None:
        """One call is done, one has failed, and their transactions are long through."""
        count_from(context.sessions)
        client.submit()
        pipeline.run()
        client.submit()
        pipeline.fail(Stage.PREPROCESS, NotAudioError())
        pipeline.run()
        with unit_of_work(context.sessions) as session:
            session.execute(
                update(StageAttempt).values(
                    started_at=func.clock_timestamp() - text("interval '4 seconds'"),
                    finished_at=func.clock_timestamp() - text("interval '2 seconds'"),
                )
            )
            of_audio = StageAttempt.stage == Stage.TRANSCRIBE
            session.execute(update(StageAttempt).where(of_audio).values(audio_s=20))

    @pytest.mark.usefixtures("attempts")
    def test_attempts_are_counted_once(self, client: ApiClient) -> None:
        for _ in range(2):
            found = complete(client.http)
            stage = (("stage", "diarize"), ("variant", "v1"))
            assert found["callytics_stage_seconds_count", stage] == 1
            assert found["callytics_stage_seconds_sum", stage] == pytest.approx(2, abs=0.1)
            failure = (("code", "not_audio"), ("stage", "preprocess"), ("variant", "v1"))
            assert found["callytics_stage_failures_total", failure] == 1

    @pytest.mark.usefixtures("attempts")
    def test_another_process_shows_the_same(
        self, client: ApiClient, context: ApiContext, redis_url: str
    ) -> None:
        first = complete(client.http)
        with closing(Metrics(context.sessions, Broker(redis_url))) as other:
            second = whole(lambda: other.render().decode())
        counted = {sample for sample in first if sample[0].startswith("callytics_stage_")}
        assert counted
        assert {sample: first[sample] for sample in counted} == {
            sample: second[sample] for sample in counted
        }

    @pytest.mark.usefixtures("attempts")
    def test_an_attempt_tells_its_wait_and_its_speed(self, client: ApiClient) -> None:
        found = complete(client.http)
        stage = (("stage", "transcribe"), ("variant", "v1"))
        assert found["callytics_stage_wait_seconds_count", stage] == 1
        assert found["callytics_stage_audio_seconds_total", stage] == 20
        assert found["callytics_stage_realtime_factor_count", stage] == 1
        factor = found["callytics_stage_realtime_factor_sum", stage]
        assert factor == pytest.approx(2 / 20, rel=0.1)

    def test_rows_and_messages_are_compared(
        self, client: ApiClient, context: ApiContext, redis_url: str
    ) -> None:
        for _ in range(3):
            client.submit()
        app = make_celery(context.settings)
        for priority in (Priority.HIGH, Priority.NORMAL):
            hint = Hint(
                call_id=uuid4(), stages=(Stage.PREPROCESS,), priority=priority, duration_s=None
            )
            make_send(app)([hint])
        app.close()
        found = complete(client.http)
        audio = (("queue", "audio"),)
        assert found["callytics_broker_up", ()] == 1
        assert found["callytics_broker_messages", audio] == 2
        assert found["callytics_queue_difference", audio] == 1
        assert found["callytics_broker_unacked", ()] == 0

    def test_models_are_shown_as_workers_have_them(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        beat(context.sessions, Queue.STT, model={"status": "failed"}, state="failed")
        beat(context.sessions, Queue.SENTIMENT)
        found = complete(client.http)
        for model, status in (("transcribe", "failed"), ("sentiment", "ready")):
            for other in ("loading", "warming", "ready", "failed"):
                labels = (("model", model), ("status", other))
                assert found["callytics_models", labels] == (other == status)
        labels = (("model", "sentiment"), ("worker", "sentiment@test"))
        assert found["callytics_model_load_seconds", labels] == 1.5

    def test_what_will_be_counted_is_there_at_nought(self, http: TestClient) -> None:
        found = complete(http)
        assert found["callytics_quick_summaries_late_total", ()] == 0
        assert found["callytics_sweeps_total", ()] == 0
        assert found["callytics_sweeper_actions_total", (("action", "hint_sent"),)] == 0
        assert found["slm_response_time_bucket", (("le", "3.0"),)] == 0

    def test_a_scrape_does_not_wait_for_a_database_that_hangs(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        with context.sessions() as hanging:
            hanging.execute(text("LOCK TABLE stage_runs IN ACCESS EXCLUSIVE MODE"))
            found = metrics(client.http)
            assert found["callytics_database_up", ()] == 0
        wait_until(lambda: metrics(client.http)["callytics_database_up", ()] == 1)

    def test_breakers_are_those_of_living_workers(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        beat_breakers(context.sessions, "slm-1", openai="open", vllm="closed")
        beat_breakers(context.sessions, "slm-2", openai="open", vllm="open")
        beat_breakers(context.sessions, "slm-3", openai="closed", vllm="closed")
        beat_breakers(context.sessions, "slm-4", age_s=60, openai="open", vllm="open")
        beat(context.sessions, Queue.SENTIMENT)
        found = complete(client.http)

        def workers(provider: str, state: str) -> float:
            labels = (("provider", provider), ("state", state), ("task", "slm"))
            return found["callytics_provider_breakers", labels]

        assert (workers("openai", "open"), workers("openai", "closed")) == (2, 1)
        assert (workers("vllm", "open"), workers("vllm", "closed")) == (1, 2)

    def test_providers_are_counted_over_all_processes(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        def use(outcome: Outcome, **more: Any) -> Use:
            return Use(task="slm", provider="openai", model="m", outcome=outcome, seconds=1, **more)

        rows = ProviderRows(context.sessions)
        for _ in range(3):
            rows.note(use(Outcome.OK, prompt_tokens=10, output_tokens=2, cost_usd=0.5))
        rows.note(use(Outcome.RATE_LIMITED))
        found = complete(client.http)
        who = (("provider", "openai"), ("task", "slm"))

        def labelled(**label: str) -> tuple[tuple[str, str], ...]:
            return tuple(sorted([*who, *label.items()]))

        requests, tokens = "callytics_provider_requests_total", "callytics_provider_tokens_total"
        assert found[requests, labelled(outcome="ok")] == 3
        assert found[requests, labelled(outcome="rate_limited")] == 1
        assert found[tokens, labelled(direction="prompt")] == 30
        assert found[tokens, labelled(direction="output")] == 6
        assert found["callytics_provider_cost_usd_total", who] == 1.5
        assert found["callytics_provider_success_rate", who] == 0.75
        with unit_of_work(context.sessions) as session:
            session.execute(
                update(ProviderUsage).values(hour=ProviderUsage.hour - text("interval '2 hours'"))
            )
        later = complete(client.http)
        assert later[requests, labelled(outcome="ok")] == 3
        assert ("callytics_provider_success_rate", who) not in later
