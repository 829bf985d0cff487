import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callytics.cli.doctor import ONE_MACHINE
from tests.unit.cli.conftest import Run


def findings(run: Run, *options: str, **variables: str) -> dict[str, dict[str, Any]]:
    listed = json.loads(run("doctor", "--json", *options, **variables).stdout)
    return {finding["name"]: finding for finding in listed}


def test_each_thing_that_a_stack_takes_is_looked_at(run: Run) -> None:
    found = findings(run)
    assert {f"extra {extra}" for extra in ONE_MACHINE} <= found.keys()
    for name in ("Python", "PostgreSQL", "Valkey", "state directory", "disk space", "port of API"):
        assert found[name]["ok"], found[name]


def test_what_is_missing_fails_the_command_and_says_what_mends_it(run: Run, tmp_path: Path) -> None:
    result = run("doctor", MODEL_DIR=str(tmp_path / "models"))
    assert result.exit_code == 1
    line = next(line for line in result.stdout.splitlines() if "model for transcribe" in line)
    assert line.startswith("missing")
    assert "callytics models fetch whisper-base" in line


def test_an_unknown_extra_is_missing(run: Run) -> None:
    found = findings(run, "--extra", "singing")
    assert not found["extra singing"]["ok"]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_taken_port_is_missing_if_it_was_fixed(run: Run, taken_port: int) -> None:
    found = findings(run, API__PORT=str(taken_port))["port of API"]
    assert not found["ok"]
    assert "CALLYTICS_API__PORT" in found["mend"]


def test_servers_that_do_not_answer_are_missing_and_no_password_is_shown(run: Run) -> None:
    result = run(
        "doctor",
        "--json",
        DATABASE_URL="postgresql+psycopg://u:hunter2@127.0.0.1:9/x",
        REDIS_URL="redis://:hunter2@127.0.0.1:9/0",
    )
    found = {finding["name"]: finding for finding in json.loads(result.stdout)}
    assert not found["database"]["ok"]
    assert not found["Redis"]["ok"]
    assert "hunter2" not in result.output


def test_a_directory_that_cannot_be_made_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = findings(run, MODEL_DIR=str(tmp_path / "file" / "models"))
    assert not found["model directory"]["ok"]
    assert "CALLYTICS_MODEL_DIR" in found["model directory"]["mend"]
