"""Real worker processes and beat, with scripted works, against this test's own servers."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.heartbeats import Heartbeats
from callytics.db.models import Call, StageAttempt, StageRun
from callytics.domain.job import FINISHED, JobStatus
from callytics.domain.stages import Stage
from callytics.embedded.postgres import Postgres
from callytics.embedded.process import Process, free_port, running
from callytics.embedded.valkey import Valkey
from callytics.queueing.app import make_celery
from callytics.queueing.dispatch import make_send
from callytics.services.stage import hint_for
from callytics.settings import Settings
from tests.support.calls import insert_call
from tests.support.waiting import wait_until


class Farm:
    """Processes of one test, and what the rows say of its calls."""

    def __init__(
        self, settings: Settings, sessions: sessionmaker[Session], env: dict[str, str], logs: Path
    ) -> None:
        self.settings = settings
        self.sessions = sessions
        self.env = env
        self.logs = logs
        self.processes: list[subprocess.Popen[bytes]] = []
        self.send = make_send(make_celery(settings, publish_retries=2))

    def start(self, *module: str) -> subprocess.Popen[bytes]:
        with (self.logs / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *module], env=self.env, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def worker(self, queues: str) -> subprocess.Popen[bytes]:
        return self.start("tests.support.worker", queues)

    def beat(self) -> subprocess.Popen[bytes]:
        return self.start("beat")

    def wait_ready(self, process: subprocess.Popen[bytes]) -> str:
        """The worker's name, once it takes messages."""

        def ready() -> str | None:
            assert process.poll() is None, self.log_of(process)
            with self.sessions() as session:
                return next(
                    (
                        row.worker
                        for row in Heartbeats(session).fresh()
                        if f"-{process.pid}@" in row.worker and row.state == "ready"
                    ),
                    None,
                )

        return str(wait_until(ready))

    def log_of(self, process: subprocess.Popen[bytes]) -> str:
        return (self.logs / f"{self.processes.index(process)}.log").read_text()[-4000:]

    def submit(self, **metadata: Any) -> UUID:
        call_id = insert_call(self.sessions, details=metadata)
        self.send([hint_for(self.call(call_id), Stage.PREPROCESS)])
        return call_id

    def call(self, call_id: UUID) -> Call:
        with self.sessions() as session:
            return session.get_one(Call, call_id)

    def stage(self, call_id: UUID, stage: Stage) -> StageRun:
        with self.sessions() as session:
            return session.get_one(StageRun, (call_id, stage))

    def attempts(self, call_id: UUID) -> list[StageAttempt]:
        with self.sessions() as session:
            return list(
                session.scalars(select(StageAttempt).where(StageAttempt.call_id == call_id))
            )

    def wait_finished(self, *call_ids: UUID, timeout_s: float = 90) -> None:
        wait_until(lambda: all(self.call(c).status in FINISHED for c in call_ids), timeout_s)

    def assert_complete_once(self, *call_ids: UUID) -> None:
        """Every call complete, and every stage recorded exactly once."""
        for call_id in call_ids:
            assert self.call(call_id).status is JobStatus.COMPLETED
            done = [row.stage for row in self.attempts(call_id) if row.outcome == "done"]
            assert sorted(done) == sorted(Stage)

    def child_of(self, process: subprocess.Popen[bytes]) -> int:
        """The pool's child that runs the stages."""
        with self.sessions() as session:
            return next(
                row.pid
                for row in Heartbeats(session).fresh()
                if f"-{process.pid}@" in row.worker and row.pid != process.pid
            )

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(10)


class Server:
    """A server of this test alone, which may be killed and started again over the same data."""

    def __init__(self, process: Callable[[], Process], log: Path) -> None:
        self._process = process
        self._log = log
        self.start()

    def start(self) -> None:
        self._running = running(self._process(), self._log)
        self.pid = self._running.__enter__()

    def kill(self) -> None:
        """SIGKILL, the whole group: PostgreSQL's own children too."""
        os.killpg(self.pid, signal.SIGKILL)
        self._running.__exit__(None, None, None)

    def stop(self) -> None:
        self._running.__exit__(None, None, None)


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[tuple[Server, Valkey]]:
    valkey = Valkey(directory=tmp_path / "valkey", port=free_port(), password="x")
    server = Server(valkey.process, tmp_path / "valkey.log")
    yield server, valkey
    server.stop()


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[tuple[Server, Postgres]]:
    postgres = Postgres(directory=tmp_path / "postgres", port=free_port(), password="x")
    server = Server(postgres.process, tmp_path / "postgres.log")
    yield server, postgres
    server.stop()


QUICK = {
    "CALLYTICS_PIPELINE__LEASE_S": "2",
    "CALLYTICS_PIPELINE__SWEEP_EVERY_S": "0.5",
    "CALLYTICS_PIPELINE__HINT_AFTER_S": "1",
    "CALLYTICS_PIPELINE__RETRY_BASE_S": "0.2",
    "CALLYTICS_PIPELINE__STOP_GRACE_S": "2",
}
"""Waits short enough for a test."""


@pytest.fixture
def database_url(own_database_url: str) -> str:
    """What a killed worker's child still writes gets into no other test."""
    return own_database_url


@pytest.fixture
def farm(
    settings: Settings,
    sessions: sessionmaker[Session],
    environment: dict[str, str],
    tmp_path: Path,
) -> Iterator[Farm]:
    farm = Farm(settings, sessions, {**environment, **QUICK}, tmp_path)
    yield farm
    farm.stop()
