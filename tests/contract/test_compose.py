"""The compose file is valid and serves every queue once."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from callytics.domain.stages import Queue

FILE = Path("docker-compose.yml")


@pytest.fixture
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    return found


def test_the_file_follows_the_compose_specification() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_every_queue_has_one_worker(services: dict[str, Any]) -> None:
    commands = [service.get("command", []) for service in services.values()]
    served = [
        queue
        for command in commands
        if command[:1] == ["worker"]
        for queue in command[2].split(",")
    ]
    assert sorted(served) == sorted(Queue)


def test_every_part_waits_for_the_migration(services: dict[str, Any]) -> None:
    own = [service for service in services.values() if "build" in service]
    waiting = [service for service in own if "migrate" in service.get("depends_on", {})]
    assert len(waiting) == len(own) - 1
