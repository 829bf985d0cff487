"""The command line as a process: signals, pipes, and nothing but one sentence when it goes wrong."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from threading import Event
from uuid import UUID

import pytest

from callytics.domain.stages import Stage
from callytics.ports import Progress
from tests.support.pipeline import Pipeline

CLI = (sys.executable, "-m", "callytics.cli")


@pytest.fixture
def variables(environment: dict[str, str], api_url: str) -> dict[str, str]:
    return {**environment, "CALLYTICS_API__PUBLIC_URL": api_url}


@pytest.fixture
def stuck(pipeline: Pipeline) -> Iterator[None]:
    """The first stage runs until the test is over."""
    over = Event()

    def action(_progress: Progress) -> None:
        over.wait()

    pipeline.works[Stage.PREPROCESS].action = action
    yield
    over.set()


def test_ctrl_c_ends_a_waiting_command_with_130_and_without_a_traceback(
    variables: dict[str, str], recording: str, stuck: None
) -> None:
    with subprocess.Popen(
        [*CLI, "submit", recording, "--wait"], env=variables, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert UUID(process.stderr.readline().removeprefix(f"{recording}: ").strip())
        assert process.stderr.readline() == f"{recording}: preprocess running\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
        assert process.stderr.read() == ""


def test_a_reader_that_goes_away_is_no_reason_for_a_traceback(variables: dict[str, str]) -> None:
    with subprocess.Popen(
        [*CLI, "settings", "show"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=30) == 1
        assert process.stderr.read() == ""


def test_an_unforeseen_error_is_one_sentence_and_a_traceback_only_when_asked_for(
    variables: dict[str, str],
) -> None:
    broken = {**variables, "CALLYTICS_DATABASE_URL": "hunter2://"}
    plain = subprocess.run(
        [*CLI, "clients", "list"], env=broken, capture_output=True, text=True, check=False
    )
    assert (plain.returncode, plain.stdout) == (1, "")
    assert len(plain.stderr.splitlines()) == 1
    assert "hunter2" not in plain.stderr
    debug = subprocess.run(
        [*CLI, "--debug", "clients", "list"],
        env=broken,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" in debug.stderr
