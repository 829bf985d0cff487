"""A person says who is agent and who is customer."""

from typing import Any
from uuid import UUID

import pytest

from api.context import ApiContext
from callytics.db.models import Call
from callytics.domain.stages import Stage
from callytics.errors import NotAudioError
from tests.support.api import CALLS, ApiClient, problem
from tests.support.pipeline import Pipeline


@pytest.fixture
def call_id(client: ApiClient, pipeline: Pipeline) -> str:
    call_id = client.submit()
    pipeline.run()
    return call_id


def correct(client: ApiClient, call_id: str, **body: Any) -> dict[str, Any]:
    response = client.request("PATCH", f"{CALLS}/{call_id}/speakers", json=body)
    assert response.status_code == 200, response.text
    call: dict[str, Any] = response.json()
    return call


def roles(call: dict[str, Any]) -> list[str]:
    return [turn["role"] for turn in call["turns"]]


def test_agent_and_customer_change_places(client: ApiClient, call_id: str) -> None:
    before = client.get(f"{CALLS}/{call_id}").json()
    after = correct(client, call_id, swap=True)

    assert (roles(before), roles(after)) == (["agent", "customer"], ["customer", "agent"])
    assert {turn["role_confidence"] for turn in after["turns"]} == {1.0}
    old, new = before["metrics"]["roles"], after["metrics"]["roles"]
    assert (new["agent"], new["customer"]) == (old["customer"], old["agent"])
    old, new = before["sentiment"]["by_role"], after["sentiment"]["by_role"]
    assert (new["agent"], new["customer"]) == (old["customer"], old["agent"])
    assert [turn["text"] for turn in after["turns"]] == [turn["text"] for turn in before["turns"]]


def test_swapping_twice_changes_nothing(
    client: ApiClient, pipeline: Pipeline, call_id: str
) -> None:
    correct(client, call_id, swap=True)
    pipeline.run()
    assert roles(correct(client, call_id, swap=True)) == ["agent", "customer"]


def test_speakers_are_given_roles(client: ApiClient, context: ApiContext, call_id: str) -> None:
    after = correct(client, call_id, roles={"SPEAKER_01": "agent", "SPEAKER_00": "unknown"})
    assert roles(after) == ["unknown", "agent"]
    with context.sessions() as session:
        stored = session.get_one(Call, UUID(call_id)).speaker_roles
    assert stored == {"SPEAKER_00": "unknown", "SPEAKER_01": "agent"}


def test_the_summary_is_made_again_and_nothing_else(
    client: ApiClient, pipeline: Pipeline, call_id: str
) -> None:
    after = correct(client, call_id, swap=True)
    assert (after["status"], after["summary"]) == ("running", None)
    pipeline.run()
    made = client.get(f"{CALLS}/{call_id}").json()
    assert made["status"] == "completed"
    assert made["summary"]["text"]
    assert {stage for stage, work in pipeline.works.items() if work.written == 2} == {
        Stage.SUMMARIZE
    }


def test_without_a_summary_the_call_stays_completed(client: ApiClient, pipeline: Pipeline) -> None:
    call_id = client.submit(stages="sentiment")
    pipeline.run()
    assert correct(client, call_id, swap=True)["status"] == "completed"
    assert pipeline.hints == []


def test_a_correction_outlives_a_new_merge(
    client: ApiClient, pipeline: Pipeline, call_id: str
) -> None:
    correct(client, call_id, swap=True)
    pipeline.run()
    client.post(f"{CALLS}/{call_id}/rerun", json={"from": "merge"})
    pipeline.run()
    assert roles(client.get(f"{CALLS}/{call_id}").json()) == ["customer", "agent"]


def test_a_failed_call_is_corrected_without_being_run_again(
    client: ApiClient, pipeline: Pipeline
) -> None:
    pipeline.fail(Stage.SUMMARIZE, NotAudioError())
    call_id = client.submit()
    pipeline.run()
    after = correct(client, call_id, swap=True)
    assert (after["status"], roles(after)) == ("failed", ["customer", "agent"])
    assert pipeline.hints == []


def refused(client: ApiClient, call_id: str, body: Any, status: int, code: str) -> dict[str, Any]:
    response = client.request("PATCH", f"{CALLS}/{call_id}/speakers", json=body)
    return problem(response, status, code)


def test_a_speaker_that_the_call_has_not(client: ApiClient, call_id: str) -> None:
    body = {"roles": {"SPEAKER_07": "agent"}}
    document = refused(client, call_id, body, 422, "invalid_request")
    assert document["speakers"] == ["SPEAKER_00", "SPEAKER_01"]


def test_nobody_to_swap(client: ApiClient, call_id: str, pipeline: Pipeline) -> None:
    correct(client, call_id, roles={"SPEAKER_00": "unknown", "SPEAKER_01": "unknown"})
    pipeline.run()
    refused(client, call_id, {"swap": True}, 422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"swap": False},
        {"swap": True, "roles": {"SPEAKER_00": "agent"}},
        {"roles": {}},
        {"roles": {"SPEAKER_00": "boss"}},
        {"roles": {"SPEAKER_00\0": "agent"}},
        {"roles": ["agent"]},
        {"swap": True, "why": "wrong"},
        [],
    ],
)
def test_a_body_that_is_not_right(client: ApiClient, call_id: str, body: Any) -> None:
    refused(client, call_id, body, 422, "invalid_request")


def test_a_body_that_is_not_json(client: ApiClient, call_id: str) -> None:
    path = f"{CALLS}/{call_id}/speakers"
    json_type = {"Content-Type": "application/json"}
    broken = client.request("PATCH", path, content=b"{", headers=json_type)
    problem(broken, 400, "malformed_request")
    problem(client.request("PATCH", path, data={"swap": "true"}), 415, "unsupported_media_type")
    large = client.request("PATCH", path, content=b" " * (2**20 + 1), headers=json_type)
    problem(large, 413, "request_too_large")


def test_while_the_call_runs(client: ApiClient) -> None:
    refused(client, client.submit(), {"swap": True}, 409, "call_running")


def test_a_call_without_a_transcript(client: ApiClient) -> None:
    call_id = client.submit()
    client.post(f"{CALLS}/{call_id}/cancel")
    refused(client, call_id, {"swap": True}, 409, "transcript_not_ready")
