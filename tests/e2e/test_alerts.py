"""What an operator sees of a real run: dashboards that show something, and a slow model told to Slack."""

import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import httpx2
import pytest
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.embedded.process import free_port
from callytics.services import keys
from callytics.settings import Settings
from tests.e2e.conftest import Farm
from tests.support.api import CALLS, ApiClient
from tests.support.chat import ANALYSIS, CONVERSATION, SUMMARY
from tests.support.chat_server import ChatServer, chat_server
from tests.support.dashboards import ABSENT, queries
from tests.support.diagnoses import COMPLAINT, FORM, written
from tests.support.observability import Observer, binary, observed, slack
from tests.support.promql import metrics_of
from tests.support.receiver import CLIENT, ScriptedReceiver, receiving
from tests.support.waiting import wait_until

log = logging.getLogger(__name__)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WITHIN_S = 60
CONSULTATIONS = "/api/v1/consultation"


@pytest.fixture(autouse=True)
def _installed() -> None:
    for name in ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter"):
        binary(name)


@pytest.fixture
def model() -> Iterator[ChatServer]:
    """The server of every chat model."""
    with chat_server() as server:
        server.says(SUMMARY)
        yield server


@pytest.fixture
def secret(settings: Settings, sessions: sessionmaker[Session]) -> str:
    with unit_of_work(sessions) as session:
        return keys.create(session, keys.make_cipher(settings), name=CLIENT)


@pytest.fixture
def endpoint(secret: str) -> Iterator[ScriptedReceiver]:
    with receiving(secrets=[secret]) as server:
        yield server


@pytest.fixture
def client(farm: Farm, model: ChatServer, secret: str) -> Iterator[ApiClient]:
    """Of a real API process, beside beat and workers: one asks the model, another scripts the stages."""
    port = free_port()
    farm.env |= {
        "CALLYTICS_API__PORT": str(port),
        "CALLYTICS_LLM__BASE_URL": model.base_url,
        "CALLYTICS_CALLBACKS__ALLOWED_HOSTS": "127.0.0.1",
        "CALLYTICS_BATCH__SIZE": "1",
        # Long, so that a busy machine does not miss what a slow model is to miss.
        "CALLYTICS_DIAGNOSIS__TEXT_BUDGET_S": "60",
    }
    api = farm.start("api")
    stages = farm.worker("audio,diarize,stt,punctuate,sentiment")
    rest = farm.start("workers", "--queues", "slm,mlm,diagnosis,callback,control")
    farm.beat()
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert api.poll() is None, farm.log_of(api)
        try:
            return httpx.get(f"{url}/health/live").is_success
        except httpx.TransportError:
            return False

    for worker in (stages, rest):
        farm.wait_ready(worker)
    wait_until(answers)
    with httpx2.Client(base_url=url, timeout=60) as http:
        yield ApiClient(http, CLIENT, secret)


def test_a_run_is_drawn_and_a_slow_model_is_told_to_slack_within_a_minute(
    client: ApiClient, model: ChatServer, endpoint: ScriptedReceiver, tmp_path: Path
) -> None:
    target = str(client.http.base_url).partition("//")[2].rstrip("/")
    with slack() as hook, observed(tmp_path / "observed", hook.url, target) as observer:
        wait_until(lambda: observer.query("callytics_quick_summaries_late_total"))

        use(client, model, endpoint.url, tmp_path / "failed")
        wait_until(lambda: endpoint.script.seen)
        expect_everything_drawn(observer)

        began = monotonic()
        slow_down(client, model)
        [told, *_] = wait_until(lambda: hook.about("QuickSummariesSlow"), WITHIN_S)
        took_s = monotonic() - began
        log.info("told %.1f s after the model became slow", took_s)
        assert took_s < WITHIN_S
        assert told["title"] == "Page: QuickSummariesSlow"
        assert told["color"] == "danger"
        assert "were late" in told["text"]
        assert "*What to do:* `callytics queues`" in told["text"]
        assert "docs/runbook.md#quicksummariesslow" in told["text"]
        assert "환불" not in str(hook.messages)


def expect_everything_drawn(observer: Observer) -> None:
    """Every query of every dashboard is taken; all find something but those about GPUs and vLLM."""
    empty = set(queries())

    def look() -> bool:
        empty.difference_update([expr for expr in empty if observer.query(expr)])
        return all(metrics_of(expr) & ABSENT for expr in empty)

    try:
        wait_until(look, 60, every_s=0.5)
    except AssertionError:
        pytest.fail("\n".join(["Nothing is drawn by:", *empty]))


def use(client: ApiClient, model: ChatServer, callback_url: str, flag: Path) -> None:
    """One of each: a call that fails at first, a quick summary and the same from the cache, texts, a
    diagnosis, a batch with its callback.
    """
    script = {"audio_s": 9, "fail_once": {"diarize": str(flag)}}
    call = f"{CALLS}/{client.submit(metadata=json.dumps(script))}"
    until_done(lambda: client.get(call).json(), "completed")
    model.says(SUMMARY)
    wait_until(lambda: summarise(client, 0) == 200)
    assert summarise(client, 0) == 200
    assert client.post("/api/v1/sentiment/batch", json={"texts": ["감사", "화"]}).status_code == 200
    model.says(written(FORM))
    asked = client.post("/diagnose/skin-lesion-async", json={"text": COMPLAINT})
    assert asked.status_code == 202, asked.text
    until_done(lambda: client.get(f"/diagnose/jobs/{asked.json()['job_id']}").json(), "done")
    model.says(ANALYSIS)
    one = {"consultation_id": "CL-1", "conversation_text": CONVERSATION}
    batch = {"consultations": [one], "callback_url": callback_url}
    taken = client.post(f"{CONSULTATIONS}/batch-analysis", json=batch)
    assert taken.status_code in {200, 202}, taken.text


def slow_down(client: ApiClient, model: ChatServer) -> None:
    """The model takes longer than agents wait for four summaries."""
    model.says(SUMMARY)
    model.slow_s = 4
    with ThreadPoolExecutor(4) as agents:
        assert set(agents.map(lambda number: summarise(client, number), range(1, 5))) == {202}


def summarise(client: ApiClient, number: int) -> int:
    """Another quick summary: the status of the answer."""
    body = {
        "consultation_id": f"CL-{number}",
        "conversation_text": f"{CONVERSATION}\n고객: 접수 번호는 {number}번입니다.",
    }
    return client.post(f"{CONSULTATIONS}/quick-summary", json=body).status_code


def until_done(look: Callable[[], dict[str, Any]], status: str) -> None:
    def done() -> bool:
        found = look()
        assert found["status"] not in {"failed", "cancelled"}, found
        return bool(found["status"] == status)

    wait_until(done, 120, every_s=0.2)
