"""The sentiment service on real servers; the model is scripted, and whoever runs it is a thread here."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Event
from typing import Any, cast

import httpx2
import pytest
from sqlalchemy import func, select

from api.context import ApiContext
from callytics.adapters.answer_cache import AnswerCache
from callytics.db.engine import unit_of_work
from callytics.db.heartbeats import Heartbeats
from callytics.db.models import SentimentRequest
from callytics.domain.routes import Lane, Route
from callytics.domain.scopes import Scope
from callytics.domain.stages import Queue
from callytics.embedded.process import free_port
from callytics.services import api_keys, routes
from callytics.services.classifier import Classifier
from callytics.services.sentiment import Sentiments
from callytics.settings import SentimentSettings
from tests.support.api import ApiClient, problem, serving
from tests.support.sentiment import ScriptedSentiment
from tests.support.waiting import wait_until

PATH = "/api/v1/sentiment"
THANKS, ANGER, NEITHER = "정말 감사합니다", "화가 나요", "그냥 그래요"


@dataclass
class Worker:
    """Judges one batch after the other when told, as the child of a worker process does."""

    context: ApiContext
    model: ScriptedSentiment = field(default_factory=ScriptedSentiment)
    models: dict[str, ScriptedSentiment] = field(default_factory=dict)
    """Of the variants beside the first."""
    told: int = 0
    deaf: int = 0
    """So many messages are lost."""
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def tell(self, variant: str) -> None:
        self.told += 1
        if self.told > self.deaf:
            self.pool.submit(self.work, variant)

    def work(self, variant: str) -> None:
        Classifier(
            self.context.sessions,
            self.models.get(variant, self.model),
            self.context.settings.sentiment,
            worker=f"{variant}@test",
            variant=variant,
            again=self.tell,
        )()

    def beat(
        self, *, state: str = "ready", worker: str = "sentiment@test", variant: str = "v1"
    ) -> None:
        info = self.models.get(variant, self.model).info
        said = {
            "status": state,
            "model": info.name,
            "revision": info.revision,
            "fingerprint": info.fingerprint,
            "details": dict(info.details),
        }
        with unit_of_work(self.context.sessions) as session:
            Heartbeats(session).beat(
                worker,
                queues=[str(Lane(Queue.SENTIMENT, variant))],
                state=state,
                pid=1,
                device="cpu",
                models={"sentiment": said},
            )


def limited(context: ApiContext, **limits: Any) -> ApiContext:
    """`context` with these settings of the service."""
    sentiment = context.settings.sentiment.model_copy(update=limits)
    settings = context.settings.model_copy(update={"sentiment": sentiment})
    return replace(context, settings=settings)


@pytest.fixture
def limits() -> dict[str, Any]:
    return {}


@pytest.fixture
def context(context: ApiContext, limits: dict[str, Any]) -> ApiContext:
    return limited(context, **limits)


@pytest.fixture
def worker(context: ApiContext) -> Iterator[Worker]:
    worker = Worker(context)
    worker.beat()
    yield worker
    worker.pool.shutdown()


@pytest.fixture
def served(context: ApiContext, worker: Worker) -> ApiContext:
    sentiments = Sentiments(
        context.sessions, context.cache, context.settings.sentiment, tell=worker.tell
    )
    return replace(context, sentiments=sentiments)


@pytest.fixture
def client(served: ApiContext, new_client: Callable[..., ApiClient]) -> Iterator[ApiClient]:
    """Of a server that waits on a real socket."""
    made = new_client("centerlink")
    with serving(served) as http:
        yield ApiClient(http, made.name, made.secret)


def analyze(client: ApiClient, text: Any, **more: Any) -> httpx2.Response:
    return client.post(f"{PATH}/analyze", json={"text": text, **more})


def batch(client: ApiClient, texts: Any) -> httpx2.Response:
    return client.post(f"{PATH}/batch", json={"texts": texts})


def labels(response: httpx2.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [result["sentiment"] for result in response.json()["data"]["results"]]


def wait_for(event: Event) -> None:
    assert event.wait(30)


def rows(context: ApiContext) -> int:
    with unit_of_work(context.sessions) as session:
        return session.scalar(select(func.count()).select_from(SentimentRequest)) or 0


class TestContract:
    def test_one_text_is_answered_field_for_field(self, client: ApiClient) -> None:
        answer = analyze(client, THANKS).json()

        taken_ms = answer["data"].pop("processing_time_ms")
        assert answer == {
            "status": "success",
            "data": {
                "text": THANKS,
                "sentiment": "긍정",
                "score": 0.9,
                "probabilities": {"부정": 0.1, "긍정": 0.9},
            },
        }
        assert 0 < taken_ms < 10_000

    def test_probabilities_may_be_left_out(self, client: ApiClient) -> None:
        data = analyze(client, THANKS, return_probabilities=False).json()["data"]
        assert data.keys() == {"text", "sentiment", "score", "processing_time_ms"}

    def test_many_texts_are_answered_in_their_order(self, client: ApiClient) -> None:
        texts = [THANKS, ANGER, NEITHER, THANKS]
        answer = batch(client, texts).json()

        assert answer["status"] == "success"
        assert answer["data"]["total_count"] == 4
        assert answer["data"]["processing_time_ms"] > 0
        assert answer["data"]["results"] == [
            {"text": THANKS, "sentiment": "긍정", "score": 0.9},
            {"text": ANGER, "sentiment": "부정", "score": 0.9},
            {"text": NEITHER, "sentiment": "중립", "score": 0.5},
            {"text": THANKS, "sentiment": "긍정", "score": 0.9},
        ]

    def test_no_texts_are_no_work(self, client: ApiClient, worker: Worker) -> None:
        assert labels(batch(client, [])) == []
        assert worker.model.asked == []

    def test_health(self, client: ApiClient) -> None:
        answer = client.http.get(f"{PATH}/health")
        assert answer.status_code == 200
        assert answer.json().items() >= {
            ("status", "healthy"),
            ("model_loaded", True),
            ("redis_connected", True),
        }

    def test_model_info(self, client: ApiClient) -> None:
        assert client.get(f"{PATH}/model-info").json() == {
            "model_name": "scripted",
            "model_type": "ELECTRA",
            "language": "Korean",
            "num_labels": 2,
            "max_length": 512,
            "version": "1",
        }

    def test_the_answer_says_which_model_judged(self, client: ApiClient) -> None:
        assert analyze(client, THANKS).headers["x-model"] == "scripted@1"

    def test_nothing_of_a_request_is_left(self, client: ApiClient, context: ApiContext) -> None:
        labels(batch(client, [THANKS, ANGER]))
        assert rows(context) == 0


class TestTexts:
    def test_the_model_reads_no_markup_and_the_client_sees_what_it_sent(
        self, client: ApiClient, worker: Worker
    ) -> None:
        text = "<p>정말\u200b <b>감사</b>합니다\x07</p>"
        assert analyze(client, text).json()["data"]["text"] == text
        assert worker.model.asked == [["정말 감사 합니다"]]

    @pytest.mark.parametrize(
        "text", ["😀😡", "good 좋아요 很好 хорошо", "ㅋㅋㅋ", "1234", "?!", "<3"]
    )
    def test_whatever_can_be_seen_is_judged(self, client: ApiClient, text: str) -> None:
        assert analyze(client, text).json()["status"] == "success"

    @pytest.mark.parametrize(
        "text",
        ["", "   ", "\n\t", "\u200b\ufeff", "\x00\x01", "<br><p></p>", "<script>감사</script>"],
    )
    def test_what_says_nothing_is_refused(self, client: ApiClient, text: str) -> None:
        document = problem(analyze(client, text), 422, "empty_text")
        assert document["texts"] == [0]

    def test_the_places_of_empty_texts_are_told(self, client: ApiClient, worker: Worker) -> None:
        document = problem(batch(client, [THANKS, "", "<br>"]), 422, "empty_text")
        assert (document["texts"], document["faulty_texts"]) == ([1, 2], 2)
        assert worker.model.asked == []

    def test_a_text_that_is_too_long_is_refused(self, client: ApiClient) -> None:
        document = problem(analyze(client, "가" * 2001), 422, "text_too_long")
        assert "2000 characters" in document["detail"]

    def test_a_megabyte_is_refused(self, client: ApiClient) -> None:
        document = problem(analyze(client, "a" * 2**20), 413, "request_too_large")
        assert document["max_bytes"] == 2**20
        assert str(2**20) in document["detail"]

    def test_ten_thousand_texts_are_refused(self, client: ApiClient) -> None:
        document = problem(batch(client, ["좋아요"] * 10_000), 422, "text_too_long")
        assert document["max_texts"] == 1000

    def test_more_characters_than_can_be_judged_in_time_are_refused(
        self, client: ApiClient
    ) -> None:
        document = problem(batch(client, ["a" * 2000] * 26), 422, "text_too_long")
        assert document["max_request_chars"] == 50_000

    @pytest.mark.parametrize(
        "texts", [[1], [None], [["좋아요"]], [{"text": "좋아요"}], "좋아요", None, {"0": "좋아요"}]
    )
    def test_what_is_no_list_of_texts_is_refused(self, client: ApiClient, texts: Any) -> None:
        problem(batch(client, texts), 422, "invalid_request")

    def test_a_list_of_very_many_wrong_things_is_refused_in_short(self, client: ApiClient) -> None:
        document = problem(batch(client, [1] * 10_000), 422, "invalid_request")
        assert len(document["errors"]) == 1

    @pytest.mark.parametrize("text", [1, None, True, ["좋아요"]])
    def test_what_is_no_text_is_refused(self, client: ApiClient, text: Any) -> None:
        problem(analyze(client, text), 422, "invalid_request")

    def test_what_is_no_json_is_refused(self, client: ApiClient) -> None:
        json = {"Content-Type": "application/json"}
        problem(
            client.post(f"{PATH}/analyze", content=b"{", headers=json), 400, "malformed_request"
        )
        surrogate = b'{"text": "\\ud800"}'
        problem(
            client.post(f"{PATH}/analyze", content=surrogate, headers=json),
            400,
            "malformed_request",
        )
        problem(client.post(f"{PATH}/analyze", data={"text": "x"}), 415, "unsupported_media_type")

    def test_unknown_fields_are_refused(self, client: ApiClient) -> None:
        problem(analyze(client, THANKS, language="ko"), 422, "invalid_request")

    def test_as_many_texts_as_are_allowed_are_judged(
        self, client: ApiClient, worker: Worker
    ) -> None:
        texts = [f"{number} 감사" for number in range(1000)]
        assert labels(batch(client, texts)) == ["긍정"] * 1000
        assert max(len(asked) for asked in worker.model.asked) <= 32


class TestKeys:
    def test_an_api_key_lets_in_by_either_header(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        key = new_key(context, client)
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            answer = client.http.post(f"{PATH}/analyze", json={"text": THANKS}, headers=headers)
            assert answer.status_code == 200, answer.text

    def test_a_bound_key_lets_in_as_a_bearer_token(self, client: ApiClient) -> None:
        headers = {"Authorization": f"Bearer {client.key()}"}
        answer = client.http.post(f"{PATH}/analyze", json={"text": THANKS}, headers=headers)
        assert answer.status_code == 200, answer.text

    @pytest.mark.parametrize("key", ["cak_x", "x" * 10_000])
    def test_a_wrong_api_key_is_refused(self, client: ApiClient, key: str) -> None:
        headers = {"X-API-Key": key}
        answer = client.http.post(f"{PATH}/analyze", json={"text": THANKS}, headers=headers)
        problem(answer, 401, "invalid_api_key")
        assert answer.headers["www-authenticate"] == "X-API-Key"

    def test_no_key_is_refused_before_the_body_is_read(self, client: ApiClient) -> None:
        answer = client.http.post(f"{PATH}/analyze", content=b"{")
        document = problem(answer, 401, "invalid_bound_key")
        assert "X-API-Key" in document["detail"]

    def test_an_api_key_goes_before_a_bound_key(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        both = {"X-API-Key": new_key(context, client), "X-Bound-Key": "wrong"}
        assert client.http.get(f"{PATH}/model-info", headers=both).status_code == 200
        both = {"X-API-Key": "cak_wrong", "X-Bound-Key": client.key()}
        answer = client.http.get(f"{PATH}/model-info", headers=both)
        problem(answer, 401, "invalid_api_key")

    def test_a_revoked_key_is_refused(self, client: ApiClient, context: ApiContext) -> None:
        key = new_key(context, client)
        with unit_of_work(context.sessions) as session:
            api_keys.revoke(session, client=client.name, hint=key[: api_keys.HINT_LENGTH])
        answer = client.http.get(f"{PATH}/model-info", headers={"X-API-Key": key})
        problem(answer, 401, "invalid_api_key")

    def test_an_expired_key_is_refused(self, client: ApiClient, context: ApiContext) -> None:
        key = new_key(context, client, good_for=timedelta(seconds=-1))
        answer = client.http.get(f"{PATH}/model-info", headers={"X-API-Key": key})
        problem(answer, 401, "invalid_api_key")

    def test_an_api_key_opens_nothing_but_the_text_services(
        self, client: ApiClient, context: ApiContext
    ) -> None:
        key = new_key(context, client)
        answer = client.http.get("/api/v1/calls", headers={"X-API-Key": key})
        problem(answer, 401, "invalid_bound_key")

    def test_its_client_may_do_no_more_with_it(
        self, client: ApiClient, context: ApiContext, new_client: Callable[..., ApiClient]
    ) -> None:
        reader = new_client("reader", scopes=[Scope.READ])
        headers = {"X-API-Key": new_key(context, reader)}
        assert client.http.get(f"{PATH}/model-info", headers=headers).status_code == 200
        answer = client.http.post(f"{PATH}/analyze", json={"text": THANKS}, headers=headers)
        problem(answer, 403, "forbidden")

    def test_requests_are_counted_for_the_client(
        self, client: ApiClient, context: ApiContext, new_client: Callable[..., ApiClient]
    ) -> None:
        headers = {"X-API-Key": new_key(context, new_client("slow", limit=1))}
        assert client.http.get(f"{PATH}/model-info", headers=headers).status_code == 200
        problem(client.http.get(f"{PATH}/model-info", headers=headers), 429, "rate_limited")

    def test_no_key_is_kept_or_logged(
        self, client: ApiClient, context: ApiContext, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            key = new_key(context, client)
            client.http.get(f"{PATH}/model-info", headers={"X-API-Key": key})
        secret = key[api_keys.HINT_LENGTH :]
        assert secret not in caplog.text
        with unit_of_work(context.sessions) as session:
            for found in api_keys.every(session, client=client.name):
                assert secret not in str({**vars(found)})


def new_key(context: ApiContext, client: ApiClient, *, good_for: timedelta | None = None) -> str:
    with unit_of_work(context.sessions) as session:
        return api_keys.create(session, client=client.name, name="test", good_for=good_for)


class TestCache:
    def test_the_same_text_is_judged_once(self, client: ApiClient, worker: Worker) -> None:
        first, second = analyze(client, THANKS), analyze(client, f"<b>{THANKS}</b>")

        assert (first.headers["x-cache"], second.headers["x-cache"]) == ("MISS", "HIT")
        assert worker.model.asked == [[THANKS]]
        assert second.json()["data"]["score"] == 0.9
        assert second.headers["x-model"] == "scripted@1"

    def test_only_what_is_not_known_is_judged(self, client: ApiClient, worker: Worker) -> None:
        analyze(client, THANKS)
        answer = batch(client, [THANKS, ANGER, ANGER])

        assert labels(answer) == ["긍정", "부정", "부정"]
        assert answer.headers["x-cache"] == "PARTIAL"
        assert worker.model.asked == [[THANKS], [ANGER]]

    def test_another_process_finds_it_in_redis(
        self, client: ApiClient, served: ApiContext, worker: Worker
    ) -> None:
        analyze(client, THANKS)
        with serving(with_cache(served, redis_of(served))) as http:
            answer = analyze(ApiClient(http, client.name, client.secret), THANKS)
        assert answer.headers["x-cache"] == "HIT"
        assert len(worker.model.asked) == 1

    def test_what_is_kept_is_no_text(self, client: ApiClient, served: ApiContext) -> None:
        analyze(client, THANKS)
        store = served.cache._redis
        keys = store.keys("callytics:sentiment:*")
        assert len(keys) == 1
        assert 0 < store.ttl(keys[0]) <= 3600
        assert "감사".encode() not in cast("bytes", store.get(keys[0]))

    def test_a_new_model_never_gives_the_old_one_s_answers(
        self, client: ApiClient, worker: Worker
    ) -> None:
        analyze(client, THANKS)
        worker.model.revision = "2"
        worker.beat()

        answer = analyze(client, THANKS)
        assert (answer.headers["x-cache"], answer.headers["x-model"]) == ("MISS", "scripted@2")
        assert analyze(client, THANKS).headers["x-cache"] == "HIT"

    def test_nothing_is_looked_up_while_two_models_serve(
        self, client: ApiClient, worker: Worker
    ) -> None:
        analyze(client, THANKS)
        worker.model.revision = "2"
        worker.beat(worker="sentiment-new@test")

        answer = analyze(client, THANKS)
        assert (answer.headers["x-cache"], answer.headers["x-model"]) == ("MISS", "scripted@2")

    def test_an_answer_of_the_old_model_is_kept_as_its_own(
        self, client: ApiClient, worker: Worker
    ) -> None:
        """The worker that takes the text is not the one that the heartbeat told of."""
        worker.model.revision = "0"
        assert analyze(client, THANKS).headers["x-model"] == "scripted@0"
        worker.model.revision = "1"
        assert analyze(client, THANKS).headers["x-model"] == "scripted@1"

    def test_without_redis_the_model_answers_and_it_is_said(
        self, client: ApiClient, served: ApiContext
    ) -> None:
        away = AnswerCache(f"redis://127.0.0.1:{free_port()}/0", prefix="x", ttl_s=3600, size=0)
        with serving(with_cache(served, away)) as http:
            answer = analyze(ApiClient(http, client.name, client.secret), THANKS).json()
            health = http.get(f"{PATH}/health")
        assert (answer["status"], answer["data"]["sentiment"]) == ("success", "긍정")
        assert [one["code"] for one in answer["degraded"]] == ["cache_unavailable"]
        assert (health.status_code, health.json()["status"]) == (200, "degraded")


def redis_of(context: ApiContext) -> AnswerCache:
    """A cache of its own before the same Redis."""
    assert context.settings.redis_url
    url = context.settings.redis_url.get_secret_value()
    return AnswerCache(url, prefix="callytics:sentiment:", ttl_s=3600, size=10)


def with_cache(context: ApiContext, cache: AnswerCache) -> ApiContext:
    sentiments = Sentiments(
        context.sessions, cache, context.settings.sentiment, tell=context.sentiments._tell
    )
    return replace(context, cache=cache, sentiments=sentiments)


class TestDegradation:
    def test_without_a_model_word_lists_answer_at_once_and_it_is_said(
        self, client: ApiClient, worker: Worker
    ) -> None:
        worker.beat(state="loading")
        answer = analyze(client, "정말 감사합니다").json()

        assert answer["status"] == "degraded"
        assert [one["code"] for one in answer["degraded"]] == ["model_not_ready"]
        assert answer["data"].keys() == {
            "text",
            "sentiment",
            "score",
            "method",
            "processing_time_ms",
        }
        assert (answer["data"]["sentiment"], answer["data"]["method"]) == ("긍정", "word_lists")

    def test_that_is_never_kept(self, client: ApiClient, worker: Worker) -> None:
        worker.beat(state="loading")
        analyze(client, THANKS)
        worker.beat()
        assert analyze(client, THANKS).json()["status"] == "success"

    def test_health_says_so(self, client: ApiClient, worker: Worker) -> None:
        worker.beat(state="loading")
        answer = client.http.get(f"{PATH}/health").json()
        assert (answer["status"], answer["model_loaded"]) == ("unhealthy", False)
        problem(client.get(f"{PATH}/model-info"), 503, "models_not_ready")

    def test_a_text_on_which_the_model_fails_fails_alone_after_three_tries(
        self, client: ApiClient, worker: Worker
    ) -> None:
        first = Event()
        worker.model.before = lambda _texts: wait_for(first)
        with ThreadPoolExecutor(3) as clients:
            asked = clients.submit(analyze, client, NEITHER)
            wait_until(lambda: worker.model.asked)
            others = [clients.submit(analyze, client, text) for text in ("고장", THANKS)]
            wait_until(lambda: rows(worker.context) == 3)
            first.set()
            assert asked.result().json()["status"] == "success"
            broken, fine = (one.result().json() for one in others)
        assert (fine["status"], fine["data"]["sentiment"]) == ("success", "긍정")
        assert [one["code"] for one in broken["degraded"]] == ["model_failed"]
        assert sum("고장" in texts for texts in worker.model.asked) == 4  # once with the other one

    @pytest.mark.parametrize("limits", [{"degrade": False}])
    def test_an_operator_may_want_none_rather_than_a_poor_one(
        self, client: ApiClient, worker: Worker
    ) -> None:
        worker.beat(state="loading")
        answer = analyze(client, THANKS)
        problem(answer, 503, "models_not_ready")
        assert answer.headers["retry-after"]

    @pytest.mark.parametrize("limits", [{"timeout_s": 0.6}])
    def test_who_waits_too_long_is_answered_by_word_lists(
        self, client: ApiClient, worker: Worker
    ) -> None:
        worker.deaf = 100
        answer = analyze(client, ANGER).json()
        assert [one["code"] for one in answer["degraded"]] == ["model_timeout"]
        assert worker.told == 3
        assert rows(worker.context) == 0

    @pytest.mark.parametrize("limits", [{"timeout_s": 3}])
    def test_a_message_that_is_lost_is_sent_again(self, client: ApiClient, worker: Worker) -> None:
        worker.deaf = 1
        assert analyze(client, THANKS).json()["status"] == "success"
        assert worker.told == 2


class TestBatches:
    def test_what_waits_of_many_requests_goes_to_the_model_at_once(
        self, client: ApiClient, worker: Worker
    ) -> None:
        first = Event()
        worker.model.before = lambda _texts: wait_for(first)
        with ThreadPoolExecutor(20) as clients:
            asked = [clients.submit(analyze, client, NEITHER)]
            wait_until(lambda: worker.model.asked)
            asked += [clients.submit(analyze, client, f"{n} 감사") for n in range(19)]
            wait_until(lambda: rows(worker.context) == 20)
            first.set()
            assert all(one.result().json()["status"] == "success" for one in asked)
        assert [len(texts) for texts in worker.model.asked] == [1, 19]

    def test_the_worker_is_told_once_of_what_waits(self, client: ApiClient, worker: Worker) -> None:
        worker.pool.submit(wait_until, lambda: rows(worker.context) == 8)
        with ThreadPoolExecutor(8) as clients:
            asked = [clients.submit(analyze, client, f"{n} 감사") for n in range(8)]
            assert all(one.result().json()["status"] == "success" for one in asked)
        assert worker.told < 8

    def test_metrics_tell_how_texts_were_judged(self, client: ApiClient) -> None:
        labels(batch(client, [THANKS, ANGER]))
        analyze(client, THANKS)
        text = client.http.get("/metrics").text
        assert 'callytics_sentiment_texts_total{source="model"} 2.0' in text
        assert 'callytics_sentiment_texts_total{source="cache"} 1.0' in text
        assert "감사" not in text


class TestVariants:
    @pytest.fixture
    def second(self, worker: Worker) -> ScriptedSentiment:
        worker.models["v2"] = ScriptedSentiment(revision="second")
        worker.beat(worker="v2@test", variant="v2")
        return worker.models["v2"]

    @staticmethod
    def switch(context: ApiContext, **weights: int) -> None:
        with unit_of_work(context.sessions) as session:
            route = Route(weights=weights)
            routes.switch(session, Queue.SENTIMENT, route, context.settings.models)

    def test_from_the_switch_on_the_new_model_answers_and_none_of_the_old_one_s_answers_is_given(
        self, client: ApiClient, served: ApiContext, second: ScriptedSentiment
    ) -> None:
        assert analyze(client, THANKS).headers["x-model"] == "scripted@1"
        self.switch(served, v2=1)
        answer = analyze(client, THANKS)
        assert (answer.headers["x-cache"], answer.headers["x-model"]) == (
            "MISS",
            "scripted@second",
        )
        assert client.get(f"{PATH}/model-info").json()["version"] == "second"
        self.switch(served, v1=1)
        back = analyze(client, THANKS)
        assert (back.headers["x-cache"], back.headers["x-model"]) == ("HIT", "scripted@1")

    def test_texts_are_shared_by_weight_and_each_always_has_the_same_model(
        self, client: ApiClient, served: ApiContext, second: ScriptedSentiment
    ) -> None:
        self.switch(served, v1=50, v2=50)
        texts = [f"{number} 감사" for number in range(40)]
        first = [analyze(client, text).headers["x-model"] for text in texts]
        assert {*first} == {"scripted@1", "scripted@second"}
        assert [analyze(client, text).headers["x-model"] for text in texts] == first

    def test_health_asks_for_every_variant_that_has_texts_to_judge(
        self, client: ApiClient, served: ApiContext, worker: Worker, second: ScriptedSentiment
    ) -> None:
        self.switch(served, v1=50, v2=50)
        assert client.http.get(f"{PATH}/health").json()["model_loaded"]
        worker.beat(worker="v2@test", variant="v2", state="loading")
        assert not client.http.get(f"{PATH}/health").json()["model_loaded"]

    @pytest.mark.parametrize("limits", [{"timeout_s": 3}])
    def test_what_waits_for_a_variant_whose_worker_is_gone_the_other_judges_after_the_switch(
        self, client: ApiClient, served: ApiContext, worker: Worker, second: ScriptedSentiment
    ) -> None:
        self.switch(served, v2=1)
        worker.deaf = 1
        with ThreadPoolExecutor(1) as clients:
            asked = clients.submit(analyze, client, THANKS)
            wait_until(lambda: rows(served) == 1)
            self.switch(served, v1=1)
            answer = asked.result()
        assert (answer.json()["status"], answer.headers["x-model"]) == ("success", "scripted@1")


class TestFairness:
    def test_long_texts_go_to_the_model_by_themselves_and_others_in_between(
        self, client: ApiClient, worker: Worker
    ) -> None:
        first = Event()
        worker.model.before = lambda _texts: wait_for(first)
        long = [f"{number} " + "감사 " * 600 for number in range(6)]
        with ThreadPoolExecutor(2) as clients:
            asked = [clients.submit(batch, client, long)]
            wait_until(lambda: worker.model.asked)
            asked.append(clients.submit(analyze, client, THANKS))
            wait_until(lambda: rows(worker.context) == 7)
            first.set()
            assert all(one.result().json()["status"] == "success" for one in asked)
        sizes = [sum(map(len, texts)) for texts in worker.model.asked]
        assert max(sizes) < 2100
        assert any(THANKS in texts for texts in worker.model.asked[:4])


class TestOtherOrigins:
    def test_pages_of_listed_origins_may_call(self, served: ApiContext, client: ApiClient) -> None:
        api = served.settings.api.model_copy(update={"cors_origins": ("https://desk.example",)})
        settings = served.settings.model_copy(update={"api": api})
        asked = {
            "Origin": "https://desk.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-api-key",
        }
        with serving(replace(served, settings=settings)) as http:
            allowed = http.options(f"{PATH}/analyze", headers=asked)
            other = http.options(
                f"{PATH}/analyze", headers={**asked, "Origin": "https://evil.example"}
            )
            refused = http.post(f"{PATH}/analyze", headers={"Origin": "https://desk.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://desk.example"
        assert "access-control-allow-origin" not in other.headers
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://desk.example"
        assert "X-Model" in refused.headers["access-control-expose-headers"]

    def test_no_origin_is_allowed_unless_it_is_listed(self, client: ApiClient) -> None:
        answer = client.http.get(f"{PATH}/health", headers={"Origin": "https://desk.example"})
        assert "access-control-allow-origin" not in answer.headers


def test_the_settings_agree_with_what_the_customer_fixed() -> None:
    limits = SentimentSettings()
    assert (limits.min_batch, limits.max_batch, limits.batch_wait_s) == (4, 32, 0.1)
    assert (limits.timeout_s, limits.tries, limits.cache_ttl_s) == (10, 3, 3600)
