"""The commands where no stack runs; tests/e2e starts real ones."""

from pathlib import Path

import pytest

from callytics.cli.stack import bring_up
from callytics.embedded.state_dir import StateDir
from callytics.embedded.supervisor import Event, State
from callytics.settings import Settings
from tests.unit.cli.conftest import Run


def test_down_does_nothing_where_nothing_runs(run: Run) -> None:
    result = run("down")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No stack runs" in result.stderr


def test_status_says_that_nothing_runs(run: Run) -> None:
    result = run("status", "--json")
    assert (result.exit_code, result.stdout) == (6, "")
    assert "callytics up" in result.stderr


def test_of_a_stack_that_runs_already_it_is_said_that_its_settings_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = StateDir(tmp_path)
    with home.locked():
        home.note({"api": Event(part="api", state=State.READY)})
        assert not bring_up(Settings(state_dir=tmp_path), timeout_s=5)
    assert "runs already" in (told := capsys.readouterr().err)
    assert "callytics down" in told
