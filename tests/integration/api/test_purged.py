"""What clients see of a call that a part was purged of."""

from datetime import timedelta

import pytest

from api.context import ApiContext
from callytics.db.engine import unit_of_work
from callytics.domain.retention import Scope
from callytics.services import purge, purge_plans
from tests.support.api import CALLS, ApiClient, problem
from tests.support.pipeline import Pipeline


@pytest.fixture
def call_id(client: ApiClient, pipeline: Pipeline) -> str:
    call_id = client.submit(metadata='{"branch": "7"}')
    pipeline.run()
    return call_id


def purged(context: ApiContext, scope: Scope) -> None:
    with unit_of_work(context.sessions) as session:
        plan = purge_plans.by_age(session, scope, timedelta())
    assert purge.run(context.sessions, context.store, plan, actor="test")["calls"] == 1


def test_without_its_text_there_is_no_transcript_and_no_way_back(
    client: ApiClient, context: ApiContext, call_id: str
) -> None:
    purged(context, Scope.TEXT)
    call = client.get(f"{CALLS}/{call_id}").json()
    assert (call["turns"], call["summary"], call["metadata"]) == ([], None, {})
    assert call["text_purged_at"] is not None
    assert call["metrics"]
    assert {stage["status"] for stage in call["stages"]} == {"done"}
    problem(client.get(f"{CALLS}/{call_id}/transcript"), 410, "call_purged")
    problem(
        client.request("PATCH", f"{CALLS}/{call_id}/speakers", json={"swap": True}),
        410,
        "call_purged",
    )
    again = client.post(f"{CALLS}/{call_id}/rerun", json={"from": "preprocess"})
    problem(again, 410, "call_purged")


def test_without_its_audio_what_needs_none_is_done_again(
    client: ApiClient, context: ApiContext, pipeline: Pipeline, call_id: str
) -> None:
    purged(context, Scope.AUDIO)
    call = client.get(f"{CALLS}/{call_id}").json()
    assert call["turns"]
    assert call["audio_purged_at"] is not None
    again = client.post(f"{CALLS}/{call_id}/rerun", json={"from": "transcribe"})
    problem(again, 410, "call_purged")
    assert client.post(f"{CALLS}/{call_id}/rerun", json={"from": "summarize"}).status_code == 202
    pipeline.run()
    assert client.get(f"{CALLS}/{call_id}").json()["status"] == "completed"
