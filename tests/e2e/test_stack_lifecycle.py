"""The whole local stack with its models, by the commands that a person types."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.models, pytest.mark.timeout(600)]


class Machine:
    """A state directory, and what runs in it."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        own = {name: value for name, value in os.environ.items() if name == "CALLYTICS_MODEL_DIR"}
        clean = {n: v for n, v in os.environ.items() if not n.startswith("CALLYTICS_")}
        self.env = {**clean, **own, "CALLYTICS_STATE_DIR": str(state_dir)}

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "callytics.cli", *command],
            env=self.env,
            cwd=self.state_dir,  # where no .env lies
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        with self.start(*command) as process:
            output, _ = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, output)

    def up(self) -> None:
        done = self.run("up", "--detach")
        assert done.returncode == 0, done.stdout

    def wait_all_started(self, foreground: subprocess.Popen[str]) -> None:
        def last_one_runs() -> bool:
            assert foreground.poll() is None, foreground.communicate()[0]
            return any("--queues slm" in command for command in self.processes().values())

        wait_until(last_one_runs, 120)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return answer

    def published(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.state_dir / "stack.json").read_text())
        return content

    def processes(self) -> dict[int, str]:
        """Pid and command of every process that belongs to this stack."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
                marks = (
                    command,
                    (folder / "environ").read_bytes(),
                    os.fsencode((folder / "cwd").readlink()),
                )
            except OSError:  # ended meanwhile, or another user's
                continue
            if command and any(os.fsencode(self.state_dir) in mark for mark in marks):
                found[int(folder.name)] = command.replace(b"\0", b" ").decode()
        return found

    def assert_nothing_runs(self) -> None:
        wait_until(lambda: not self.processes(), 20)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    for pid in machine.processes():
        os.kill(pid, signal.SIGKILL)


def test_a_detached_stack_comes_up_mends_itself_and_goes_down(machine: Machine) -> None:
    machine.up()

    stack = machine.published()
    api, flower = machine.status()["api_url"], machine.status()["flower_url"]
    assert httpx.get(f"{api}/health").json()["data"]["ready_for_fast_analysis"] is True
    assert httpx.get(f"{flower}/api/workers").status_code == 401
    user, _, password = stack["settings"]["flower"]["basic_auth"].partition(":")
    assert httpx.get(f"{flower}/api/workers", auth=(user, password)).status_code == 200

    assert stat.S_IMODE((machine.state_dir / "stack.json").stat().st_mode) == 0o600
    secrets = json.loads((machine.state_dir / "secrets.json").read_text())
    commands = " ".join(machine.processes().values())
    assert not any(secret in commands for secret in secrets.values())

    supervisor = stack["pid"]
    machine.up()
    assert machine.published()["pid"] == supervisor, "a second `up` starts nothing"

    for part in ("-m api", "--queues punctuate,sentiment"):
        (pid,) = (pid for pid, command in machine.processes().items() if part in command)
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not machine.status()["ready"])
    wait_until(lambda: machine.status()["ready"], 120, every_s=1)

    assert machine.run("down").returncode == 0
    machine.assert_nothing_runs()
    assert not (machine.state_dir / "stack.json").exists()


def test_a_stack_that_is_killed_leaves_no_process_and_keeps_its_state(machine: Machine) -> None:
    with machine.start("up") as foreground:
        machine.wait_all_started(foreground)
        assert machine.run("clients", "create", "kept").returncode == 0
        os.kill(machine.published()["pid"], signal.SIGKILL)
        machine.assert_nothing_runs()
        foreground.communicate()

    with machine.start("up") as foreground:
        wait_until(lambda: "kept" in machine.run("clients", "list").stdout, 60, every_s=0.5)
        foreground.send_signal(signal.SIGINT)  # in the middle of its start
        output, _ = foreground.communicate(timeout=90)
        assert foreground.returncode == 0, output
        machine.assert_nothing_runs()
