"""The state directory: who runs a stack in it, its secrets, what it publishes, how its parts stand."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from callytics.embedded.supervisor import Event, State
from callytics.errors import StackRunningError
from callytics.settings import STACK_FILE


@dataclass(frozen=True, kw_only=True, slots=True)
class Secrets:
    """Made once for a state directory, since its databases are bound to them."""

    postgres_password: str
    valkey_password: str
    flower_password: str
    secret_key: str


class StateDir:
    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the stack for this process, as long as it lives; StackRunningError if another one does."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._pid_file.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StackRunningError from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def pid(self) -> int | None:
        """The process that runs the stack, if one does."""
        with suppress(FileNotFoundError), self._pid_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
        return None

    @property
    def _pid_file(self) -> Path:
        return self.path / "stack.pid"

    def secrets(self) -> Secrets:
        path = self.path / "secrets.json"
        with suppress(FileNotFoundError):
            return Secrets(**json.loads(path.read_text()))
        made = Secrets(
            postgres_password=secrets.token_urlsafe(),
            valkey_password=secrets.token_urlsafe(),
            flower_password=secrets.token_urlsafe(),
            secret_key=Fernet.generate_key().decode(),
        )
        _write(path, asdict(made))
        return made

    def publish(self, settings: Mapping[str, Any]) -> None:
        """Have every process that reads its settings from now on find this stack."""
        _write(self.path / STACK_FILE, {"pid": os.getpid(), "settings": settings})

    def withdraw(self) -> None:
        (self.path / STACK_FILE).unlink(missing_ok=True)

    def note(self, parts: Mapping[str, Event]) -> None:
        """Write down how the parts stand, for those who wait for them."""
        _write(self._parts_file, [asdict(event) for event in parts.values()])

    def parts(self) -> dict[str, Event]:
        """How the parts stand, or stood when the stack ended."""
        try:
            noted = json.loads(self._parts_file.read_text())
        except FileNotFoundError:
            return {}
        events = (Event(**{**event, "state": State(event["state"])}) for event in noted)
        return {event.part: event for event in events}

    @property
    def _parts_file(self) -> Path:
        return self.path / "parts.json"


def _write(path: Path, content: Any) -> None:
    """In one step and for its owner alone: a reader sees the old file or the new one, whole."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=2)
    unfinished.replace(path)
