"""The sentiment service with a real API, broker and worker processes; models are scripted."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy.orm import Session, sessionmaker

from api.context import make_context
from callytics.db.engine import unit_of_work
from callytics.services import keys
from callytics.settings import Settings
from tests.support.api import ApiClient, serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

PATH = "/api/v1/sentiment"


@pytest.fixture
def client(settings: Settings, sessions: sessionmaker[Session]) -> Iterator[ApiClient]:
    context = make_context(settings)
    with unit_of_work(sessions) as session:
        secret = keys.create(session, context.cipher, name="desk", rate_limit_per_minute=10_000)
    with serving(context) as http:
        yield ApiClient(http, "desk", secret)


def batch(client: ApiClient, texts: list[str]) -> Any:
    answer: httpx2.Response = client.post(f"{PATH}/batch", json={"texts": texts})
    assert answer.status_code == 200, answer.text
    return answer.json()


def serves(client: ApiClient) -> Callable[[], bool]:
    return lambda: bool(client.http.get(f"{PATH}/health").json()["model_loaded"])


def test_texts_are_judged_while_the_worker_s_child_is_killed(
    farm: Any, client: ApiClient, tmp_path: Path
) -> None:
    worker = farm.worker("punctuate,sentiment")
    farm.wait_ready(worker)
    wait_until(serves(client))

    with ThreadPoolExecutor(9) as clients:
        fatal = clients.submit(batch, client, [f"치명 {tmp_path / 'died'}"])
        others = [
            clients.submit(batch, client, [f"{n} 감사", f"{n} 화", f"{n}"]) for n in range(40)
        ]
        answers = [one.result() for one in others]
        assert fatal.result()["status"] == "success"
    assert (tmp_path / "died").exists()
    for answer in answers:
        assert answer["status"] == "success"
        assert [one["sentiment"] for one in answer["data"]["results"]] == ["긍정", "부정", "중립"]


def test_a_new_model_answers_as_soon_as_it_serves(
    farm: Any, client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = farm.worker("sentiment")
    farm.wait_ready(old)
    wait_until(serves(client))
    before = client.post(f"{PATH}/analyze", json={"text": "감사"})
    assert before.headers["x-model"] == "scripted@1"

    farm.env["CALLYTICS_TEST_REVISION"] = "2"
    farm.wait_ready(farm.worker("sentiment"))
    old.terminate()
    old.wait(30)

    after = client.post(f"{PATH}/analyze", json={"text": "감사"})
    assert (after.headers["x-model"], after.headers["x-cache"]) == ("scripted@2", "MISS")


def test_no_text_is_logged(farm: Any, client: ApiClient, capfd: pytest.CaptureFixture[str]) -> None:
    worker = farm.worker("sentiment")
    farm.wait_ready(worker)
    wait_until(serves(client))
    batch(client, ["비밀스러운 말 감사", "고장 비밀스러운 말"])

    out, err = capfd.readouterr()
    assert "비밀" not in out + err + farm.log_of(worker)
