import subprocess
import sys

from tests.unit.cli.conftest import Run


def test_a_worker_of_an_unknown_queue_is_refused_before_it_starts(run: Run) -> None:
    result = run("worker", "--queues", "stt,singing")
    assert result.exit_code == 2
    assert "singing" in result.stderr


def test_a_part_becomes_its_own_program_and_ends_with_its_code() -> None:
    """The worker's own words come from the program that the command has become."""
    done = subprocess.run(
        [sys.executable, "-m", "callytics.cli", "worker", "--queues", "stt,sentiment"],
        env={
            "CALLYTICS_WORKERS__STT__GPU": "0",
            "CALLYTICS_WORKERS__SENTIMENT__GPU": "1",
            "HOME": "/nonexistent",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "name different GPUs" in done.stderr
