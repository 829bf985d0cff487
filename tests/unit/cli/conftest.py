"""Runs commands in this process, with an environment of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from callytics.cli.app import app
from callytics.settings import get_settings

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """`run("settings", "show", REDIS_URL="...")`: the result of a command on an empty state directory."""
    monkeypatch.setenv("CALLYTICS_STATE_DIR", str(tmp_path / "state"))

    def invoke(*arguments: str, **variables: str) -> Result:
        for name, value in variables.items():
            monkeypatch.setenv(f"CALLYTICS_{name}", value)
        get_settings.cache_clear()
        return CliRunner().invoke(app, list(arguments), prog_name="callytics")

    yield invoke
    structlog.reset_defaults()
