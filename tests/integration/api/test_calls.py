"""A call's life after it was taken in: seen, listed, cancelled, run again, deleted."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from api.context import ApiContext
from callytics.db.engine import unit_of_work
from callytics.db.models import AudioPurge, Call, StageAttempt, StageRun
from callytics.domain.stages import EVERY_STAGE, SPECS, Stage
from callytics.errors import ModelUnavailableError, NotAudioError
from callytics.services import upkeep
from tests.support.api import CALLS, ApiClient, problem
from tests.support.pipeline import Pipeline


def shown(client: ApiClient, call_id: str, **params: Any) -> dict[str, Any]:
    response = client.get(f"{CALLS}/{call_id}", params=params)
    assert response.status_code == 200, response.text
    call: dict[str, Any] = response.json()
    return call


def statuses(client: ApiClient, call_id: str) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in shown(client, call_id)["stages"]}


class TestShow:
    def test_a_completed_call_has_the_customers_fields(
        self, client: ApiClient, pipeline: Pipeline
    ) -> None:
        call_id = client.submit(consultation_id="CL-1", metadata='{"branch": "서울"}')
        pipeline.run()
        call = shown(client, call_id)

        assert list(call) == [
            *("call_id", "consultation_id", "status", "duration_s", "language", "channels"),
            *("turns", "sentiment", "metrics", "communication", "summary", "stages"),
            *("created_at", "completed_at", "priority", "metadata", "analysis"),
            *("audio_purged_at", "text_purged_at"),
        ]
        assert call["call_id"] == call_id
        assert call["consultation_id"] == "CL-1"
        assert call["status"] == "completed"
        assert call["duration_s"] == 5.0
        assert call["language"] == "ko"
        assert call["metadata"] == {"branch": "서울"}
        assert call["summary"] == {
            "text": "고객이 환불을 문의함",
            "provider": "vllm",
            "model": "small-chat",
            "seconds": 0.5,
        }
        turn = call["turns"][1]
        assert 0 <= turn.pop("role_confidence") <= 1
        assert turn == {
            "index": 1,
            "start_s": 2.3,
            "end_s": 4.0,
            "speaker": "SPEAKER_01",
            "role": "customer",
            "text": "환불이 안 돼요",
            "sentences": [
                {"text": "환불이 안 돼요", "sentiment": {"label": "negative", "score": 0.8}}
            ],
            "sentiment": {"label": "negative", "score": 0.8},
        }
        assert call["sentiment"]["by_role"]["agent"]["label"] == "positive"
        assert call["metrics"]["roles"]["agent"]["turns"] == 1
        assert call["communication"]["interruptions"]["score"] == 1.0
        times = [datetime.fromisoformat(call[name]) for name in ("created_at", "completed_at")]
        assert times == sorted(times)

    def test_words_come_on_request(self, client: ApiClient, pipeline: Pipeline) -> None:
        call_id = client.submit()
        pipeline.run()
        call = shown(client, call_id, words=True)
        assert call["turns"][0]["words"][0] == {
            "text": "안녕하세요",
            "start_s": 0.4,
            "end_s": 1.0,
            "confidence": 0.9,
        }

    def test_each_stage_says_how_it_went(self, client: ApiClient, pipeline: Pipeline) -> None:
        call_id = client.submit()
        pipeline.run()
        stages = {stage["name"]: stage for stage in shown(client, call_id)["stages"]}

        assert list(stages) == list(EVERY_STAGE)
        stage = stages["summarize"]
        times = [
            datetime.fromisoformat(stage[f"{name}_at"])
            for name in ("queued", "started", "finished")
        ]
        assert times == sorted(times)
        assert stage["wait_s"] == pytest.approx((times[1] - times[0]).total_seconds(), abs=0.001)
        assert stage["run_s"] == pytest.approx((times[2] - times[1]).total_seconds(), abs=0.001)
        assert {name: stage[name] for name in ("status", "attempts", "model", "revision")} == {
            "status": "done",
            "attempts": 1,
            "model": "small-chat",
            "revision": "1",
        }
        assert (stage["device"], stage["worker"]) == ("cpu", "test")
        assert (stage["progress"], stage["problem"]) == (1.0, None)

    def test_results_are_seen_as_they_come(self, client: ApiClient, pipeline: Pipeline) -> None:
        call_id = client.submit()
        pipeline.fail(Stage.PUNCTUATE, ModelUnavailableError())
        pipeline.run()
        call = shown(client, call_id)

        assert call["status"] == "running"
        assert len(call["turns"]) == 2
        assert call["summary"] is None
        stage = call["stages"][4]
        assert (stage["status"], stage["attempts"]) == ("queued", 1)
        assert stage["problem"]["code"] == "model_unavailable"
        assert (stage["started_at"], stage["wait_s"], stage["run_s"]) == (None, None, None)

    def test_a_failed_call_says_why(self, client: ApiClient, pipeline: Pipeline) -> None:
        call_id = client.submit()
        pipeline.fail(Stage.PREPROCESS, NotAudioError())
        pipeline.run()
        call = shown(client, call_id)
        assert call["status"] == "failed"
        assert call["stages"][0]["problem"] == {
            "code": "not_audio",
            "detail": "This is not an audio file that can be decoded.",
        }


class TestList:
    def test_the_newest_comes_first(self, client: ApiClient) -> None:
        ids = [client.submit(consultation_id=f"CL-{n}") for n in range(3)]
        page = client.get(CALLS).json()

        assert [call["call_id"] for call in page["data"]] == ids[::-1]
        assert page["object"] == "list"
        assert (page["first_id"], page["last_id"], page["has_more"]) == (ids[2], ids[0], False)
        assert page["data"][0]["consultation_id"] == "CL-2"
        assert page["data"][0]["status"] == "queued"

    def test_pages_follow_one_another_without_gap_or_double(self, client: ApiClient) -> None:
        ids = [client.submit() for _ in range(5)]
        seen, after = [], None
        while True:
            params = {"limit": 2} | ({"after": after} if after else {})
            page = client.get(CALLS, params=params).json()
            seen += [call["call_id"] for call in page["data"]]
            after = page["last_id"]
            if not page["has_more"]:
                break
        assert seen == ids[::-1]

    def test_no_call_at_all_is_an_empty_page(self, client: ApiClient) -> None:
        assert client.get(CALLS).json() == {
            "object": "list",
            "data": [],
            "first_id": None,
            "last_id": None,
            "has_more": False,
        }

    def test_filters(self, client: ApiClient, pipeline: Pipeline) -> None:
        done = client.submit(consultation_id="CL-1")
        pipeline.run()
        high = client.submit(consultation_id="CL-2", priority="high")
        between = shown(client, high)["created_at"]

        def found(**params: str) -> list[str]:
            return [call["call_id"] for call in client.get(CALLS, params=params).json()["data"]]

        assert found(status="completed") == [done]
        assert found(status="queued") == [high]
        assert found(consultation_id="CL-1") == [done]
        assert found(priority="high") == [high]
        assert found(created_before=between) == [done]
        assert found(created_after=shown(client, done)["created_at"]) == [high]
        assert found(status="failed", priority="high") == []

    def test_a_client_sees_its_own_calls(
        self, client: ApiClient, new_client: Callable[..., ApiClient]
    ) -> None:
        call_id = client.submit()
        other = new_client("other")
        assert other.get(CALLS).json()["data"] == []
        problem(other.get(CALLS, params={"after": call_id}), 404, "call_not_found")

    @pytest.mark.parametrize(
        "params",
        [
            {"limit": 0},
            {"limit": 101},
            {"status": "done"},
            {"created_after": "2025-09-13T00:00:00"},
            {"created_after": "yesterday"},
            {"after": "1"},
            {"staus": "failed"},
        ],
    )
    def test_a_filter_that_is_not_right(self, client: ApiClient, params: dict[str, Any]) -> None:
        document = problem(client.get(CALLS, params=params), 422, "invalid_request")
        assert [e["field"] for e in document["errors"]] == [f"query.{name}" for name in params]


class TestCancel:
    def test_what_has_not_begun_is_not_begun(self, client: ApiClient, pipeline: Pipeline) -> None:
        call_id = client.submit()
        response = client.post(f"{CALLS}/{call_id}/cancel")

        assert (response.status_code, response.json()["status"]) == (200, "cancelled")
        assert response.json()["completed_at"]
        assert set(statuses(client, call_id).values()) == {"cancelled"}
        pipeline.run()
        assert pipeline.works[Stage.PREPROCESS].computed == 0

    def test_what_runs_is_abandoned(
        self, client: ApiClient, pipeline: Pipeline, context: ApiContext
    ) -> None:
        call_id = client.submit()
        work = pipeline.works[Stage.PREPROCESS]
        work.action = lambda _progress: client.post(f"{CALLS}/{call_id}/cancel") and None
        pipeline.run()

        assert work.computed == 1
        assert set(statuses(client, call_id).values()) == {"cancelled"}
        assert shown(client, call_id)["status"] == "cancelled"
        with context.sessions() as session:
            assert session.scalars(select(StageAttempt.outcome)).all() == ["abandoned"]

    def test_what_is_done_stays(self, client: ApiClient, pipeline: Pipeline) -> None:
        call_id = client.submit()
        pipeline.fail(Stage.PUNCTUATE, ModelUnavailableError())
        pipeline.run()
        client.post(f"{CALLS}/{call_id}/cancel")

        found = statuses(client, call_id)
        assert (found["merge"], found["punctuate"], found["summarize"]) == (
            "done",
            "cancelled",
            "cancelled",
        )
        assert len(shown(client, call_id)["turns"]) == 2

    def test_a_call_that_has_ended_cannot_be_cancelled(
        self, client: ApiClient, pipeline: Pipeline
    ) -> None:
        call_id = client.submit()
        pipeline.run()
        problem(client.post(f"{CALLS}/{call_id}/cancel"), 409, "call_finished")

    def test_a_cancelled_call_cannot_be_cancelled_again(self, client: ApiClient) -> None:
        call_id = client.submit()
        client.post(f"{CALLS}/{call_id}/cancel")
        problem(client.post(f"{CALLS}/{call_id}/cancel"), 409, "call_finished")


class TestRerun:
    def test_the_stage_and_what_rests_on_it_run_again(
        self, client: ApiClient, pipeline: Pipeline
    ) -> None:
        call_id = client.submit()
        pipeline.run()
        response = client.post(f"{CALLS}/{call_id}/rerun", json={"from": "punctuate"})

        assert response.status_code == 202
        assert response.json()["status_url"] == response.headers["location"]
        found = statuses(client, call_id)
        assert (found["merge"], found["punctuate"], found["sentiment"]) == (
            "done",
            "queued",
            "waiting",
        )
        assert shown(client, call_id)["status"] == "running"
        assert shown(client, call_id)["completed_at"] is None
        pipeline.run()
        assert shown(client, call_id)["status"] == "completed"
        assert {stage.value: work.written for stage, work in pipeline.works.items()} == {
            **dict.fromkeys(["preprocess", "diarize", "transcribe", "merge"], 1),
            **dict.fromkeys(["punctuate", "sentiment", "summarize"], 2),
        }

    def test_results_stay_until_they_are_replaced(
        self, client: ApiClient, pipeline: Pipeline
    ) -> None:
        call_id = client.submit()
        pipeline.run()
        client.post(f"{CALLS}/{call_id}/rerun", json={"from": "preprocess"})
        call = shown(client, call_id)
        assert len(call["turns"]) == 2
        assert call["summary"]["text"]

    def test_a_failed_call_is_tried_again_with_all_its_attempts(
        self, client: ApiClient, pipeline: Pipeline, context: ApiContext
    ) -> None:
        call_id = client.submit()
        pipeline.fail(Stage.SENTIMENT, NotAudioError())
        pipeline.fail(Stage.SUMMARIZE, NotAudioError())
        pipeline.run()
        assert shown(client, call_id)["status"] == "failed"

        for stage in (Stage.SENTIMENT, Stage.SUMMARIZE):
            pipeline.succeed(stage)
        client.post(f"{CALLS}/{call_id}/rerun", json={"from": "sentiment"})
        assert all(stage["problem"] is None for stage in shown(client, call_id)["stages"])
        pipeline.run()

        call = shown(client, call_id)
        assert call["status"] == "completed"
        assert [stage["attempts"] for stage in call["stages"]] == [1, 1, 1, 1, 1, 2, 2]
        with context.sessions() as session:
            run = session.get_one(StageRun, (UUID(call_id), Stage.SENTIMENT))
            assert run.attempt_limit == 1 + SPECS[Stage.SENTIMENT].max_attempts

    def test_a_cancelled_call_can_be_run_to_its_end(
        self, client: ApiClient, pipeline: Pipeline
    ) -> None:
        call_id = client.submit()
        client.post(f"{CALLS}/{call_id}/cancel")
        client.post(f"{CALLS}/{call_id}/rerun", json={"from": "sentiment"})
        pipeline.run()
        assert shown(client, call_id)["status"] == "completed"

    def test_a_call_that_runs_cannot_be_run_again(self, client: ApiClient) -> None:
        response = client.post(f"{CALLS}/{client.submit()}/rerun", json={"from": "merge"})
        problem(response, 409, "call_running")

    def test_a_stage_that_the_call_has_not(self, client: ApiClient, pipeline: Pipeline) -> None:
        call_id = client.submit(stages="merge")
        pipeline.run()
        response = client.post(f"{CALLS}/{call_id}/rerun", json={"from": "summarize"})
        problem(response, 422, "stage_not_in_call")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"from": "translate"}, "unknown_stage"),
            ({"from": None}, "invalid_request"),
            ({}, "invalid_request"),
            ({"from": "merge", "to": "merge"}, "invalid_request"),
        ],
    )
    def test_a_body_that_is_not_right(
        self, client: ApiClient, body: dict[str, Any], code: str
    ) -> None:
        problem(client.post(f"{CALLS}/{client.submit()}/rerun", json=body), 422, code)

    def test_a_body_that_is_not_json(self, client: ApiClient) -> None:
        path = f"{CALLS}/{client.submit()}/rerun"
        json_type = {"Content-Type": "application/json"}
        problem(client.post(path, content=b"{", headers=json_type), 400, "malformed_request")
        problem(client.post(path, data={"from": "merge"}), 415, "unsupported_media_type")
        large = b'{"from": "' + b"x" * 2**20 + b'"}'
        problem(client.post(path, content=large, headers=json_type), 413, "request_too_large")


class TestDelete:
    def test_rows_and_audio_are_gone(
        self, client: ApiClient, pipeline: Pipeline, context: ApiContext
    ) -> None:
        call_id = client.submit()
        pipeline.run()
        response = client.request("DELETE", f"{CALLS}/{call_id}")

        assert (response.status_code, response.content) == (204, b"")
        problem(client.get(f"{CALLS}/{call_id}"), 404, "call_not_found")
        problem(client.request("DELETE", f"{CALLS}/{call_id}"), 404, "call_not_found")
        assert not audio_of(context, call_id).exists()
        with context.sessions() as session:
            for table in (Call, StageRun, StageAttempt):
                assert session.scalars(select(table)).all() == []

    @pytest.mark.parametrize("cancelled", [False, True])
    def test_a_call_that_runs_may_be_deleted_and_its_audio_is_looked_for_again(
        self, client: ApiClient, pipeline: Pipeline, context: ApiContext, *, cancelled: bool
    ) -> None:
        call_id = client.submit()
        work = pipeline.works[Stage.PREPROCESS]

        def delete_meanwhile(_progress: object) -> None:
            if cancelled:
                client.post(f"{CALLS}/{call_id}/cancel")
            client.request("DELETE", f"{CALLS}/{call_id}")
            context.store.write(f"calls/{call_id}/channel-0.wav", [b"written too late"])

        work.action = delete_meanwhile
        pipeline.run()
        assert work.written == 0
        assert audio_of(context, call_id).exists()

        hour_later(context)
        tidy(context)
        assert not audio_of(context, call_id).exists()
        with context.sessions() as session:
            assert session.scalars(select(AudioPurge)).all() == []

    def test_audio_that_the_store_does_not_give_up_is_deleted_later(
        self, client: ApiClient, pipeline: Pipeline, context: ApiContext
    ) -> None:
        call_id = client.submit()
        pipeline.run()
        folder = audio_of(context, call_id)
        away = folder.rename(folder.with_name("away"))
        folder.write_text("a file where a folder was: the store fails")

        assert client.request("DELETE", f"{CALLS}/{call_id}").status_code == 204
        folder.unlink()
        away.rename(folder)
        hour_later(context)
        tidy(context)
        assert not folder.exists()


def hour_later(context: ApiContext) -> None:
    with unit_of_work(context.sessions) as session:
        earlier = AudioPurge.created_at - timedelta(hours=2)
        session.execute(update(AudioPurge).values(created_at=earlier))


def tidy(context: ApiContext) -> None:
    upkeep.tidy(context.sessions, context.store, context.settings)


def audio_of(context: ApiContext, call_id: str) -> Path:
    return context.settings.state_dir / "audio" / "calls" / call_id
