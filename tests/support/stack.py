"""Servers and worker processes for measurements and for tests that need servers of their own."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from callytics.db import migrate
from callytics.db.engine import make_engine, make_sessions
from callytics.db.heartbeats import Heartbeats
from callytics.embedded.postgres import Postgres
from callytics.embedded.process import free_port, running
from callytics.embedded.valkey import Valkey
from callytics.settings import Settings, get_settings
from tests.support.waiting import wait_until


@contextmanager
def servers(directory: Path) -> Iterator[tuple[Settings, sessionmaker[Session]]]:
    """A durable PostgreSQL, migrated, and a Valkey; the environment of this process names them."""
    postgres = Postgres(
        directory=directory / "postgres", port=free_port(), password=secrets.token_hex()
    )
    valkey = Valkey(directory=directory / "valkey", port=free_port(), password=secrets.token_hex())
    with (
        running(postgres.process(), directory / "postgres.log"),
        running(valkey.process(), directory / "valkey.log"),
    ):
        os.environ["CALLYTICS_DATABASE_URL"] = postgres.url("postgres")
        os.environ["CALLYTICS_REDIS_URL"] = valkey.url
        os.environ["CALLYTICS_STATE_DIR"] = str(directory / "state")
        settings = get_settings()
        engine = make_engine(settings)
        migrate.upgrade(engine)
        yield settings, make_sessions(engine)
        engine.dispose()


def left_behind(state_dir: Path) -> list[str]:
    """The command lines of processes that were started for the state directory."""
    mark = f"CALLYTICS_STATE_DIR={state_dir}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


@contextmanager
def spawn(*module: str) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m module...`, quiet, ended with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", *module], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def wait_ready(sessions: sessionmaker[Session], process: subprocess.Popen[bytes]) -> str:
    """The name of the worker that `process` runs, once it takes messages."""

    def ready() -> str | None:
        assert process.poll() is None, "the worker ended"
        with sessions() as session:
            return next(
                (
                    row.worker
                    for row in Heartbeats(session).fresh()
                    if f"-{process.pid}@" in row.worker and row.state == "ready"
                ),
                None,
            )

    return str(wait_until(ready))
