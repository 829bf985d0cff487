"""A worker's health is its heartbeat row, if a process that runs here wrote it."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, func, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db import migrate
from callytics.db.engine import unit_of_work
from callytics.db.heartbeats import Heartbeats
from callytics.db.models import WorkerHeartbeat
from tests.integration.cli.conftest import Run
from tests.support.waiting import wait_until

READY = {"transcribe": {"status": "ready"}}
HERE = socket.gethostname()

Beat = Callable[..., None]


@pytest.fixture
def beat(sessions: sessionmaker[Session]) -> Beat:
    """Writes a heartbeat as a worker of this machine would, `ago` before now."""

    def write(
        queue: str = "stt",
        *,
        host: str = HERE,
        pid: int | None = None,
        state: str = "ready",
        models: dict[str, Any] = READY,
        ago: timedelta = timedelta(0),
    ) -> None:
        worker = f"{queue}-7@{host}"
        with unit_of_work(sessions) as session:
            Heartbeats(session).beat(
                worker,
                queues=[queue],
                state=state,
                pid=os.getpid() if pid is None else pid,
                device="cpu",
                models=models,
            )
            session.execute(
                update(WorkerHeartbeat)
                .where(WorkerHeartbeat.worker == worker)
                .values(beat_at=func.clock_timestamp() - ago)
            )

    return write


@pytest.fixture
def young_process() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.communicate(b"\n")


def test_a_worker_whose_models_are_loaded_is_well(run: Run, beat: Beat) -> None:
    beat()
    result = run("health", "worker")
    assert (result.exit_code, result.output) == (0, "ready\n")


@pytest.mark.parametrize("state", ["loading", "warming", "failed"])
def test_one_whose_models_are_not_is_not_and_says_which(run: Run, beat: Beat, state: str) -> None:
    beat(state=state, models={**READY, "diarize": {"status": state}})
    result = run("health", "worker")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"stt-7@{HERE} is {state} (diarize {state})" in result.stderr


@pytest.mark.parametrize("state", ["loading", "failed"])
def test_one_whose_models_are_not_loaded_is_alive(run: Run, beat: Beat, state: str) -> None:
    """It tries again by itself: a restart would gain nothing."""
    beat(state=state, models={"transcribe": {"status": state}})
    result = run("health", "worker", "--alive")
    assert (result.exit_code, result.output) == (0, "alive\n")


def test_one_that_said_nothing_for_long_is_not_alive(run: Run, beat: Beat) -> None:
    beat(ago=timedelta(minutes=1))
    assert run("health", "worker", "--alive").exit_code == 1


@pytest.mark.parametrize("version", [None, "0009"])
def test_one_that_waits_for_its_tables_is_let_be(
    run: Run, empty_database_url: str, version: str | None
) -> None:
    if version:
        engine = create_engine(empty_database_url)
        migrate.upgrade(engine, version)
        engine.dispose()
    result = run("health", "worker", "--alive", DATABASE_URL=empty_database_url)
    assert result.exit_code == 6
    assert "callytics db upgrade" in result.stderr
    assert run("health", "worker", DATABASE_URL=empty_database_url).exit_code == 1


def test_one_that_said_nothing_for_long_is_not_well(run: Run, beat: Beat) -> None:
    beat(ago=timedelta(minutes=1))
    result = run("health", "worker")
    assert result.exit_code == 1
    assert "has written a heartbeat in the last 15 s" in result.stderr


def test_one_that_said_goodbye_is_not_well(run: Run, beat: Beat) -> None:
    beat(state="stopped", models={})
    assert run("health", "worker").exit_code == 1


def test_workers_of_other_machines_say_nothing_of_this_one(run: Run, beat: Beat) -> None:
    beat(host="elsewhere")
    assert run("health", "worker").exit_code == 1


def test_what_a_process_said_that_is_gone_does_not_count(run: Run, beat: Beat) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    beat(pid=gone.pid)
    assert run("health", "worker").exit_code == 1


def test_what_was_said_before_a_restart_does_not_count(
    run: Run, beat: Beat, young_process: int
) -> None:
    """A container that is started anew has the name and the process ids that it had before."""
    beat(pid=young_process, ago=timedelta(seconds=14))
    assert run("health", "worker").exit_code == 1


def test_where_several_workers_run_each_is_asked_for_by_its_queues(run: Run, beat: Beat) -> None:
    beat("stt")
    beat("slm", state="loading", models={"summarize": {"status": "loading"}})
    assert run("health", "worker", "--queues", "stt").exit_code == 0
    assert run("health", "worker", "--queues", "slm").exit_code == 1
    assert run("health", "worker").exit_code == 1
    assert "No worker of mlm" in run("health", "worker", "--queues", "mlm").stderr


def test_beat_is_well_once_the_broker_took_its_first_message(
    run: Run, environment: dict[str, str]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "beat"], env=environment, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_until(lambda: run("health", "beat").exit_code == 0)
        finally:
            process.terminate()
