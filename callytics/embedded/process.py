"""A process as data: how it is started, when it is ready, how it is stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from callytics.embedded import launch
from callytics.errors import ConfigurationError

POLL_S = 0.05
LOG_BYTES = 10 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One part of the local stack."""

    name: str
    command: Sequence[str]
    ready: Callable[[int], bool] | None = None
    """Asks the process, whose pid it is given, within seconds; False or an exception: not yet. None, for
    a part that runs once: ready when it has ended with status 0."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Laid over this process's environment."""
    needs: tuple[str, ...] = ()
    """Names of the parts that are ready before this one starts."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10
    unprivileged: bool = False
    """Never as root: in a user namespace if need be."""
    nice: int = 0
    """How far it steps back from the others on the same cores (0..19)."""

    @property
    def runs_once(self) -> bool:
        return self.ready is None

    def launched(self) -> list[str]:
        return launched(self.command, unprivileged=self.unprivileged, nice=self.nice)

    def is_ready(self, pid: int) -> bool:
        try:
            return self.ready is not None and self.ready(pid)
        except Exception:
            # Servers that are starting refuse in many ways; all of them mean "not yet".
            return False


def launched(command: Sequence[str], *, unprivileged: bool = False, nice: int = 0) -> list[str]:
    """The command line by which a child of this very process becomes `command` and dies with us."""
    launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid())]
    if unprivileged and os.geteuid() == 0:
        launcher.append("--unprivileged")
    if nice:
        launcher.append(f"--nice={nice}")
    return [*launcher, "--", *command]


def environment(process: Process) -> dict[str, str]:
    return {**os.environ, **process.env}


def open_log(path: Path) -> BinaryIO:
    """The log to append to; a large one is put aside first, in the place of the one before."""
    with suppress(FileNotFoundError):
        if path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".old.log"))
    return path.open("ab")


def uptime_s(pid: int) -> float | None:
    """Since when the process `pid` runs, in seconds; None: there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None
    started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started_s


def free_port(preferred: int = 0, *, but: Collection[int] = ()) -> int:
    """`preferred` or the next port above it that nobody listens on at the loopback; 0: any.

    None of those in `but`: somebody will listen there.
    """
    for port in range(preferred, 65536) if preferred else (0,):
        if port in but:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ConfigurationError(f"No port from {preferred} on is free.")


@contextmanager
def running(process: Process, log: Path, *, timeout_s: float = 30) -> Iterator[int]:
    """Run one process, ready inside the block: its pid. Start it from a thread that outlives it."""
    with open_log(log) as output, _start(process, output) as child:
        try:
            _wait_until_ready(process, child, log, timeout_s)
            yield child.pid
        finally:
            _stop(process, child)


def _start(process: Process, output: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603
        process.launched(),
        env=environment(process),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def _wait_until_ready(
    process: Process, child: subprocess.Popen[bytes], log: Path, timeout_s: float
) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not process.is_ready(child.pid):
        if child.poll() is not None:
            raise ConfigurationError(f"{process.name} ended with status {child.returncode}: {log}")
        if time.monotonic() > give_up_at:
            raise ConfigurationError(f"{process.name} was not ready in {timeout_s:.0f} s: {log}")
        time.sleep(POLL_S)


def _stop(process: Process, child: subprocess.Popen[bytes]) -> None:
    child.send_signal(process.stop_signal)
    try:
        child.wait(process.stop_timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
