"""The real API on a real socket, workers played by a thread, and the command line in this process."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import TypeAlias

import pytest
import structlog
import uvicorn
from sqlalchemy.orm import Session, sessionmaker
from typer.testing import CliRunner, Result

from api.app import make_app
from api.context import make_context
from callytics.cli.app import app
from callytics.embedded.process import free_port
from callytics.settings import Settings, get_settings
from tests.support.api import tone
from tests.support.pipeline import Pipeline, Workers
from tests.support.waiting import wait_until

Run: TypeAlias = Callable[..., Result]


@pytest.fixture
def pipeline(sessions: sessionmaker[Session]) -> Pipeline:
    return Pipeline(sessions)


@pytest.fixture
def workers(pipeline: Pipeline) -> Iterator[Workers]:
    """Not started: a test whose calls are to be analysed starts them."""
    workers = Workers(pipeline)
    workers.start()
    yield workers
    workers.stop()


@pytest.fixture
def api_url(settings: Settings, workers: Workers) -> Iterator[str]:
    context = replace(make_context(settings), send=workers.send)
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(make_app(context), port=port, log_config=None, timeout_graceful_shutdown=2)
    )
    thread = Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Iterator[Run]:
    """`run("clients", "list")`: the result of a command on the machine of this test's servers."""
    for name, value in environment.items():
        if name.startswith("CALLYTICS_"):
            monkeypatch.setenv(name, value)

    def invoke(*arguments: str, **variables: str) -> Result:
        for name, value in variables.items():
            monkeypatch.setenv(f"CALLYTICS_{name}", value)
        get_settings.cache_clear()
        return CliRunner().invoke(app, list(arguments), prog_name="callytics")

    yield invoke
    structlog.reset_defaults()


@pytest.fixture
def call(run: Run, api_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """As `run`, with the API's address."""
    monkeypatch.setenv("CALLYTICS_API__PUBLIC_URL", api_url)
    return run


@pytest.fixture
def recording(tmp_path: Path) -> str:
    path = tmp_path / "call.wav"
    path.write_bytes(tone())
    return str(path)
