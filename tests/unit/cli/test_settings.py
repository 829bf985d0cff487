import json
from pathlib import Path

import pytest

from callytics.settings import STACK_FILE
from tests.unit.cli.conftest import Run

SECRETS = {
    "DATABASE_URL": "postgresql+psycopg://u:hunter2@db/x",
    "REDIS_URL": "redis://:hunter2@cache:6379/0",
    "SECRET_KEY": "hunter2-key",
    "HF_TOKEN": "hunter2-token",
    "CLIENT__SECRET": "hunter2-client",
    "LLM__API_KEY": "hunter2-llm",
    "FLOWER__BASIC_AUTH": "user:hunter2",
    "PROVIDERS__OPENAI__API_KEY": "hunter2-openai",
}


@pytest.mark.parametrize("arguments", [("show",), ("show", "--json")])
def test_show_masks_every_secret(run: Run, arguments: tuple[str, ...]) -> None:
    result = run("settings", *arguments, **SECRETS)
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    assert result.stdout.count("********") == len(SECRETS)


def test_show_prints_every_setting_as_json(run: Run) -> None:
    shown = json.loads(run("settings", "show", "--json", WORKERS__STT__GPU="1").stdout)
    assert shown["api.port"] == 8000
    assert shown["models.transcribe.model"] == "whisper-base"
    assert shown["workers.stt.gpu"] == "1"
    assert shown["redis_url"] is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redis_url", "redis://:hunter2@cache:6379/0"),
        ("CALLYTICS_LLM__API_KEY", "hunter2-llm"),
        ("api.port", "8000"),
        ("audio.roots", "[]"),
    ],
)
def test_get_prints_the_value_and_nothing_else(run: Run, name: str, value: str) -> None:
    result = run("settings", "get", name, **SECRETS)
    assert (result.exit_code, result.output) == (0, value + "\n")


def test_an_address_where_no_stack_runs_is_said_to_be_one(run: Run) -> None:
    result = run("settings", "get", "api_url")
    assert (result.exit_code, result.stdout) == (0, "http://127.0.0.1:8000\n")
    assert "No stack runs in" in result.stderr


def test_get_reads_what_the_running_stack_has_published(run: Run, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / STACK_FILE).write_text(json.dumps({"settings": {"redis_url": "redis://here:1/0"}}))
    assert run("settings", "get", "redis_url").stdout == "redis://here:1/0\n"


def test_show_says_where_each_value_comes_from(run: Run, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    stack = {"settings": {"redis_url": "redis://here:1/0", "api": {"port": 8001}}}
    (state / STACK_FILE).write_text(json.dumps(stack))
    lines = run("settings", "show", API__PORT="8002").stdout.splitlines()
    shown = {line.split()[0]: " ".join(line.split()) for line in lines}
    assert shown["api.port"].startswith("api.port 8002 environment ")
    assert shown["redis_url"].startswith("redis_url ******** running stack ")
    assert shown["models.transcribe.model"].startswith(
        "models.transcribe.model whisper-base preset "
    )
    assert shown["api.host"].startswith("api.host 127.0.0.1 default Address that")


def test_a_setting_that_is_not_set_is_not_found(run: Run) -> None:
    result = run("settings", "get", "redis_url")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "redis_url is not set" in result.stderr


def test_a_misspelt_setting_is_not_found_and_the_right_one_named(run: Run) -> None:
    result = run("settings", "get", "api_ulr")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "Did you mean api_url?" in result.stderr


def test_a_wrong_setting_is_named_without_its_value(run: Run) -> None:
    result = run("settings", "show", API__PORT="hunter2")
    assert result.exit_code == 1
    assert "CALLYTICS_API__PORT" in result.stderr
    assert "hunter2" not in result.stderr
