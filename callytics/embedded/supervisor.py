"""Keeps processes running: starts them in order, restarts what crashes, leaves nothing behind."""

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import monotonic

from callytics.embedded.process import POLL_S, Process, environment, open_log

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class State(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    CRASHED = "crashed"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A part came into a state, `seconds` after it was started."""

    part: str
    state: State
    seconds: float = 0.0
    detail: str | None = None
    """For a person: what happened, and where the log is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrashPolicy:
    """A part that crashed `limit` times within `window_s` seconds is given up, and all parts stop."""

    limit: int = 5
    window_s: float = 60
    first_wait_s: float = 0.5
    """Before the second start, in seconds; each further wait is twice as long."""


class GaveUpError(Exception):
    """A part crashed too often."""


class _StopRequestedError(Exception):
    """A signal came."""


class Supervisor:
    """Runs `parts`, each once those that it needs (listed before it) are ready.

    Only for the main thread: a child is killed when the thread that started it ends, which is how
    kill -9 of the supervisor leaves no process behind.
    """

    def __init__(
        self,
        parts: Sequence[Process],
        logs: Path,
        on_event: Callable[[Event], None],
        policy: CrashPolicy | None = None,
    ) -> None:
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._parts: dict[str, _Part] = {}
        for process in parts:
            needs = [self._parts[name] for name in process.needs]
            log = logs / f"{process.name}.log"
            self._parts[process.name] = _Part(
                process, needs, log, on_event, policy or CrashPolicy()
            )
        self._told_to_stop = asyncio.Event()

    async def run(self) -> int:
        """Until a signal comes (0) or a part is given up (1). A second signal kills at once."""
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        status = 0
        try:
            async with asyncio.TaskGroup() as group:
                for part in self._parts.values():
                    group.create_task(part.keep())
                group.create_task(self._wait_for_signal())
        except* _StopRequestedError:
            pass
        except* GaveUpError:
            status = 1
        finally:
            await self._stop()
        return status

    def _on_signal(self) -> None:
        if self._told_to_stop.is_set():
            for part in self._parts.values():
                part.kill()
        self._told_to_stop.set()

    async def _wait_for_signal(self) -> None:
        await self._told_to_stop.wait()
        raise _StopRequestedError

    async def _stop(self) -> None:
        """Each part once those that need it have stopped."""
        stops: dict[str, asyncio.Task[None]] = {}
        for part in reversed(self._parts.values()):
            dependents = [stops[name] for name in stops if part in self._parts[name].needs]
            stops[part.process.name] = asyncio.create_task(part.stop(after=dependents))
        await asyncio.gather(*stops.values())


class _Part:
    """One process over all its lives."""

    def __init__(
        self,
        process: Process,
        needs: Sequence["_Part"],
        log: Path,
        on_event: Callable[[Event], None],
        policy: CrashPolicy,
    ) -> None:
        self.process = process
        self.needs = needs
        self._log = log
        self._on_event = on_event
        self._policy = policy
        self._ready = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None
        self._started_at = monotonic()
        self._given_up = False
        self._say(State.WAITING)

    async def keep(self) -> None:
        """Start the process and start it again when it crashes; GaveUpError if that does not help."""
        for need in self.needs:
            await need._ready.wait()  # noqa: SLF001
        crashes: deque[float] = deque(maxlen=self._policy.limit)
        while (problem := await self._live()) is not None:
            crashes.append(monotonic())
            recent = [at for at in crashes if at > crashes[-1] - self._policy.window_s]
            if len(recent) >= self._policy.limit:
                self._given_up = True
                self._say(State.FAILED, f"{problem}, {len(recent)} times; its log: {self._log}")
                raise GaveUpError(self.process.name)
            self._say(State.CRASHED, f"{problem}; its log: {self._log}")
            await asyncio.sleep(self._policy.first_wait_s * 2 ** (len(recent) - 1))

    async def _live(self) -> str | None:
        """One life of the process: how it crashed, or None if it was to run once and did."""
        child = self._child = await self._start()
        probing = asyncio.create_task(self._probe(child))
        try:
            status = await child.wait()
        finally:
            probing.cancel()
        self.kill()  # what it may have left in its group
        if self.process.runs_once and status == 0:
            self._be_ready()
            return None
        self._ready.clear()
        return f"ended with status {status}"

    async def _start(self) -> asyncio.subprocess.Process:
        self._started_at = monotonic()
        self._say(State.STARTING)
        with open_log(self._log) as output:
            return await asyncio.create_subprocess_exec(
                *self.process.launched(),
                env=environment(self.process),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C at the terminal is the supervisor's alone
            )

    async def _probe(self, child: asyncio.subprocess.Process) -> None:
        while not await asyncio.to_thread(self.process.is_ready, child.pid):  # noqa: ASYNC110 (no event tells)
            await asyncio.sleep(POLL_S)
        self._be_ready()

    def _be_ready(self) -> None:
        self._ready.set()
        self._say(State.READY)

    async def stop(self, *, after: Iterable[asyncio.Task[None]]) -> None:
        await asyncio.gather(*after)
        if self._child is not None and self._child.returncode is None:
            self._say(State.STOPPING)
            self._child.send_signal(self.process.stop_signal)
            try:
                await asyncio.wait_for(self._child.wait(), self.process.stop_timeout_s)
            except TimeoutError:
                self.kill()
                await self._child.wait()
        self.kill()
        if not self._given_up:  # else that stays the last word on it
            self._say(State.STOPPED)

    def kill(self) -> None:
        """End the process and what it started, at once."""
        if self._child is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)

    def _say(self, state: State, detail: str | None = None) -> None:
        seconds = 0.0 if state is State.WAITING else monotonic() - self._started_at
        self._on_event(Event(part=self.process.name, state=state, seconds=seconds, detail=detail))
