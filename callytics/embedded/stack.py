"""Runs, watches and stops the local stack.

What the environment configures is used as it is; what it does not, a database say, is started here
and published in the state directory, where every process of this user finds it by its settings.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callytics.embedded.parts import application, llm_engine
from callytics.embedded.postgres import Postgres
from callytics.embedded.process import POLL_S, Process, free_port
from callytics.embedded.state_dir import StateDir
from callytics.embedded.supervisor import Event, State, Supervisor
from callytics.embedded.valkey import Valkey
from callytics.errors import ConfigurationError, StackFailedError
from callytics.model_files.locate import resolve
from callytics.settings import Settings

OnEvent = Callable[[Event], None]

# Below the range that the system takes the local ports of connections from.
POSTGRES_PORT, VALKEY_PORT, LLM_PORT = 15432, 16379, 18080


@dataclass(frozen=True, kw_only=True, slots=True)
class StackStatus:
    pid: int | None
    """The supervisor; None: the stack does not run."""
    parts: Mapping[str, Event]
    """How each part stands, in order of start."""

    @property
    def ready(self) -> bool:
        return bool(self.parts) and all(part.state is State.READY for part in self.parts.values())


def run_stack(settings: Settings, *, on_event: OnEvent) -> int:
    """Run the stack of `settings.state_dir` until a signal comes (0) or a part is given up (1).

    Raises StackRunningError if it runs already. Only for the main thread.
    """
    home = StateDir(settings.state_dir)
    with home.locked():
        home.withdraw()  # what a stack that was killed left behind
        try:
            supervisor = _assemble(home, on_event)
            return asyncio.run(supervisor.run())
        finally:
            home.withdraw()


def start_detached(settings: Settings, *, on_event: OnEvent, timeout_s: float = 300) -> None:
    """Start the stack in a process of its own; returns when every part is ready, models included.

    Raises StackRunningError if it runs already, and StackFailedError, with nothing left running, if a
    part is given up or something is not ready in time.
    """
    home = StateDir(settings.state_dir)
    with home.locked():
        home.note({})
    command = [sys.executable, "-m", "callytics.embedded"]
