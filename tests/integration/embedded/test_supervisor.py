"""The supervisor with real processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from callytics.embedded.process import Process
from callytics.embedded.supervisor import CrashPolicy, Event, State, Supervisor

FOREVER = ("sleep", "1000")
DEAF = ("sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done")
QUICK = CrashPolicy(first_wait_s=0.01)


class Stage:
    """Runs a supervisor over parts, and a test's script beside it."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.events: list[Event] = []

    def run(
        self,
        parts: list[Process],
        script: Callable[[], Awaitable[None]] | None = None,
        policy: CrashPolicy = QUICK,
    ) -> int:
        async def both() -> int:
            supervisor = Supervisor(parts, self.logs, self.events.append, policy)
            running = asyncio.create_task(supervisor.run())
            if script is not None:
                await asyncio.wait_for(script(), 30)
                os.kill(os.getpid(), signal.SIGTERM)
            return await asyncio.wait_for(running, 30)

        return asyncio.run(both())

    async def until(self, part: str, state: State, times: int = 1) -> None:
        await self.until_true(lambda: self.history(part).count(state) >= times)

    async def until_true(self, condition: Callable[[], bool]) -> None:
        while not condition():  # noqa: ASYNC110 (no event tells)
            await asyncio.sleep(0.01)

    def history(self, part: str) -> list[State]:
        return [event.state for event in self.events if event.part == part]

    def order(self, state: State) -> list[str]:
        return [event.part for event in self.events if event.state is state]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "logs")


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_part_starts_when_what_it_needs_is_ready_and_stops_before_it(stage: Stage) -> None:
    gate = stage.logs.parent / "gate"
    parts = [
        Process(name="server", command=FOREVER, ready=lambda _pid: gate.exists()),
        Process(name="client", command=FOREVER, ready=lambda _pid: True, needs=("server",)),
    ]

    async def script() -> None:
        await stage.until("server", State.STARTING)
        assert State.STARTING not in stage.history("client")
        gate.touch()
        await stage.until("client", State.READY)

    assert stage.run(parts, script) == 0
    assert stage.order(State.READY) == ["server", "client"]
    assert stage.order(State.STOPPED) == ["client", "server"]


def test_a_part_that_runs_once_is_ready_when_it_has_ended(stage: Stage) -> None:
    done = stage.logs.parent / "done"
    parts = [
        Process(name="once", command=("touch", str(done))),
        Process(name="next", command=FOREVER, ready=lambda _pid: done.exists(), needs=("once",)),
    ]
    assert stage.run(parts, lambda: stage.until("next", State.READY)) == 0
    assert stage.history("once") == [State.WAITING, State.STARTING, State.READY, State.STOPPED]


def test_a_part_that_is_killed_is_started_again_with_what_it_left_cleared_away(
    stage: Stage,
) -> None:
    pids: list[int] = []
    grandchild = stage.logs.parent / "grandchild"
    leaves_a_child = (
        f"sleep 1000 & echo $! > {grandchild}.new; mv {grandchild}.new {grandchild}; wait"
    )

    def ready(pid: int) -> bool:
        pids.append(pid)
        return grandchild.exists()

    async def script() -> None:
        await stage.until("part", State.READY)
        left = int(grandchild.read_text())
        os.kill(pids[-1], signal.SIGKILL)
        await stage.until("part", State.READY, times=2)
        await stage.until_true(lambda: not lives(left))

    part = Process(name="part", command=("sh", "-c", leaves_a_child), ready=ready)
    assert stage.run([part], script) == 0
    assert stage.history("part")[2:5] == [State.READY, State.CRASHED, State.STARTING]


def test_a_part_that_crashes_again_and_again_is_given_up_and_the_rest_stopped(stage: Stage) -> None:
    parts = [
        Process(name="good", command=FOREVER, ready=lambda _pid: True),
        Process(name="bad", command=("sh", "-c", "echo why; exit 3"), ready=lambda _pid: False),
    ]
    assert stage.run(parts) == 1
    assert stage.history("bad").count(State.STARTING) == QUICK.limit
    assert stage.history("good")[-1] is State.STOPPED
    (failed,) = (event for event in stage.events if event.state is State.FAILED)
    log = stage.logs / "bad.log"
    assert failed.detail == f"ended with status 3, 5 times; its log: {log}"
    assert log.read_text() == "why\n" * QUICK.limit


def test_crashes_that_lie_far_apart_do_not_add_up(stage: Stage) -> None:
    policy = CrashPolicy(limit=2, window_s=0.0, first_wait_s=0.001)
    part = Process(name="part", command=("false",), ready=lambda _pid: False)
    assert stage.run([part], lambda: stage.until("part", State.CRASHED, times=4), policy) == 0


def test_a_part_that_does_not_stop_when_told_is_killed(stage: Stage) -> None:
    log = stage.logs / "deaf.log"
    part = Process(
        name="deaf",
        command=DEAF,
        ready=lambda _pid: "deaf" in log.read_text(),
        stop_timeout_s=0.1,
    )
    assert stage.run([part], lambda: stage.until("deaf", State.READY)) == 0
    assert stage.history("deaf")[-2:] == [State.STOPPING, State.STOPPED]


def test_each_part_is_told_to_stop_by_its_own_signal(stage: Stage) -> None:
    command = ("sh", "-c", "trap 'echo told; exit' INT; echo up; while :; do sleep 0.05; done")
    log = stage.logs / "part.log"
    part = Process(
        name="part",
        command=command,
        ready=lambda _pid: "up" in log.read_text(),
        stop_signal=signal.SIGINT,
    )
    assert stage.run([part], lambda: stage.until("part", State.READY)) == 0
    assert log.read_text() == "up\ntold\n"


def test_a_second_signal_ends_everything_at_once(stage: Stage) -> None:
    log = stage.logs / "deaf.log"
    part = Process(
        name="deaf",
        command=DEAF,
        ready=lambda _pid: "deaf" in log.read_text(),
        stop_timeout_s=1000,
    )

    async def script() -> None:
        await stage.until("deaf", State.READY)
        os.kill(os.getpid(), signal.SIGINT)
        await stage.until("deaf", State.STOPPING)  # the second signal comes when the script ends

    assert stage.run([part], script) == 0


SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from callytics.embedded.process import Process
from callytics.embedded.supervisor import Supervisor
part = Process(name="part", command=("sleep", "1000"), ready=lambda pid: print(pid, flush=True) or True)
asyncio.run(Supervisor([part], Path(sys.argv[1]), lambda event: None).run())
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_killing_the_supervisor_kills_its_parts(supervisor: subprocess.Popen[str]) -> None:
    assert supervisor.stdout
    part = int(supervisor.stdout.readline())
    assert lives(part)
    supervisor.kill()
    give_up_at = time.monotonic() + 5
    while lives(part):
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
