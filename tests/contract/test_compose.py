"""The compose file is valid and serves every queue once."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from callytics.domain.routes import MODEL_OF, Lane
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
    always = [service for service in services.values() if "profiles" not in service]
    assert sorted(map(str, _served(always))) == sorted(Queue)


def test_a_worker_of_a_variant_is_started_when_asked_for_and_names_its_variant(
    services: dict[str, Any],
) -> None:
    asked_for = [service for service in services.values() if "profiles" in service]
    assert _served(asked_for)
    for service in asked_for:
        for lane in _served([service]):
            name = f"CALLYTICS_MODELS__{MODEL_OF[lane.queue].upper()}__VARIANTS"
            assert lane.variant in json.loads(service["environment"][name])


def _served(services: list[dict[str, Any]]) -> list[Lane]:
    commands = [service.get("command", []) for service in services]
    return [
        Lane.parse(name)
        for command in commands
        if command[:1] == ["worker"]
        for name in command[2].split(",")
    ]


def test_every_part_waits_for_the_migration(services: dict[str, Any]) -> None:
    own = [service for service in services.values() if "build" in service]
    waiting = [service for service in own if "migrate" in service.get("depends_on", {})]
    assert len(waiting) == len(own) - 1
