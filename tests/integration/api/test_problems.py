"""Whatever goes wrong is answered with a problem document, and tells nobody's secrets."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from api.app import make_app
from api.context import ApiContext
from api.errors import every_kind, kind_of, status_of
from tests.support.api import CALLS, ApiClient, problem, tone


@pytest.fixture
def app(context: ApiContext) -> FastAPI:
    return make_app(context)


def test_an_unknown_path(http: TestClient) -> None:
    problem(http.get("/nowhere"), 404, "not_found")
    problem(http.get(f"{CALLS}/"), 404, "not_found")


def test_a_method_that_the_path_does_not_take(http: TestClient) -> None:
    response = http.put(CALLS)
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"]


def test_a_request_is_known_by_the_id_that_the_client_gave(http: TestClient) -> None:
    response = http.get("/nowhere", headers={"X-Request-ID": "abc-123"})
    assert problem(response, 404, "not_found")["request_id"] == "abc-123"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\\nb", "<script>"])
def test_an_id_that_would_harm_a_log_is_replaced(http: TestClient, given: str) -> None:
    response = http.get("/health/live", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] not in {"", given}


class Broken:
    """A store whose errors quote what they were given."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("it said: 010-1234-5678")


class TestUnforeseen:
    @pytest.fixture
    def context(self, context: ApiContext) -> ApiContext:
        return replace(context, store=Broken())

    def test_the_client_learns_nothing_and_the_log_the_place(self, client: ApiClient) -> None:
        with capture_logs() as logs:
            response = client.upload(tone())

        document = problem(response, 500, "internal_error")
        assert "010" not in json.dumps(document)
        crash = next(entry for entry in logs if entry["event"] == "request_crashed")
        assert crash["error"] == "RuntimeError"
        assert any("test_problems.py" in frame for frame in crash["where"])
        assert "010" not in json.dumps(logs)

    def test_it_is_counted(self, client: ApiClient) -> None:
        client.upload(tone())
        assert (
            'api_success_rate_total{outcome="server_error"} 1.0' in client.http.get("/metrics").text
        )


def test_a_line_is_logged_for_each_request_without_what_was_sent(client: ApiClient) -> None:
    with capture_logs() as logs:
        client.get(CALLS, params={"consultation_id": "010-1234-5678"})
    (entry,) = logs
    assert (entry["event"], entry["client"], entry["route"]) == ("request", "centerlink", CALLS)
    assert (entry["method"], entry["status"]) == ("GET", 200)
    assert "010" not in json.dumps(entry)
    assert client.key().rpartition(":")[2] not in json.dumps(entry)


def test_faults_name_the_field_and_never_repeat_what_it_held(client: ApiClient) -> None:
    body = {
        "audio_url": ["010-1111"],
        "priority": "010-2222",
        "language": "010-3333",
        "channels": {"agent": "010-4444", "customer": 1.5},
        "metadata": "010-5555",
        "consultation_id": {"010-6666": 1},
    }
    document = problem(client.post(CALLS, json=body), 422, "invalid_request")
    assert {fault["field"] for fault in document["errors"]} == {
        "body.audio_url",
        "body.priority",
        "body.language",
        "body.channels.agent",
        "body.channels.customer",
        "body.metadata",
        "body.consultation_id",
    }
    assert "010" not in json.dumps(document)


def test_every_error_has_a_code_of_its_own() -> None:
    kinds = list(every_kind())
    assert len({kind.code for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert kind_of(kind.code) is kind
        assert 400 <= status_of(kind) < 600


class TestOpenApi:
    @pytest.fixture
    def document(self, app: FastAPI) -> dict[str, Any]:
        return app.openapi()

    @pytest.fixture
    def operations(self, document: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {
            f"{method.upper()} {path}": operation
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }

    def test_the_customers_paths_are_there(self, operations: dict[str, Any]) -> None:
        assert set(operations) == {
            "POST /api/v1/calls",
            "GET /api/v1/calls",
            "GET /api/v1/calls/{call_id}",
            "DELETE /api/v1/calls/{call_id}",
            "GET /api/v1/calls/{call_id}/events",
            "GET /api/v1/calls/{call_id}/transcript",
            "POST /api/v1/calls/{call_id}/cancel",
            "POST /api/v1/calls/{call_id}/rerun",
            "PATCH /api/v1/calls/{call_id}/speakers",
            "POST /api/v1/consultation/quick-summary",
            "GET /api/v1/consultation/quick-summary/{summary_id}",
            "POST /api/v1/consultation/{consultation_id}/turns",
            "POST /api/v1/consultation/batch-analysis",
            "POST /v1/files",
            "GET /v1/files/{file_id}",
            "DELETE /v1/files/{file_id}",
            "GET /v1/files/{file_id}/content",
            "POST /v1/batches",
            "GET /v1/batches",
            "GET /v1/batches/{batch_id}",
            "POST /v1/batches/{batch_id}/cancel",
            "GET /api/v1/consultation/batches",
            "GET /api/v1/consultation/batches/{batch_id}",
            "GET /api/v1/consultation/batches/{batch_id}/events",
            "GET /api/v1/consultation/batches/{batch_id}/items",
            "GET /api/v1/consultation/batches/{batch_id}/deliveries",
            "POST /api/v1/consultation/batches/{batch_id}/cancel",
            "POST /api/v1/consultation/batches/{batch_id}/rerun",
            "GET /api/v1/consultation/deliveries",
            "GET /api/v1/consultation/deliveries/{delivery_id}",
            "POST /api/v1/consultation/deliveries/{delivery_id}/replay",
            "GET /api/v1/consultation/endpoints",
            "POST /api/v1/sentiment/analyze",
            "POST /api/v1/sentiment/batch",
            "GET /api/v1/sentiment/health",
            "GET /api/v1/sentiment/model-info",
            "POST /diagnose/skin-lesion-async",
            "GET /diagnose/jobs/{job_id}",
            "POST /process_audio",
            "POST /process_audio_fast",
            "GET /health",
            "GET /health/live",
            "GET /health/ready",
            "GET /metrics",
        }

    def test_every_operation_is_described(self, operations: dict[str, dict[str, Any]]) -> None:
        for name, operation in operations.items():
            assert operation["summary"], name
            assert operation["tags"], name

    def test_what_wants_a_key_says_so(self, operations: dict[str, dict[str, Any]]) -> None:
        for name, operation in operations.items():
            is_open = operation["tags"] == ["health"] or name == "GET /api/v1/sentiment/health"
            assert ("security" in operation) is not is_open, name
            assert ("401" in operation["responses"]) is not is_open, name

    def test_every_problem_is_documented_with_its_code(
        self, operations: dict[str, dict[str, Any]]
    ) -> None:
        for name, operation in operations.items():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    examples = response["content"]["application/problem+json"]["examples"]
                    assert examples, name
                    for code, example in examples.items():
                        assert example["value"]["code"] == code
                        assert example["value"]["status"] == int(status)

    def test_every_reference_leads_somewhere(self, document: dict[str, Any]) -> None:
        known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
        assert set(references(document)) <= known

    def test_a_submission_may_be_a_form_or_json(
        self, operations: dict[str, dict[str, Any]]
    ) -> None:
        content = operations["POST /api/v1/calls"]["requestBody"]["content"]
        form = content["multipart/form-data"]["schema"]
        assert form["required"] == ["audio"]
        assert form["properties"]["audio"]["format"] == "binary"
        assert {"consultation_id", "callback_url", "priority", "channels"} <= set(
            form["properties"]
        )
        assert content["application/json"]["examples"]

    def test_a_problem_is_a_problem_document_only(
        self, operations: dict[str, dict[str, Any]]
    ) -> None:
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)
