"""New code on old tables: it waits, and says for what; nothing is claimed meanwhile."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from callytics.db import migrate
from tests.support.waiting import wait_until

BEFORE = "0009"


@pytest.fixture
def old(empty_database_url: str) -> Iterator[Engine]:
    engine = create_engine(empty_database_url)
    migrate.upgrade(engine, BEFORE)
    yield engine
    engine.dispose()


def test_a_worker_that_starts_before_the_upgrade_waits_for_it(
    old: Engine, environment: dict[str, str], tmp_path: Path
) -> None:
    url = old.url.render_as_string(hide_password=False)
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "workers", "--queues", "control"],
            env={**environment, "CALLYTICS_DATABASE_URL": url},
            stdout=output,
            stderr=output,
        ) as worker,
    ):
        try:
            wait_until(lambda: b"waiting_for_schema" in log.read_bytes())
            assert b"callytics db upgrade" in log.read_bytes()
            assert heartbeats(old) == []
            migrate.upgrade(old)
            wait_until(lambda: heartbeats(old) == ["ready"])
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(60)


def heartbeats(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT state FROM worker_heartbeats")))
