"""The commands where no stack runs; tests/e2e starts real ones."""

from tests.unit.cli.conftest import Run


def test_down_does_nothing_where_nothing_runs(run: Run) -> None:
    result = run("down")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No stack runs" in result.stderr


def test_status_says_that_nothing_runs(run: Run) -> None:
    result = run("status", "--json")
    assert (result.exit_code, result.stdout) == (6, "")
    assert "callytics up" in result.stderr
