"""What every line says of the work that it is about."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import make_sessions, unit_of_work
from callytics.db.jobs import Jobs
from callytics.db.models import CallEnding
from callytics.domain.jobs import JobKind
from callytics.domain.stages import Stage
from callytics.embedded.process import free_port
from callytics.errors import NotAudioError
from callytics.logs import about, configure
from callytics.services.call_ending import CallEndedWork
from callytics.services.lease import Lease
from callytics.settings import Settings
from tests.support.calls import insert_call
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _configuration_stays_here() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:], root.level = handlers, level
    structlog.configure(**config)


def log_as_processes_do() -> None:
    configure(Settings())
    structlog.configure(cache_logger_on_first_use=False)  # later tests have loggers of their own


def lines(capsys: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_stage_s_line_names_request_call_stage_attempt_worker_and_seconds(
    sessions: sessionmaker[Session], capsys: Capture
) -> None:
    log_as_processes_do()
    pipeline = Pipeline(sessions)
    with about(request_id="r-1"):
        call_id = insert_call(sessions)
    pipeline.run_stage(Stage.PREPROCESS, call_id)
    pipeline.fail(Stage.TRANSCRIBE, NotAudioError())
    pipeline.run_stage(Stage.TRANSCRIBE, call_id)

    done, failed = lines(capsys)
    about_both = {"call_id": str(call_id), "request_id": "r-1", "attempt": 1, "worker": "test"}
    for line, stage in ((done, "preprocess"), (failed, "transcribe")):
        assert {**about_both, "stage": stage}.items() <= line.items()
        assert line["seconds"] >= 0
    assert (done["event"], failed["event"]) == ("stage_done", "stage_failed")
    assert failed["code"] == "not_audio"


def test_a_job_s_line_names_the_request_that_it_follows_from(
    sessions: sessionmaker[Session], settings: Settings, capsys: Capture
) -> None:
    log_as_processes_do()
    pipeline = Pipeline(sessions, jobs={JobKind.CALL_ENDED: CallEndedWork(settings)})
    call_id = insert_call(sessions)
    with about(request_id="r-2"), unit_of_work(sessions) as session:
        job = Jobs(session).add(JobKind.CALL_ENDED)
        session.add(CallEnding(id=job.id, call_id=call_id))
    pipeline.run_job(JobKind.CALL_ENDED, job.id)

    (line,) = lines(capsys)
    expected = {"job_id": str(job.id), "kind": "call_ended", "request_id": "r-2", "attempt": 1}
    assert {**expected, "worker": "test", "event": "job_ended"}.items() <= line.items()


def test_what_is_bound_is_gone_with_the_attempt(
    sessions: sessionmaker[Session], capsys: Capture
) -> None:
    log_as_processes_do()
    with about(request_id="r-1"):
        call_id = insert_call(sessions)
    Pipeline(sessions).run_stage(Stage.PREPROCESS, call_id)
    lines(capsys)
    structlog.get_logger().info("afterwards")
    (line,) = lines(capsys)
    assert not {"call_id", "request_id", "attempt", "stage"} & line.keys()


def test_the_thread_that_keeps_the_lease_says_whose_it_is(capsys: Capture) -> None:
    log_as_processes_do()
    away = create_engine(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none")

    def renew(_session: Session, _share: float | None) -> bool:
        raise AssertionError("there is nothing to renew in")

    with about(call_id="c-1"), Lease(make_sessions(away), 1, renew, name="a stage"):
        first, *_ = wait_until(lambda: lines(capsys))
    assert (first["event"], first["call_id"]) == ("lease_not_renewed", "c-1")
