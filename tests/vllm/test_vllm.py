"""The port to vLLM, proved against vLLM."""

import json
from typing import Any

import httpx
import pytest

from callytics.services.analysis import AnalysisForm, AnalysisOptions, analyse
from tests.support.chat import CONVERSATION
from tests.support.dashboards import ABSENT
from tests.support.receiver import receiving
from tests.support.waiting import wait_until
from tests.vllm.conftest import MODEL, Centre
from workers.runtimes.chat import OpenAiChat

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]

BASE = "/api/v1/consultation"


def test_an_answer_is_held_to_its_schema(chat: OpenAiChat) -> None:
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["calm", "angry"]}, "minutes": {"enum": [5, 10]}},
        "required": ["mood", "minutes"],
        "additionalProperties": False,
    }
    answer = chat.complete(
        [{"role": "user", "content": "Tell me a long story about a call centre."}],
        max_tokens=60,
        temperature=0.0,
        timeout_s=120,
        schema=schema,
    )
    found = json.loads(answer.text)
    assert found["mood"] in {"calm", "angry"}
    assert found["minutes"] in {5, 10}
    assert answer.prompt_tokens > 0
    assert answer.output_tokens > 0


def test_an_analysis_is_valid_at_the_first_asking(chat: OpenAiChat) -> None:
    found = analyse(chat, CONVERSATION, AnalysisOptions(max_tokens=320))
    names = {finding["name"]: finding for finding in found.to_json()["checks"]}
    assert names["schema_valid"]["score"] > 0


def test_quick_summaries_are_answered(centre: Centre) -> None:
    answers = [ask(centre, f"{CONVERSATION}\n고객: 네, {n}번이에요.", f"CL-{n}") for n in range(3)]
    for answer in answers:
        assert (answer["status"], answer["model_used"]) == ("success", MODEL)
        assert answer["summary"]


def test_a_batch_of_twenty_is_analysed_and_called_back(centre: Centre) -> None:
    with receiving(secrets=[centre.client.secret]) as receiver:
        some = [
            {"consultation_id": f"CL-{n}", "conversation_text": f"{CONVERSATION}\n고객: {n}번이요."}
            for n in range(20)
        ]
        sent = centre.client.post(
            f"{BASE}/batch-analysis", json={"consultations": some, "callback_url": receiver.url}
        )
        assert sent.status_code == 202, sent.text
        name = sent.json()["batch_id"]
        wait_until(lambda: receiver.accepted, 800, every_s=1)

        batch = centre.client.get(f"{BASE}/batches/{name}").json()
        assert (batch["status"], batch["counts"]["done"]) == ("completed", 20)
        [received] = receiver.script.seen
        assert received.faults == ()
        for result in received.payload["results"]:
            AnalysisForm.model_validate(
                {part: result[part] for part in ("summary", "keywords", "titles")}
            )


def ask(centre: Centre, text: str, consultation_id: str) -> dict[str, Any]:
    body = {"consultation_id": consultation_id, "conversation_text": text}
    response = centre.client.post(f"{BASE}/quick-summary", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_it_shows_the_metrics_that_dashboards_ask_for(chat: OpenAiChat, vllm: str) -> None:
    chat.warm_up()
    shown = httpx.get(f"{vllm.removesuffix('/v1')}/metrics", trust_env=False).text
    for metric in ABSENT:
        if metric.startswith("vllm:"):
            assert f"\n{metric}{{" in shown
