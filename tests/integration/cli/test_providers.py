import json
from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session, sessionmaker

from callytics.domain.providers import Outcome, Use
from callytics.services.providers import ProviderRows
from tests.integration.cli.conftest import Run
from tests.support.chat_server import ChatServer, chat_server
from tests.support.workers import beat_breakers, beat_providers

USE = Use(
    task="mlm",
    provider="mine",
    model="large",
    outcome=Outcome.OK,
    seconds=2.0,
    prompt_tokens=1000,
    output_tokens=100,
    cost_usd=0.25,
)
KEY = "key-of-mine"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as script:
        script.says("네.")
        yield script


@pytest.fixture
def run(run: Run, server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """With a provider `mine`."""
    monkeypatch.setenv("CALLYTICS_PROVIDERS__MINE__BASE_URL", server.base_url)
    monkeypatch.setenv("CALLYTICS_PROVIDERS__MINE__API_KEY", KEY)
    return run


def order_of(run: Run, task: str) -> tuple[list[str], str]:
    listed = json.loads(run("providers", "list", "--json").stdout)
    [found] = [one for one in listed["tasks"] if one["task"] == task]
    return found["providers"], found["source"]


def test_a_choice_is_made_shown_and_taken_back(run: Run) -> None:
    assert order_of(run, "mlm") == (["vllm"], "settings")
    done = run("providers", "use", "mlm", "mine", "openai", PROVIDERS__OPENAI__API_KEY="k")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "mlm is answered by mine, then openai." in done.stderr
    assert order_of(run, "mlm") == (["mine", "openai"], "providers use")
    assert order_of(run, "slm") == (["vllm"], "settings")
    assert run("providers", "use", "mlm", "--default").exit_code == 0
    assert order_of(run, "mlm") == (["vllm"], "settings")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("nothing", "mine"), 4, "unknown_task"),
        (("nothing", "--default"), 4, "unknown_task"),
        (("mlm", "nobody"), 4, "unknown_provider"),
        (("mlm", "mine", "openai"), 1, "CALLYTICS_PROVIDERS__OPENAI__API_KEY"),
        (("mlm", "runpod"), 1, "CALLYTICS_PROVIDERS__RUNPOD__BASE_URL"),
        (("mlm", "mine", "mine"), 1, "mine is given twice"),
        (("mlm",), 2, "--default"),
        (("mlm", "mine", "--default"), 2, "--default"),
    ],
)
def test_a_choice_that_could_not_work_is_refused(
    run: Run, arguments: tuple[str, ...], code: int, told: str
) -> None:
    done = run("providers", "use", *arguments)
    assert done.exit_code == code
    assert told in done.stderr
    assert order_of(run, "mlm") == (["vllm"], "settings")


def test_a_name_that_no_living_worker_of_the_task_knows_is_refused(
    run: Run, sessions: sessionmaker[Session]
) -> None:
    beat_breakers(sessions, "slm-1", mine="closed")
    beat_providers(sessions, "mlm-1", "vllm")
    beat_providers(sessions, "mlm-2", "vllm", "mine", age_s=60)
    refused = run("providers", "use", "mlm", "mine")
    assert refused.exit_code == 1
    assert "provider_not_ready" in refused.stderr
    for told in ("CALLYTICS_PROVIDERS__MINE__...", "callytics down", "--force"):
        assert told in refused.stderr
    assert order_of(run, "mlm") == (["vllm"], "settings")
    assert run("providers", "use", "slm", "mine").exit_code == 0  # its worker tells nothing of that
    assert run("providers", "use", "mlm", "mine", "--force").exit_code == 0
    assert order_of(run, "mlm") == (["mine"], "providers use")


def test_one_worker_that_knows_a_name_is_enough(run: Run, sessions: sessionmaker[Session]) -> None:
    beat_providers(sessions, "mlm-1", "vllm")
    beat_providers(sessions, "mlm-2", "vllm", "mine")
    assert run("providers", "use", "mlm", "mine").exit_code == 0
    assert order_of(run, "mlm") == (["mine"], "providers use")


def test_the_list_shows_a_chosen_name_that_its_own_settings_do_not_know(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("providers", "use", "mlm", "mine")
    for name in ("BASE_URL", "API_KEY"):
        monkeypatch.delenv(f"CALLYTICS_PROVIDERS__MINE__{name}")
    found = json.loads(run("providers", "list", "--json").stdout)["providers"]
    [mine] = [one for one in found if one["provider"] == "mine"]
    assert (mine["tasks"], mine["server"]) == ({"mlm": 1}, None)
    assert "CALLYTICS_PROVIDERS__MINE__BASE_URL" in mine["problem"]


def test_the_list_says_what_is_there_and_what_is_lacking(
    run: Run, server: ChatServer, sessions: sessionmaker[Session]
) -> None:
    ProviderRows(sessions).note(USE)
    run("providers", "use", "mlm", "mine")
    beat_breakers(sessions, "slm-1", mine="closed")
    beat_breakers(sessions, "slm-2", mine="open", openai="closed")
    shown = run("providers", "list", "--json")
    assert KEY not in shown.output
    by_name = {one["provider"]: one for one in json.loads(shown.stdout)["providers"]}
    assert by_name["mine"] == {
        "provider": "mine",
        "server": f"127.0.0.1:{server.port}",
        "key_set": True,
        "tasks": {"mlm": 1},
        "problem": None,
        "requests": 1,
        "success_rate": 1.0,
        "cost_usd": 0.25,
        "breakers": {"slm": {"closed": 1, "open": 1}},
    }
    assert by_name["openai"]["breakers"] == {"slm": {"closed": 1, "open": 0}}
    assert by_name["vllm"]["breakers"] == {}
    assert "OPENAI__API_KEY" in by_name["openai"]["problem"]
    plain = run("providers", "list")
    assert "mlm (1)" in plain.stdout
    assert plain.stdout.count("slm (1 of 2)") == 1
    assert KEY not in plain.output


def test_usage_is_shown_by_outcome(run: Run, sessions: sessionmaker[Session]) -> None:
    rows = ProviderRows(sessions)
    for use in (USE, USE):
        rows.note(use)
    [found] = json.loads(run("providers", "usage", "--since", "7d", "--json").stdout)
    assert found == {
        "task": "mlm",
        "provider": "mine",
        "model": "large",
        "outcome": "ok",
        "requests": 2,
        "prompt_tokens": 2000,
        "output_tokens": 200,
        "cost_usd": 0.5,
        "seconds": 4.0,
    }
    assert "large" in run("providers", "usage").stdout


def test_usage_before_there_was_any_is_none(run: Run) -> None:
    assert json.loads(run("providers", "usage", "--json").stdout) == []
    assert "No provider was asked" in run("providers", "usage").stderr


def test_check_asks_for_one_token(run: Run, server: ChatServer) -> None:
    run("providers", "use", "mlm", "mine")
    done = run("providers", "check", "mine")
    assert done.exit_code == 0, done.output
    assert "✓ mine for mlm" in done.stderr
    assert [request["max_tokens"] for request in server.asked] == [1]
    assert server.keys == [f"Bearer {KEY}"]


def test_check_says_what_is_wrong(run: Run, server: ChatServer) -> None:
    server.fails(401)
    run("providers", "use", "mlm", "mine")
    done = run("providers", "check", "--json")
    assert done.exit_code == 1
    by_name = {one["provider"]: one for one in json.loads(done.stdout)}
    assert by_name["mine"]["outcome"] == "unauthorized"
    assert "CALLYTICS_PROVIDERS__MINE__API_KEY" in by_name["mine"]["problem"]
    assert "callytics up" in by_name["vllm"]["problem"]
    assert KEY not in done.output


def test_check_of_a_name_that_nobody_has_is_refused(run: Run) -> None:
    done = run("providers", "check", "nobody")
    assert done.exit_code == 1
    assert "no provider `nobody`" in done.stderr
