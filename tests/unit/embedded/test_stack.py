"""What the stack decides before it starts anything, where all servers are elsewhere."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from callytics.embedded.stack import ENGINES, _assemble, start_detached, status, stop
from callytics.embedded.state_dir import StateDir
from callytics.embedded.supervisor import Event
from callytics.errors import ConfigurationError, StackRunningError
from callytics.settings import Settings

ELSEWHERE = {
    "CALLYTICS_DATABASE_URL": "postgresql+psycopg://elsewhere/x",
    "CALLYTICS_REDIS_URL": "redis://elsewhere/0",
    "CALLYTICS_LLM__BASE_URL": "http://elsewhere/v1",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StateDir]:
    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)
    home = StateDir(tmp_path)
    with home.locked():
        yield home


def assemble(home: StateDir) -> tuple[dict[str, Any], list[Event]]:
    events: list[Event] = []
    _assemble(home, events.append)
    published: dict[str, Any] = json.loads((home.path / "stack.json").read_text())["settings"]
    return published, events


def test_servers_that_are_configured_are_not_started(home: StateDir) -> None:
    published, events = assemble(home)
    assert not {"postgres", "valkey", "llm"}.intersection(event.part for event in events)
    assert published["database_url"] == ELSEWHERE["CALLYTICS_DATABASE_URL"]


def test_a_chat_model_that_others_answer_for_gets_no_engine(
    home: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CALLYTICS_LLM__BASE_URL")
    monkeypatch.setenv("CALLYTICS_MODELS__SUMMARIZE__PROVIDERS", "openai")
    monkeypatch.setenv("CALLYTICS_MODELS__ANALYSE__PROVIDERS", "openai,vllm")
    published, _ = assemble(home)
    assert "models" not in published


def test_a_taken_port_gives_way_and_that_is_said(home: StateDir) -> None:
    preferred = Settings(state_dir=home.path).api.port
    with ExitStack() as stack:
        with suppress(OSError):  # somebody has it already, which does as well
            stack.enter_context(socket.create_server(("127.0.0.1", preferred)))
        published, events = assemble(home)
    (detail,) = (event.detail for event in events if event.part == "api" and event.detail)
    assert detail == f"port {preferred} is taken, so it will be {published['api']['port']}"


def test_a_taken_port_that_the_environment_fixes_is_an_error(
    home: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("CALLYTICS_API__PORT", str(server.getsockname()[1]))
        with pytest.raises(ConfigurationError, match="CALLYTICS_API__PORT"):
            assemble(home)


def test_a_secret_key_that_is_configured_is_kept(
    home: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLYTICS_SECRET_KEY", "own-key")
    assert assemble(home)[0]["secret_key"] == "own-key"


def test_a_model_that_cannot_be_served_here_wants_a_server(
    home: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CALLYTICS_LLM__BASE_URL")
    monkeypatch.setenv("CALLYTICS_PRESET", "production")
    with pytest.raises(ConfigurationError, match="CALLYTICS_LLM__BASE_URL"):
        assemble(home)


def test_a_model_with_a_server_of_its_own_is_not_served_here(
    home: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CALLYTICS_LLM__BASE_URL")
    monkeypatch.setenv("CALLYTICS_PRESET", "production")
    monkeypatch.setenv("CALLYTICS_MODELS__SUMMARIZE__SERVER", "http://gpu2:8000/v1")
    monkeypatch.setenv("CALLYTICS_MODELS__ANALYSE__SERVER", "http://gpu3:8000/v1")
    assert not {"llm", "mlm"} & set(assemble(home)[0])


@pytest.fixture
def weights(home: StateDir, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The chat model is here, and no server is configured."""
    monkeypatch.delenv("CALLYTICS_LLM__BASE_URL")
    folder = tmp_path / "models" / Settings(state_dir=home.path).models.analyse.model
    folder.mkdir(parents=True)
    (folder / "weights.gguf").touch()
    monkeypatch.setenv("CALLYTICS_MODEL_DIR", str(folder.parent))


@pytest.mark.usefixtures("weights")
def test_descriptions_are_judged_by_the_engine_of_the_analyses(home: StateDir) -> None:
    published = assemble(home)[0]["models"]

    assert published["diagnosis_text"] == published["analyse"]
    assert published["analyse"] != published["summarize"]


@pytest.mark.usefixtures("weights")
def test_each_engine_has_a_port_of_its_own_where_the_usual_ones_are_taken(home: StateDir) -> None:
    with ExitStack() as stack:
        for engine in ENGINES:
            with suppress(OSError):  # somebody has it already, which does as well
                stack.enter_context(socket.create_server(("127.0.0.1", engine.port)))
        published = assemble(home)[0]["models"]

    assert published["analyse"] != published["summarize"]


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(
    ("name", "value"), [("SERVER", "http://gpu4:8000/v1"), ("MODEL", "another")]
)
def test_descriptions_with_a_server_or_model_of_their_own_are_not(
    home: StateDir, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"CALLYTICS_MODELS__DIAGNOSIS_TEXT__{name}", value)

    assert "diagnosis_text" not in assemble(home)[0]["models"]


def test_a_stack_that_runs_is_not_started_again(home: StateDir) -> None:
    with pytest.raises(StackRunningError):
        start_detached(Settings(state_dir=home.path), on_event=lambda _: None)


def test_where_nothing_runs_there_is_nothing_to_stop(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    assert stop(settings) is False
    assert status(settings).pid is None
    assert not status(settings).ready
