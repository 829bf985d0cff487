"""What commands promise about the stack that they start (its life is in test_stack_lifecycle.py)."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from callytics.embedded.state_dir import StateDir
from callytics.embedded.supervisor import State
from tests.support.stack import left_behind
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.models]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path / "state")


@pytest.fixture
def variables(state: StateDir) -> Mapping[str, str]:
    return {**os.environ, "CALLYTICS_STATE_DIR": str(state.path)}


@pytest.fixture
def run(variables: Mapping[str, str]) -> Iterator[Run]:
    def command(*arguments: str, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "callytics.cli", *arguments],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    yield command
    command("down")


def test_a_stack_that_is_not_ready_in_time_is_stopped_and_the_reason_told(
    run: Run, state: StateDir
) -> None:
    up = run("up", "--detach", "--timeout", "1")
    assert (up.returncode, up.stdout) == (1, "")
    assert "Not ready in time" in up.stderr
    assert str(state.logs) in up.stderr
    assert left_behind(state.path) == []


def test_a_demo_that_is_killed_leaves_no_process_behind(
    variables: Mapping[str, str], state: StateDir
) -> None:
    def any_part_is_ready() -> bool:
        return any(part.state is State.READY for part in state.parts().values())

    with subprocess.Popen(
        [sys.executable, "-m", "callytics.cli", "demo"], env=variables, stderr=subprocess.DEVNULL
    ) as demo:
        wait_until(any_part_is_ready)
        demo.kill()
    wait_until(lambda: not left_behind(state.path))
