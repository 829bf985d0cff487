"""The runner of jobs: once, twice, twice at once, and what a death leaves."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.jobs import Jobs
from callytics.db.models import Job
from callytics.domain.jobs import JOBS, JobKind
from callytics.domain.stages import StageStatus
from callytics.errors import CallNotFoundError, ModelUnavailableError
from callytics.ports import Progress
from callytics.services import upkeep
from callytics.services.job import run_job
from callytics.services.job_work import End, NotNow
from callytics.services.stage import Outcome, StageContext
from callytics.settings import PipelineSettings
from tests.support.calls import NoStore

KIND = JobKind.CALL_ENDED
QUICK = PipelineSettings(lease_s=1, retry_base_s=0.0001, retry_max_s=0.0001, hint_after_s=0.01)


@dataclass
class Work:
    """Does what the test says, and counts."""

    kind: JobKind = KIND
    on_read: Callable[[], Any] = lambda: None
    on_compute: Callable[[], Any] = lambda: None
    end: End = field(default_factory=End)
    computed: int = 0
    written: int = 0

    def read(self, session: Session, job: Job) -> Any:
        return self.on_read()

    def compute(self, inputs: Any, progress: Progress) -> Any:
        self.computed += 1
        return self.on_compute()

    def write(self, session: Session, job: Job, found: Any) -> End:
        self.written += 1
        return self.end


@dataclass
class Bench:
    sessions: sessionmaker[Session]
    work: Work = field(default_factory=Work)

    def add(self) -> UUID:
        with unit_of_work(self.sessions) as session:
            return Jobs(session).add(KIND).id

    def run(self, job_id: UUID, worker: str = "w1") -> Outcome:
        context = StageContext(
            sessions=self.sessions,
            works={},
            store=NoStore(),
            send=lambda _hints: None,
            worker=worker,
            settings=QUICK,
            jobs={KIND: self.work},
        )
        return run_job(context, KIND, job_id)

    def job(self, job_id: UUID) -> Job:
        with self.sessions() as session:
            return session.get_one(Job, job_id)

    def change(self, job_id: UUID, **values: Any) -> None:
        with unit_of_work(self.sessions) as session:
            session.execute(update(Job).where(Job.id == job_id).values(values))


@pytest.fixture
def bench(sessions: sessionmaker[Session]) -> Bench:
    return Bench(sessions)


def fails(error: BaseException) -> Callable[[], Any]:
    def action() -> None:
        raise error

    return action


def test_a_job_runs_once_however_often_it_is_announced(bench: Bench) -> None:
    job_id = bench.add()
    assert [bench.run(job_id) for _ in range(3)] == [Outcome.DONE] + [Outcome.NOT_CLAIMED] * 2
    assert (bench.work.computed, bench.work.written) == (1, 1)


def test_of_many_at_once_one_runs_it(bench: Bench) -> None:
    job_id = bench.add()
    start = Barrier(6)

    def run(number: int) -> Outcome:
        start.wait(10)
        return bench.run(job_id, f"w{number}")

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(run, range(6)))
    assert sorted(outcomes) == sorted([Outcome.DONE] + [Outcome.NOT_CLAIMED] * 5)
    assert bench.work.written == 1


def test_a_stale_twin_stores_nothing(bench: Bench) -> None:
    job_id = bench.add()

    def overtaken() -> None:
        # The lease ran out, and somebody else has it.
        bench.change(job_id, attempt=2, worker="w2")

    bench.work.on_compute = overtaken
    assert bench.run(job_id) is Outcome.ABANDONED
    assert bench.work.written == 0
    assert bench.job(job_id).status is StageStatus.RUNNING


def test_what_a_dead_worker_left_is_run_by_another(bench: Bench) -> None:
    job_id = bench.add()
    bench.work.on_compute = fails(SystemExit())
    with pytest.raises(SystemExit):
        bench.run(job_id)
    assert bench.job(job_id).status is StageStatus.RUNNING

    bench.change(job_id, lease_until=Job.lease_until - timedelta(hours=1))
    upkeep.sweep(bench.sessions, QUICK)
    bench.change(job_id, next_attempt_at=None)
    bench.work.on_compute = lambda: None
    assert bench.run(job_id, "w2") is Outcome.DONE
    assert bench.job(job_id).attempt == 2


def test_what_may_pass_is_tried_to_its_limit_and_then_failed(bench: Bench) -> None:
    job_id = bench.add()
    bench.work.on_compute = fails(ModelUnavailableError())
    outcomes = []
    for _ in range(JOBS[KIND].max_attempts):
        outcomes.append(bench.run(job_id))
        bench.change(job_id, next_attempt_at=None)
    assert outcomes == [Outcome.RETRY] * (len(outcomes) - 1) + [Outcome.FAILED]
    assert (bench.job(job_id).problem or {})["code"] == "model_unavailable"
    assert bench.run(job_id) is Outcome.NOT_CLAIMED


def test_what_cannot_pass_is_failed_at_once(bench: Bench) -> None:
    job_id = bench.add()
    bench.work.on_compute = fails(CallNotFoundError())
    assert bench.run(job_id) is Outcome.FAILED
    assert bench.job(job_id).status is StageStatus.FAILED


def test_an_unforeseen_error_says_nothing_of_what_was_said(bench: Bench) -> None:
    job_id = bench.add()
    bench.work.on_compute = fails(ValueError("고객: 제 번호는 010"))
    assert bench.run(job_id) is Outcome.RETRY
    assert "010" not in str(bench.job(job_id).problem)


def test_a_job_that_cannot_be_read_is_not_claimed_for_ever(bench: Bench) -> None:
    job_id = bench.add()
    bench.work.on_read = fails(KeyError("gone"))
    for _ in range(JOBS[KIND].max_attempts):
        bench.run(job_id)
        bench.change(job_id, next_attempt_at=None)
    assert bench.job(job_id).status is StageStatus.FAILED
    assert bench.work.computed == 0


def test_what_is_put_off_counts_as_no_attempt(bench: Bench) -> None:
    job_id = bench.add()
    bench.work.on_read = lambda: NotNow(delay=timedelta(hours=1))
    assert bench.run(job_id) is Outcome.NOT_CLAIMED
    job = bench.job(job_id)
    assert job.status is StageStatus.QUEUED
    assert job.attempt_limit - job.attempt == JOBS[KIND].max_attempts
    bench.work.on_read = lambda: None
    assert bench.run(job_id) is Outcome.NOT_CLAIMED  # not due
    bench.change(job_id, next_attempt_at=None)
    assert bench.run(job_id) is Outcome.DONE


def test_what_need_not_be_done_ends_without_being_computed(bench: Bench) -> None:
    job_id = bench.add()
    bench.work.on_read = End
    bench.run(job_id)
    assert bench.job(job_id).status is StageStatus.DONE
    assert bench.work.computed == 0


def test_a_stopping_worker_hands_back_what_it_has(bench: Bench) -> None:
    job_id = bench.add()
    bench.work.on_compute = fails(SystemExit())
    with pytest.raises(SystemExit):
        bench.run(job_id)
    [hint] = upkeep.hand_back(bench.sessions, "w1")
    job = bench.job(job_id)
    assert (getattr(hint, "job_id", None), job.status) == (job_id, StageStatus.QUEUED)
    assert job.attempt_limit - job.attempt == JOBS[KIND].max_attempts
