"""New code on tables that are old or out of sight: it waits, and says for what; nothing is claimed then."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from callytics.db import migrate
from callytics.embedded.postgres import Postgres
from tests.support.waiting import wait_until

BEFORE = "0009"


@pytest.fixture
def old(empty_database_url: str) -> Iterator[Engine]:
    engine = create_engine(empty_database_url)
    migrate.upgrade(engine, BEFORE)
    yield engine
    engine.dispose()


@pytest.fixture
def started(
    old: Engine, environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[[], bytes]]:
    """A worker on the old tables; what it has said."""
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
        yield log.read_bytes
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)


@pytest.fixture
def let_in(old: Engine, postgres: Postgres) -> Iterator[Callable[[], None]]:
    """The database takes no connection until this is called, as while PostgreSQL starts."""
    admin = create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT")
    name = old.url.database
    old.dispose()

    def allow(allowed: bool) -> None:
        with admin.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}"))

    allow(False)
    yield lambda: allow(True)
    admin.dispose()


def test_a_worker_that_starts_before_the_upgrade_waits_for_it(
    old: Engine, started: Callable[[], bytes]
) -> None:
    wait_until(lambda: b"waiting_for_schema" in started())
    assert b"callytics db upgrade" in started()
    assert heartbeats(old) == []
    migrate.upgrade(old)
    wait_until(lambda: heartbeats(old) == ["ready"])


def test_a_worker_that_cannot_see_the_tables_waits_until_it_can(
    old: Engine, let_in: Callable[[], None], started: Callable[[], bytes]
) -> None:
    wait_until(lambda: b"does not answer" in started())
    let_in()
    wait_until(lambda: b"callytics db upgrade" in started())
    assert heartbeats(old) == []
    migrate.upgrade(old)
    wait_until(lambda: heartbeats(old) == ["ready"])


def heartbeats(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT state FROM worker_heartbeats")))
