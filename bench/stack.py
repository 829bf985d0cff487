"""An API and servers of a measurement's own, as real processes; what works behind them the caller starts."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from cryptography.fernet import Fernet
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.domain import bound_key
from callytics.embedded.process import free_port
from callytics.services import keys
from tests.support.stack import servers, spawn
from tests.support.waiting import wait_until

SECRET_KEY = "CALLYTICS_SECRET_KEY"


@dataclass(frozen=True, kw_only=True, slots=True)
class BareStack:
    url: str
    make_key: Callable[[], str]
    sessions: sessionmaker[Session]


@contextmanager
def bare_stack() -> Iterator[BareStack]:
    """The environment of this process names it to those that are started later."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        os.environ[SECRET_KEY] = Fernet.generate_key().decode()
        # Nobody is turned away for asking often.
        os.environ["CALLYTICS_API__RATE_LIMIT_PER_MINUTE"] = "1000000"
        settings, sessions = stack.enter_context(servers(Path(directory)))
        with unit_of_work(sessions) as session:
            secret = keys.create(session, keys.make_cipher(settings), name="bench")
        yield BareStack(
            url=stack.enter_context(serving("api.app:create_app")),
            make_key=lambda: bound_key.make("bench", secret, now_s=time.time()),
            sessions=sessions,
        )


@contextmanager
def serving(app: str) -> Iterator[str]:
    """The address of an API process of its own, on the servers that the environment names."""
    port = free_port()
    with spawn("uvicorn", app, "--factory", f"--port={port}", "--no-access-log"):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(url))
        yield url


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", trust_env=False).is_success
    except httpx.TransportError:
        return False
