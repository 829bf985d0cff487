"""The embedded PostgreSQL and Valkey."""

import os
import signal
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from callytics.embedded.postgres import Postgres
from callytics.embedded.process import free_port, running
from callytics.embedded.valkey import Valkey


def connect(server: Postgres, **changes: str) -> psycopg.Connection:
    return psycopg.connect(server.url().replace("+psycopg", ""), autocommit=True, **changes)  # type: ignore[arg-type]


def test_postgres_wants_its_password(postgres: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(postgres, password="wrong")


def test_postgres_listens_on_the_loopback_alone(postgres: Postgres) -> None:
    with connect(postgres) as connection:
        shown = connection.execute(
            "SELECT inet_server_addr()::text, current_setting('listen_addresses')"
        )
        assert shown.fetchone() == ("127.0.0.1/32", "127.0.0.1")


def test_postgres_keeps_its_data_when_it_is_killed_and_started_again(tmp_path: Path) -> None:
    server = Postgres(directory=tmp_path / "postgres", port=free_port(), password="secret")
    with running(server.process(), tmp_path / "log") as pid:
        with connect(server) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
        os.kill(pid, signal.SIGKILL)
    with running(server.process(), tmp_path / "log"), connect(server) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (1,)


def test_a_data_directory_that_was_left_half_made_is_made_anew(tmp_path: Path) -> None:
    directory = tmp_path / "postgres"
    (directory / "unfinished").mkdir(parents=True)
    (directory / "unfinished" / "PG_VERSION").write_text("18")
    server = Postgres(directory=directory, port=free_port(), password="secret")
    with running(server.process(), tmp_path / "log"), connect(server) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_nobody_else_reads_what_postgres_keeps(postgres: Postgres) -> None:
    assert (postgres.directory / "data").stat().st_mode & 0o077 == 0
    assert not (postgres.directory / "password").exists()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Valkey:
    return Valkey(directory=tmp_path / "valkey", port=free_port(), password="secret")


def test_valkey_wants_its_password(valkey: Valkey) -> None:
    no_retry = Retry(NoBackoff(), 0)
    with (
        redis.Redis(port=valkey.port, retry=no_retry) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_valkey_never_evicts(valkey: Valkey) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_valkey_keeps_its_data_when_it_is_killed_and_started_again(
    own_valkey: Valkey, tmp_path: Path
) -> None:
    with running(own_valkey.process(), tmp_path / "log") as pid:
        with redis.Redis.from_url(own_valkey.url) as client:
            client.set("kept", 1)
        os.kill(pid, signal.SIGKILL)
    with (
        running(own_valkey.process(), tmp_path / "log"),
        redis.Redis.from_url(own_valkey.url) as client,
    ):
        assert client.get("kept") == b"1"


def test_the_password_is_on_no_command_line(own_valkey: Valkey, postgres: Postgres) -> None:
    for server in (own_valkey, postgres):
        assert server.password not in " ".join(server.process().command)


def test_valkeys_configuration_is_nobody_elses_to_read(own_valkey: Valkey) -> None:
    own_valkey.process()
    assert (own_valkey.directory / "valkey.conf").stat().st_mode & 0o777 == 0o600
