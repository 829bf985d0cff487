"""What this machine says of itself (Linux): how busy it is, and what memory processes take."""

import os
import shutil
import subprocess
import time
from bisect import bisect_left
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
LOOK_EVERY_S = 0.05


class BusyMeter:
    """Looks at the machine's busy time again and again, so that one can ask for any span afterwards."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []
        self._over = Event()
        self._thread = Thread(target=self._look, name="busy-meter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            self._seen.append((time.time(), busy_s()))

    def cores(self, since: float, until: float) -> float:
        """Cores that were busy between two times (seconds since the epoch), on average."""
        return (self._at(until) - self._at(since)) / (until - since)

    def _at(self, when: float) -> float:
        """Busy seconds until `when`, between the two looks around it."""
        place = bisect_left(self._seen, (when, 0.0))
        if place in (0, len(self._seen)):
            return self._seen[min(place, len(self._seen) - 1)][1]
        (t0, b0), (t1, b1) = self._seen[place - 1], self._seen[place]
        return b0 + (b1 - b0) * (when - t0) / (t1 - t0)


def busy_s() -> float:
    """Seconds that all cores together have worked since the machine started."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text("ascii").split(maxsplit=8)[1:8]
    )
    return (user + nice + system + irq + softirq) * TICK_S


def resident_mib(*pids: int) -> float:
    """Memory of these processes together; one that is gone counts as nothing."""
    return sum(map(_resident_mib, pids))


def _resident_mib(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0


def nice(*pids: int) -> int:
    """The nice level of the first of these processes that there is; 0: there is none."""
    for pid in pids:
        with suppress(ProcessLookupError):
            return os.getpriority(os.PRIO_PROCESS, pid)
    return 0


def with_argument(*wanted: str) -> list[int]:
    """Processes on whose command line all of these stand."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            said = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if set(wanted) <= set(said):
                found.append(int(process.name))
    return found


def gpu_memory_mib(*pids: int) -> float | None:
    """What the driver says these processes hold of all GPUs; None: there is no driver to ask."""
    nvidia_smi = shutil.which("nvidia-smi")
    if nvidia_smi is None:
        return None
    query = ("--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")
    told = subprocess.run([nvidia_smi, *query], capture_output=True, text=True, check=True)  # noqa: S603
    rows = [row.split(",") for row in told.stdout.splitlines() if row.strip()]
    return sum(float(memory) for pid, memory in rows if int(pid) in pids)
