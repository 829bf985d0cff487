"""Providers of a real worker process, changed while it runs."""

import json
from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session, sessionmaker
from typer.testing import CliRunner

from callytics.cli.app import app
from callytics.db.engine import unit_of_work
from callytics.db.models import AnalysisResult
from callytics.db.providers import ProviderUsages
from callytics.settings import get_settings
from tests.e2e.conftest import Farm
from tests.support.batches import BatchDesk, insert_client
from tests.support.chat import ANALYSIS
from tests.support.chat_server import ChatServer, chat_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture
def alpha() -> Iterator[ChatServer]:
    with chat_server() as server:
        server.says(ANALYSIS)
        yield server


@pytest.fixture
def beta() -> Iterator[ChatServer]:
    with chat_server() as server:
        server.says(ANALYSIS)
        yield server


def test_a_choice_takes_effect_without_a_restart(
    farm: Farm,
    sessions: sessionmaker[Session],
    alpha: ChatServer,
    beta: ChatServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    farm.env.update(
        {
            "CALLYTICS_MODELS__ANALYSE__PROVIDERS": "alpha,beta",
            "CALLYTICS_PROVIDERS__ALPHA__BASE_URL": alpha.base_url,
            "CALLYTICS_PROVIDERS__ALPHA__API_KEY": "key-of-alpha",
            "CALLYTICS_PROVIDERS__BETA__BASE_URL": beta.base_url,
            "CALLYTICS_PROVIDERS__BETA__API_KEY": "key-of-beta",
            "CALLYTICS_PROVIDERS__BETA__MODELS__MLM": "beta-large",
            "CALLYTICS_PROVIDERS__BETA__REST_AFTER": "1",
            "CALLYTICS_PROVIDERS__BETA__REST_S": "0.5",
            "CALLYTICS_LOG_LEVEL": "debug",
        }
    )
    for name, value in farm.env.items():
        if name.startswith("CALLYTICS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("CALLYTICS_PROVIDERS__GAMMA__BASE_URL", beta.base_url)  # in this shell alone
    get_settings.cache_clear()
    worker = farm.start("workers", "--queues", "mlm")
    farm.wait_ready(worker)
    assert alpha.asked == []  # being ready costs nothing
    batch = farm.settings.batch.model_copy(update={"size": 1})
    settings = farm.settings.model_copy(update={"batch": batch})
    desk = BatchDesk(sessions, settings, insert_client(sessions))

    def analysed_by() -> tuple[str | None, str | None]:
        """Who analyses the next consultation."""
        [name] = desk.submit(1, url=None).batches
        farm.send(desk.sent)
        desk.sent.clear()

        def result() -> AnalysisResult | None:
            [item] = desk.items(name)
            return next(iter(item.results), None)

        found: AnalysisResult = wait_until(result)
        return found.provider, found.model

    def choose(*arguments: str) -> None:
        done = CliRunner().invoke(app, ["providers", "use", "mlm", *arguments])
        assert done.exit_code == 0, done.output

    def breaker_of_beta() -> dict[str, int]:
        listed = json.loads(CliRunner().invoke(app, ["providers", "list", "--json"]).stdout)
        [found] = [one for one in listed["providers"] if one["provider"] == "beta"]
        # Nothing before the heartbeat after the choice: until then no worker has said that it may ask beta.
        told: dict[str, int] = found["breakers"].get("mlm", {})
        return told

    def logged() -> str:
        return (farm.logs / "0.log").read_text()

    ours = farm.settings.models.analyse.model
    assert analysed_by() == ("alpha", ours)
    refused = CliRunner().invoke(app, ["providers", "use", "mlm", "gamma"])
    assert "provider_not_ready" in refused.output
    choose("gamma", "alpha", "--force")
    wait_until(lambda: analysed_by() and "provider_not_usable" in logged(), 10)
    choose("beta", "alpha")
    wait_until(lambda: analysed_by() == ("beta", "beta-large"), 10)
    beta.fails(500)
    assert analysed_by() == ("alpha", ours)
    wait_until(lambda: breaker_of_beta() == {"closed": 0, "open": 1}, 10)
    beta.status = 200
    wait_until(lambda: analysed_by() == ("beta", "beta-large"), 10)
    wait_until(lambda: breaker_of_beta() == {"closed": 1, "open": 0}, 10)
    choose("--default")
    wait_until(lambda: analysed_by() == ("alpha", ours), 10)
    assert worker.poll() is None

    with unit_of_work(sessions) as session:
        counted = {(one.provider, one.outcome.value) for one in ProviderUsages(session).sums()}
    assert counted == {("alpha", "ok"), ("beta", "ok"), ("beta", "server_error")}
    log = logged()
    assert "job_ended" in log
    for secret in ("key-of", "환불"):
        assert secret not in log
