"""What every test may ask for: real PostgreSQL and Valkey, settings bound to them, and no way outside.

The servers start when the first test of a session asks for them. Each test has a database of its own,
copied from a migrated one, and an empty Valkey.
"""

import ipaddress
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
import structlog
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.orm import Session, sessionmaker
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from callytics.db import migrate
from callytics.db.engine import make_engine, make_sessions
from callytics.embedded.postgres import Postgres
from callytics.embedded.process import free_port, running
from callytics.embedded.valkey import Valkey
from callytics.settings import Settings, get_settings


def _address(host: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` spells out; None for a name."""
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return None


def _refuse_the_outside(event: str, arguments: tuple[Any, ...]) -> None:
    """Fail a test that looks up a name or sends to an address beyond this machine."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
        refused = host not in {None, "localhost", b"localhost"} and _address(host) is None
    elif event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):
        host = arguments[1][0]
        refused = host != "localhost" and not getattr(_address(host), "is_loopback", False)
    else:
        return
    if refused:
        pytest.fail(f"A test reached for the outside: {event} {host!r}")


sys.addaudithook(_refuse_the_outside)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores it, and so would the processes that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class _Shares(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """Shares the tests out among processes by file, and all that starts whole stacks to one of them: two
    stacks at once starve each other of the machine.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "stacks" if nodeid.startswith("tests/e2e/") else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return _Shares(config, log)


@pytest.fixture(scope="session", autouse=True)
def _no_logger_is_kept() -> Iterator[None]:
    """A logger that is kept after its first use goes on as it was configured then, unheard by later tests."""
    configure = structlog.configure

    def without_keeping(**said: Any) -> None:
        configure(**{**said, "cache_logger_on_first_use": False})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", without_keeping)
        yield


@pytest.fixture(autouse=True)
def _logs_are_told_as_they_come() -> Iterator[None]:
    """How a test had them told, or not told, as the command line does below a warning, holds for it alone."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _default_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the person who runs the tests has configured says nothing here, but for the model files."""
    for name in list(os.environ):
        if name.startswith("CALLYTICS_") and name != "CALLYTICS_MODEL_DIR":
            monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    yield
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server whose data need not outlive the machine."""
    directory = tmp_path_factory.mktemp("postgres")
    server = Postgres(
        directory=directory,
        port=free_port(),
        password=secrets.token_hex(),
        settings={"fsync": "off", "max_connections": "200"},
    )
    with running(server.process(), directory / "log"):
        yield server


@pytest.fixture(scope="session")
def _admin(postgres: Postgres) -> Iterator[Engine]:
    engine = create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture
def empty_database_url(postgres: Postgres, _admin: Engine) -> Iterator[str]:
    """A database without a table."""
    yield from _database(postgres, _admin, "template0")


def _database(postgres: Postgres, admin: Engine, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield postgres.url(name)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def _migrated(postgres: Postgres, _admin: Engine) -> Engine:
    """The migrated database that one test after the other has: to make one takes a hundred times longer
    than to empty it.
    """
    with _admin.connect() as connection:
        connection.execute(text("CREATE DATABASE migrated"))
    engine = create_engine(postgres.url("migrated"), poolclass=NullPool)
    migrate.upgrade(engine)
    return engine


@pytest.fixture
def database_url(postgres: Postgres, _admin: Engine, _migrated: Engine) -> Iterator[str]:
    """A database at the newest version, with no row in it, which this test alone has."""
    yield postgres.url("migrated")
    with _admin.connect() as connection:
        connection.execute(_DISCONNECT)
    with _migrated.begin() as connection:
        tables = connection.scalars(_TABLES).all()
        deletions = [f"DELETE FROM {table}" for table in tables]
        connection.execute(text("; ".join(["SET session_replication_role = replica", *deletions])))
        connection.execute(_RESTART)


@pytest.fixture
def own_database_url(postgres: Postgres, _admin: Engine, _migrated: Engine) -> Iterator[str]:
    """A copy of it, gone after the test: for processes that may outlive it for a moment."""
    yield from _database(postgres, _admin, "migrated")


_DISCONNECT = text(
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'migrated'"
)
_TABLES = text("""
    SELECT quote_ident(tablename) FROM pg_tables
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
""")
_RESTART = text("""
    SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
    FROM pg_sequences
""")


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    directory = tmp_path_factory.mktemp("valkey")
    server = Valkey(directory=directory, port=free_port(), password=secrets.token_hex())
    with running(server.process(), directory / "log"):
        yield server


@pytest.fixture
def redis_url(valkey: Valkey) -> Iterator[str]:
    """A Valkey that is empty when the test begins, and that one test at a time has."""
    yield valkey.url
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Defaults, bound to this test's servers and to a state directory of its own."""
    return Settings(
        database_url=SecretStr(database_url),
        redis_url=SecretStr(redis_url),
        secret_key=SecretStr(Fernet.generate_key().decode()),
        state_dir=tmp_path / "state",
    )


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """The environment by which a process that a test starts finds the same `settings`."""
    urls = (settings.database_url, settings.redis_url, settings.secret_key)
    names = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY")
    given = {
        f"CALLYTICS_{name}": secret.get_secret_value()
        for name, secret in zip(names, urls, strict=True)
        if secret
    }
    return {**os.environ, **given, "CALLYTICS_STATE_DIR": str(settings.state_dir)}


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = make_engine(settings, application="test")
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return make_sessions(engine)
