import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from api.app import make_app
from api.context import ApiContext
from callytics.db.engine import unit_of_work
from callytics.db.models import AnalysisBatch, Endpoint, Job
from callytics.domain.jobs import JobKind
from callytics.domain.stages import StageStatus
from callytics.services import batches
from tests.support.api import ApiClient, problem, serving
from tests.support.chat import ANALYSIS, CONVERSATION, ScriptedChat, fails_for
from tests.support.pipeline import Pipeline

BASE = "/api/v1/consultation"
SUBMIT = f"{BASE}/batch-analysis"
URL = "https://centerlink.example/webhook/analysis-complete"


pytestmark = pytest.mark.usefixtures("chat")


def consultations(number: int, *, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "consultation_id": f"CL-{n:04}",
            "conversation_text": CONVERSATION,
            "metadata": {"call_date": "2025-09-13", "duration": 180},
        }
        for n in range(first, first + number)
    ]


def submit(client: ApiClient, number: int = 1, **more: Any) -> httpx2.Response:
    body = {"consultations": consultations(number), "callback_url": URL, **more}
    return client.post(SUBMIT, json=body)


def batch_of(client: ApiClient, number: int = 20, **more: Any) -> str:
    response = submit(client, number, **more)
    assert response.status_code == 202, response.text
    return str(response.json()["batch_id"])


class TestSubmitting:
    def test_the_answer_has_the_fields_that_the_customer_fixed(self, client: ApiClient) -> None:
        response = submit(client, 20)
        answer = response.json()

        assert response.status_code == 202
        assert answer["batch_id"].startswith("BATCH-")
        assert (answer["total_consultations"], answer["status"]) == (20, "queued")
        assert answer["estimated_completion"].endswith("Z")
        assert response.headers["location"] == answer["batches"][0]["status_url"]
        assert client.get(response.headers["location"]).json()["batch_id"] == answer["batch_id"]

    def test_many_are_spread_over_batches(self, client: ApiClient) -> None:
        answer = submit(client, 45).json()
        assert [share["consultations"] for share in answer["batches"]] == [20, 20, 5]

    def test_the_key_may_stand_in_the_body(self, client: ApiClient) -> None:
        body = {"consultations": consultations(1), "bound_key": client.key()}
        assert client.http.post(SUBMIT, json=body).status_code == 202

    def test_a_disabled_or_unknown_client_is_refused(self, client: ApiClient) -> None:
        body = {"consultations": consultations(1), "bound_key": client.key().replace(":", "x:", 1)}
        problem(client.http.post(SUBMIT, json=body), 401, "invalid_bound_key")

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"consultations": []}, "invalid_request"),
            (
                {"consultations": [{"consultation_id": "a", "conversation_text": ""}]},
                "invalid_request",
            ),
            (
                {"consultations": [{"consultation_id": "a", "conversation_text": " "}]},
                "invalid_request",
            ),
            (
                {"consultations": [{"consultation_id": "", "conversation_text": "x"}]},
                "invalid_request",
            ),
            ({"consultations": "all"}, "invalid_request"),
            ({"consultations": consultations(1) * 2}, "consultation_doubled"),
            ({"callback_url": "http://centerlink.example/"}, "invalid_request"),
            ({"callback_url": "https://10.0.0.7/"}, "invalid_request"),
            ({"callback_url": "https://127.0.0.1/"}, "invalid_request"),
            ({"callback_url": "https://user:pw@centerlink.example/"}, "invalid_request"),
            ({"callback_url": "ftp://centerlink.example/"}, "invalid_request"),
            ({"callback_url": "centerlink"}, "invalid_request"),
            ({"priority": "urgent"}, "invalid_request"),
            ({"include": ["everything"]}, "invalid_request"),
            ({"unheard_of": 1}, "invalid_request"),
        ],
    )
    def test_bad_requests_take_nothing_in(
        self, client: ApiClient, change: Mapping[str, Any], code: str
    ) -> None:
        body = {"consultations": consultations(1), "callback_url": URL, **change}
        problem(client.post(SUBMIT, json=body), 422, code)
        assert client.get(f"{BASE}/batches").json()["data"] == []

    def test_ten_thousand_consultations_in_one_request_are_too_many(
        self, client: ApiClient
    ) -> None:
        document = problem(submit(client, 10_000), 422, "invalid_request")
        assert document["max_consultations"] == 1000
        assert client.get(f"{BASE}/batches").json()["data"] == []

    def test_a_text_of_a_megabyte_is_told_where_it_stands(self, client: ApiClient) -> None:
        some = [*consultations(1), {"consultation_id": "long", "conversation_text": "가" * 350_000}]
        document = problem(
            client.post(SUBMIT, json={"consultations": some}), 422, "conversation_too_long"
        )
        assert document["field"] == "body.consultations.1.conversation_text"

    def test_a_consultation_that_waits_with_another_text_is_a_conflict(
        self, client: ApiClient
    ) -> None:
        name = batch_of(client, 1)
        other = [{**consultations(1)[0], "conversation_text": "고객: 다른 말입니다."}]
        document = problem(
            client.post(SUBMIT, json={"consultations": other}), 409, "consultation_waiting"
        )
        assert (document["consultation_id"], document["batch_id"]) == ("CL-0000", name)

    def test_the_same_key_makes_no_second_batch(self, client: ApiClient) -> None:
        headers = {"Idempotency-Key": "once"}
        body = {"consultations": consultations(20), "callback_url": URL}
        first = client.post(SUBMIT, json=body, headers=headers).json()
        second = client.post(SUBMIT, json=body, headers=headers).json()

        assert first == second
        assert len(client.get(f"{BASE}/batches").json()["data"]) == 1
        other = {"consultations": consultations(1)}
        problem(client.post(SUBMIT, json=other, headers=headers), 422, "idempotency_key_reused")

    def test_a_body_that_is_no_json_is_malformed(self, client: ApiClient) -> None:
        headers = {"Content-Type": "application/json"}
        problem(client.post(SUBMIT, content=b"{", headers=headers), 400, "malformed_request")
        problem(client.post(SUBMIT, data={"a": "b"}), 415, "unsupported_media_type")


class TestReading:
    def test_a_batch_is_followed_from_open_to_completed(
        self, client: ApiClient, pipeline: Pipeline, context: ApiContext
    ) -> None:
        name = batch_of(client, 3)
        opened = client.get(f"{BASE}/batches/{name}").json()
        assert (opened["status"], opened["closed_at"], nonzero(opened["counts"])) == (
            "queued",
            None,
            {"waiting": 3},
        )
        close(context)
        pipeline.send(batches.close_due(context.sessions, context.settings))
        pipeline.run()
        done = client.get(f"{BASE}/batches/{name}").json()

        assert (done["status"], nonzero(done["counts"])) == ("completed", {"done": 3})
        assert [(run["run"], run["consultations"]) for run in done["runs"]] == [(1, 3)]
        assert done["completed_at"] is not None

    def test_its_progress_is_streamed_to_its_end(
        self, client: ApiClient, pipeline: Pipeline, context: ApiContext
    ) -> None:
        name = batch_of(client)
        with serving(context) as http:
            reader = ApiClient(http, client.name, client.secret)
            headers = {"X-Bound-Key": reader.key()}
            with http.stream("GET", f"{BASE}/batches/{name}/events", headers=headers) as stream:
                lines = stream.iter_lines()
                first = next(line for line in lines if line.startswith("data:"))
                pipeline.run()
                rest = [line for line in lines if line.startswith("data:")]
        told = [json.loads(line.removeprefix("data:")) for line in [first, *rest]]
        assert told[0]["status"] == "queued"
        assert told[-1]["status"] == "completed"
        assert all(one != other for one, other in itertools.pairwise(told))

    def test_items_show_results_checks_and_evidence(
        self, client: ApiClient, pipeline: Pipeline
    ) -> None:
        name = batch_of(client)
        pipeline.run()
        page = client.get(f"{BASE}/batches/{name}/items", params={"limit": 7}).json()

        assert (len(page["data"]), page["first_id"], page["last_id"], page["has_more"]) == (
            7,
            0,
            6,
            True,
        )
        item = page["data"][0]
        assert item["consultation_id"] == "CL-0000"
        assert item["metadata"] == {"call_date": "2025-09-13", "duration": 180}
        assert set(item["summary"]) == {"customer", "agent", "result"}
        assert set(item["titles"]) == {"keyword", "descriptive"}
        assert 0 < item["quality_score"] <= 1
        assert {"name", "score", "weight", "detail"} <= set(item["checks"][0])
        assert {"customer", "agent", "result", "keywords"} == set(item["evidence"])
        for place in item["evidence"]["customer"]:
            assert CONVERSATION[place["start"] : place["end"]].strip()
        rest = client.get(f"{BASE}/batches/{name}/items", params={"after": 6, "limit": 100}).json()
        assert [one["position"] for one in rest["data"]] == list(range(7, 20))

    def test_a_failed_item_says_why(
        self, client: ApiClient, pipeline: Pipeline, chat: ScriptedChat
    ) -> None:
        chat.answer = fails_for("CL-0003")
        some = consultations(20)
        some[3]["conversation_text"] += " CL-0003"
        name = client.post(SUBMIT, json={"consultations": some}).json()["batch_id"]
        pipeline.exhaust()
        found = client.get(f"{BASE}/batches/{name}").json()
        items = client.get(f"{BASE}/batches/{name}/items").json()["data"]

        assert found["status"] == "completed_with_errors"
        assert nonzero(found["counts"]) == {"done": 19, "failed": 1}
        assert items[3]["error"]["code"] == "model_unavailable"
        assert items[3]["summary"] is None

    def test_lists_are_filtered_and_paged(self, client: ApiClient, pipeline: Pipeline) -> None:
        submit(client, 45)
        pipeline.run()
        names = [b["batch_id"] for b in client.get(f"{BASE}/batches").json()["data"]]
        assert names == sorted(names, reverse=True)
        first = client.get(f"{BASE}/batches", params={"limit": 2}).json()
        assert (first["first_id"], first["last_id"], first["has_more"]) == (
            names[0],
            names[1],
            True,
        )
        rest = client.get(f"{BASE}/batches", params={"after": names[1]}).json()
        assert [b["batch_id"] for b in rest["data"]] == names[2:]
        for status, expected in (("completed", names[1:]), ("queued", names[:1]), ("failed", [])):
            found = client.get(f"{BASE}/batches", params={"status": status}).json()["data"]
            assert [b["batch_id"] for b in found] == expected
        problem(client.get(f"{BASE}/batches", params={"status": "odd"}), 422, "invalid_request")

    @pytest.mark.parametrize(
        "path",
        [
            "/batches/%00",
            "/batches/%00/items",
            "/batches?after=%00",
            "/deliveries?batch_id=%00",
            "/batches/BATCH-1/items?after=9999999999",
        ],
    )
    def test_odd_names_are_refused(self, client: ApiClient, path: str) -> None:
        problem(client.get(f"{BASE}{path}"), 422, "invalid_request")

    def test_another_client_s_batch_is_not_there(
        self, client: ApiClient, new_client: Callable[..., ApiClient]
    ) -> None:
        name = batch_of(client, 1)
        other = new_client("other")
        for path in ("", "/items", "/deliveries"):
            problem(other.get(f"{BASE}/batches/{name}{path}"), 404, "batch_not_found")
        problem(other.post(f"{BASE}/batches/{name}/cancel"), 404, "batch_not_found")
        problem(other.post(f"{BASE}/batches/{name}/rerun", json={}), 404, "batch_not_found")
        assert other.get(f"{BASE}/batches").json()["data"] == []


class TestChanging:
    def test_a_batch_is_cancelled_once(self, client: ApiClient) -> None:
        name = batch_of(client, 2)
        answer = client.post(f"{BASE}/batches/{name}/cancel").json()
        assert (answer["status"], nonzero(answer["counts"])) == ("cancelled", {"cancelled": 2})
        problem(client.post(f"{BASE}/batches/{name}/cancel"), 409, "batch_finished")

    def test_a_re_run_keeps_what_succeeded(
        self, client: ApiClient, pipeline: Pipeline, chat: ScriptedChat
    ) -> None:
        chat.answer = fails_for("CL-0003")
        some = consultations(20)
        some[3]["conversation_text"] += " CL-0003"
        body = {"consultations": some, "callback_url": URL}
        name = client.post(SUBMIT, json=body).json()["batch_id"]
        path = f"{BASE}/batches/{name}/rerun"
        problem(client.post(path, json={}), 409, "batch_running")
        pipeline.exhaust()
        dry = client.post(path, json={"dry_run": True}).json()
        assert (dry["run"], dry["consultations"], dry["kept"], dry["dry_run"]) == (2, 1, 19, True)
        chat.answer = lambda *_: ANALYSIS
        response = client.post(path, json={})
        assert response.status_code == 202
        pipeline.run()

        items = client.get(f"{BASE}/batches/{name}/items").json()["data"]
        assert [item["result_run"] for item in items] == [1] * 3 + [2] + [1] * 16
        first, second = client.get(f"{BASE}/batches/{name}/deliveries").json()["data"]
        assert (first["run"], second["run"]) == (1, 2)
        assert second["supersedes"] == first["delivery_id"]
        problem(client.post(path, json={}), 409, "nothing_to_rerun")


class TestDeliveries:
    def test_a_delivery_is_seen_and_sent_again(
        self, client: ApiClient, pipeline: Pipeline, context: ApiContext
    ) -> None:
        name = batch_of(client)
        pipeline.run()
        [delivery] = client.get(f"{BASE}/batches/{name}/deliveries").json()["data"]
        where = f"{BASE}/deliveries/{delivery['delivery_id']}"
        assert (delivery["status"], delivery["url"], delivery["batch_id"]) == ("queued", URL, name)
        problem(client.post(f"{where}/replay"), 409, "delivery_open")
        give_up(context, UUID(delivery["delivery_id"]))

        assert [d["delivery_id"] for d in listed(client, status="dead")] == [
            delivery["delivery_id"]
        ]
        assert listed(client, status="delivered") == []
        assert listed(client, batch_id=name) == listed(client)
        response = client.post(f"{where}/replay")
        assert response.status_code == 202
        shown = client.get(where).json()
        assert (shown["status"], shown["replays"], shown["attempts"]) == ("queued", 1, [])
        assert [hint.kind for hint in pipeline.job_hints][-1] is JobKind.DELIVERY

    def test_another_client_s_delivery_is_not_there(
        self, client: ApiClient, pipeline: Pipeline, new_client: Callable[..., ApiClient]
    ) -> None:
        batch_of(client)
        pipeline.run()
        [delivery] = listed(client)
        other = new_client("other")
        where = f"{BASE}/deliveries/{delivery['delivery_id']}"
        problem(other.get(where), 404, "delivery_not_found")
        problem(other.post(f"{where}/replay"), 404, "delivery_not_found")
        problem(other.get(f"{BASE}/deliveries/rubbish"), 404, "delivery_not_found")
        assert listed(other) == []

    def test_endpoints_show_how_they_have_been_doing(
        self, client: ApiClient, pipeline: Pipeline, context: ApiContext
    ) -> None:
        batch_of(client)
        pipeline.run()
        with unit_of_work(context.sessions) as session:
            session.execute(update(Endpoint).values(failures=3))
        [endpoint] = client.get(f"{BASE}/endpoints").json()["data"]
        assert (endpoint["url"], endpoint["failures"], endpoint["disabled_at"]) == (URL, 3, None)


def test_a_message_that_cannot_be_sent_loses_no_batch(
    context: ApiContext, client: ApiClient
) -> None:
    def nowhere(hints: object) -> None:
        raise AssertionError("the process dies here")

    with TestClient(
        make_app(replace(context, send=nowhere)), raise_server_exceptions=False
    ) as http:
        assert submit(ApiClient(http, client.name, client.secret), 20).status_code == 500
    [batch] = client.get(f"{BASE}/batches").json()["data"]
    assert nonzero(batch["counts"]) == {"queued": 20}


def nonzero(counts: Mapping[str, int]) -> dict[str, int]:
    return {state: count for state, count in counts.items() if count}


def close(context: ApiContext) -> None:
    """A quarter of an hour later."""
    with unit_of_work(context.sessions) as session:
        earlier = AnalysisBatch.closes_at - timedelta(minutes=15)
        session.execute(update(AnalysisBatch).values(closes_at=earlier))


def give_up(context: ApiContext, delivery_id: UUID) -> None:
    with unit_of_work(context.sessions) as session:
        dead = {"status": StageStatus.FAILED, "problem": {"code": "delivery_dead", "detail": "x"}}
        session.execute(update(Job).where(Job.id == delivery_id).values(dead))


def listed(client: ApiClient, **query: str) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = client.get(f"{BASE}/deliveries", params=query).json()["data"]
    return data
