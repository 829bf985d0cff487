"""From a slow model to Slack: real API, worker, PostgreSQL, Valkey, Prometheus and Alertmanager."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import httpx
import httpx2
import pytest
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.embedded.process import free_port
from callytics.services import keys
from callytics.settings import Settings
from tests.e2e.conftest import Farm
from tests.support.api import ApiClient
from tests.support.chat import CONVERSATION, SUMMARY
from tests.support.chat_server import ChatServer, chat_server
from tests.support.observability import binary, observed, slack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

WITHIN_S = 60


@pytest.fixture
def model() -> Iterator[ChatServer]:
    """The small chat model's server, which takes its time."""
    with chat_server() as server:
        server.says(SUMMARY)
        server.slow_s = 4
        yield server


@pytest.fixture
def client(
    farm: Farm, model: ChatServer, settings: Settings, sessions: sessionmaker[Session]
) -> Iterator[ApiClient]:
    """Of a real API process, beside a worker that asks the slow model."""
    port = free_port()
    farm.env |= {
        "CALLYTICS_API__PORT": str(port),
        "CALLYTICS_MODELS__SUMMARIZE__SERVER": model.base_url,
    }
    api, worker = farm.start("api"), farm.start("workers", "--queues", "slm,control")
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert api.poll() is None, farm.log_of(api)
        try:
            return httpx.get(f"{url}/health/live").is_success
        except httpx.TransportError:
            return False

    farm.beat()
    farm.wait_ready(worker)
    wait_until(answers)
    with unit_of_work(sessions) as session:
        secret = keys.create(session, keys.make_cipher(settings), name="centerlink")
    with httpx2.Client(base_url=url, timeout=30) as http:
        yield ApiClient(http, "centerlink", secret)


def ask(client: ApiClient, number: int) -> int:
    """Another quick summary; the status of the answer."""
    body = {
        "consultation_id": f"CL-{number}",
        "conversation_text": f"{CONVERSATION}\n고객: 접수 번호는 {number}번입니다.",
    }
    return client.post("/api/v1/consultation/quick-summary", json=body).status_code


def test_a_slow_model_is_told_to_slack_within_a_minute(client: ApiClient, tmp_path: Path) -> None:
    for name in ("prometheus", "prometheus-alertmanager"):
        binary(name)
    target = str(client.http.base_url).partition("//")[2].rstrip("/")
    with slack() as hook, observed(tmp_path / "observed", hook.url, [target]) as observer:
        wait_until(lambda: observer.query("callytics_quick_summaries_late_total == 0"))

        began = monotonic()
        with ThreadPoolExecutor(4) as agents:
            assert set(agents.map(lambda number: ask(client, number), range(4))) == {202}
        [told, *_] = wait_until(lambda: hook.about("QuickSummariesSlow"), WITHIN_S)

        assert monotonic() - began < WITHIN_S
        assert told["title"] == "Page: QuickSummariesSlow"
        assert told["color"] == "danger"
        assert "were late" in told["text"]
        assert "*What to do:* `callytics queues`" in told["text"]
        assert "docs/runbook.md#quicksummariesslow" in told["text"]
        assert CONVERSATION not in str(hook.messages)
