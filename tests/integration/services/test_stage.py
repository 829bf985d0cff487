"""Claim, compute, record: what happens when a run dies, runs twice, or two run at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.measures import GIVEN_UP, HINT_SENT, LEASE_LAPSED, SWEEPER_ACTIONS
from callytics.db.metric_sums import MetricSums
from callytics.db.models import Call, StageAttempt, StageRun
from callytics.domain.job import JobStatus
from callytics.domain.stages import SPECS, Stage, StageStatus
from callytics.errors import ModelUnavailableError, NotAudioError
from callytics.services.stage import AnyHint, Hint, Outcome, StageContext, hint_for, run_stage
from callytics.services.upkeep import hand_back, sweep
from callytics.settings import PipelineSettings
from tests.support.calls import FakeWork, NoStore, insert_call

FAST = PipelineSettings(lease_s=1, retry_base_s=0.01, hint_after_s=0.01)


class Bench:
    """A worker's context whose broker is a list."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.sessions = sessions
        self.works = {stage: FakeWork(stage) for stage in Stage}
        self.sent: list[Hint] = []

    def context(self, worker: str = "w1", settings: PipelineSettings = FAST) -> StageContext:
        return StageContext(
            sessions=self.sessions,
            works=self.works,
            store=NoStore(),
            send=self._send,
            worker=worker,
            settings=settings,
        )

    def _send(self, hints: Iterable[AnyHint]) -> None:
        self.sent.extend(hint for hint in hints if isinstance(hint, Hint))

    def run(self, stage: Stage, call_id: UUID, **options: Any) -> Outcome:
        return run_stage(self.context(**options), stage, call_id)

    def run_everything(self, call_id: UUID) -> None:
        """Play the broker: follow the hints, and the chain of each."""
        self.sent.append(hint_for(self.call(call_id), Stage.PREPROCESS))
        while self.sent:
            hint = self.sent.pop(0)
            for stage in hint.stages:
                self.run(stage, hint.call_id)

    def stage(self, call_id: UUID, stage: Stage) -> StageRun:
        with self.sessions() as session:
            return session.get_one(StageRun, (call_id, stage))

    def call(self, call_id: UUID) -> Call:
        with self.sessions() as session:
            return session.get_one(Call, call_id)

    def attempts(self, call_id: UUID, stage: Stage) -> list[tuple[int, str | None]]:
        with self.sessions() as session:
            rows = session.scalars(
                select(StageAttempt)
                .where(StageAttempt.call_id == call_id, StageAttempt.stage == stage)
                .order_by(StageAttempt.attempt)
            )
            return [(row.attempt, row.outcome) for row in rows]

    def swept(self, action: str) -> float:
        """How often the sweeper did that, by its own count."""
        with self.sessions() as session:
            found = MetricSums(session).all()[SWEEPER_ACTIONS]
        return sum(one.total for one in found if one.labels == [action])

    def age(self, call_id: UUID, column: str) -> None:
        """Make the times in `column` an hour old, as if the clock had gone on."""
        with unit_of_work(self.sessions) as session:
            session.execute(
                text(
                    f"UPDATE stage_runs SET {column} = {column} - interval '1 hour' WHERE call_id = :id"
                ),
                {"id": call_id},
            )


@pytest.fixture
def bench(sessions: sessionmaker[Session]) -> Bench:
    return Bench(sessions)


def test_hints_alone_carry_a_call_to_its_end(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)

    bench.run_everything(call_id)

    assert bench.call(call_id).status is JobStatus.COMPLETED
    assert bench.call(call_id).completed_at is not None
    assert {stage: work.written for stage, work in bench.works.items()} == dict.fromkeys(Stage, 1)


def test_a_subset_of_stages_ends_where_it_was_asked_to(bench: Bench) -> None:
    call_id = insert_call(bench.sessions, [Stage.PREPROCESS, Stage.TRANSCRIBE])

    bench.run_everything(call_id)

    assert bench.call(call_id).status is JobStatus.COMPLETED
    assert bench.works[Stage.MERGE].computed == 0


def test_the_join_is_announced_once_by_whoever_ends_last(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)
    bench.run(Stage.PREPROCESS, call_id)
    assert [hint.stages for hint in bench.sent] == [(Stage.DIARIZE,), (Stage.TRANSCRIBE,)]
    bench.sent.clear()

    bench.run(Stage.TRANSCRIBE, call_id)
    assert bench.sent == []
    bench.run(Stage.DIARIZE, call_id)

    assert [hint.stages for hint in bench.sent] == [(Stage.MERGE, Stage.PUNCTUATE)]


def test_branches_that_end_at_the_same_moment_announce_the_join_once(bench: Bench) -> None:
    together = Barrier(2)
    branches = (Stage.DIARIZE, Stage.TRANSCRIBE)
    for stage in branches:
        bench.works[stage] = FakeWork(stage, lambda _progress: together.wait(5) and None)
    for _ in range(10):
        call_id = insert_call(bench.sessions)
        bench.run(Stage.PREPROCESS, call_id)
        bench.sent.clear()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(bench.run, branches, [call_id, call_id]))
        assert [hint.stages for hint in bench.sent] == [(Stage.MERGE, Stage.PUNCTUATE)]


def test_a_second_message_for_a_done_stage_computes_nothing(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)
    bench.run(Stage.PREPROCESS, call_id)

    assert bench.run(Stage.PREPROCESS, call_id) is Outcome.ALREADY_DONE
    assert bench.works[Stage.PREPROCESS].computed == 1


def test_a_message_for_a_stage_whose_needs_are_not_done_computes_nothing(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)

    assert bench.run(Stage.MERGE, call_id) is Outcome.NOT_CLAIMED
    assert not Outcome.NOT_CLAIMED.carries_on


def test_a_message_for_a_call_that_is_gone_is_harmless(bench: Bench) -> None:
    assert bench.run(Stage.PREPROCESS, UUID(int=1)) is Outcome.NOT_CLAIMED


def test_many_messages_at_once_compute_once(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(
            pool.map(lambda n: bench.run(Stage.PREPROCESS, call_id, worker=f"w{n}"), range(8))
        )

    assert outcomes.count(Outcome.DONE) == 1
    assert bench.works[Stage.PREPROCESS].computed == 1
    assert bench.attempts(call_id, Stage.PREPROCESS) == [(1, "done")]


def test_a_stale_twin_cannot_overwrite_what_a_newer_attempt_recorded(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)
    inside, go_on = Event(), Event()

    def wait_and_return(_progress: Any) -> str:
        inside.set()
        assert go_on.wait(20)
        return "stale"

    bench.works[Stage.PREPROCESS] = FakeWork(Stage.PREPROCESS, wait_and_return)
    with ThreadPoolExecutor(1) as pool:
        stale = pool.submit(bench.run, Stage.PREPROCESS, call_id, settings=PipelineSettings())
        assert inside.wait(20)
        bench.age(call_id, "lease_until")
        sweep(bench.sessions, FAST)
        bench.age(call_id, "next_attempt_at")
        bench.works = {
            **bench.works,
            Stage.PREPROCESS: FakeWork(Stage.PREPROCESS, lambda _p: "new"),
        }
        assert bench.run(Stage.PREPROCESS, call_id, worker="w2") is Outcome.DONE
        go_on.set()

        assert stale.result(20) is Outcome.ABANDONED
    with bench.sessions() as session:
        run = session.get_one(StageRun, (call_id, Stage.PREPROCESS))
        assert run.output == {"value": "new"}
    assert bench.attempts(call_id, Stage.PREPROCESS) == [(1, "worker_lost"), (2, "done")]


def test_a_living_lease_is_renewed_while_the_model_runs(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)
    seen: list[Any] = []

    def work_longer_than_the_lease(progress: Callable[[float], None]) -> None:
        first = bench.stage(call_id, Stage.PREPROCESS).lease_until
        progress(0.5)
        while bench.stage(call_id, Stage.PREPROCESS).lease_until == first:
            pass
        seen.append(bench.stage(call_id, Stage.PREPROCESS).progress)

    bench.works[Stage.PREPROCESS] = FakeWork(Stage.PREPROCESS, work_longer_than_the_lease)

    assert bench.run(Stage.PREPROCESS, call_id) is Outcome.DONE
    assert seen == [0.5]


def test_a_worker_takes_over_at_once_what_its_own_dead_child_held(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)
    self_destruct = FakeWork(Stage.PREPROCESS, _die)
    bench.works[Stage.PREPROCESS] = self_destruct
    bench.age(call_id, "queued_at")
    with pytest.raises(SystemExit):
        bench.run(Stage.PREPROCESS, call_id, settings=PipelineSettings())
    bench.works[Stage.PREPROCESS] = FakeWork(Stage.PREPROCESS)

    other = bench.run(Stage.PREPROCESS, call_id, worker="w2")
    same = bench.run(Stage.PREPROCESS, call_id, worker="w1")

    assert (other, same) == (Outcome.NOT_CLAIMED, Outcome.DONE)
    with bench.sessions() as session:
        log = session.scalars(select(StageAttempt).order_by(StageAttempt.attempt)).all()
    assert [attempt.outcome for attempt in log] == ["worker_lost", "done"]
    assert all(attempt.finished_at for attempt in log)
    waited, taken_over = (attempt.wait_s for attempt in log)
    assert waited is not None
    assert waited > 3600
    assert taken_over is not None
    assert taken_over < 3600


def _die(_progress: Any) -> None:
    raise SystemExit  # no handler of run_stage sees it, like a SIGKILL


def test_a_lost_lease_is_taken_back_with_backoff_until_the_attempts_are_used_up(
    bench: Bench,
) -> None:
    call_id = insert_call(bench.sessions)
    bench.works[Stage.PREPROCESS] = FakeWork(Stage.PREPROCESS, _die)
    limit = SPECS[Stage.PREPROCESS].max_attempts
    for number in range(limit):
        with pytest.raises(SystemExit):
            bench.run(Stage.PREPROCESS, call_id, worker=f"w{number}")
        bench.age(call_id, "lease_until")
        sweep(bench.sessions, FAST)
        bench.age(call_id, "next_attempt_at")

    assert bench.attempts(call_id, Stage.PREPROCESS) == [
        (number + 1, "worker_lost") for number in range(limit)
    ]
    assert bench.call(call_id).status is JobStatus.FAILED
    assert bench.stage(call_id, Stage.PREPROCESS).problem == {
        "code": "worker_lost",
        "detail": "The worker that ran the stage was lost.",
    }
    assert bench.swept(LEASE_LAPSED) == limit
    assert bench.swept(GIVEN_UP) == 1


def test_a_retryable_error_waits_and_then_the_sweeper_announces_it(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)
    errors = iter([ModelUnavailableError()])

    def fail_once(_progress: Any) -> None:
        for error in errors:
            raise error

    bench.works[Stage.PREPROCESS] = FakeWork(Stage.PREPROCESS, fail_once)

    slow = PipelineSettings(retry_base_s=1000, retry_max_s=2000)
    assert bench.run(Stage.PREPROCESS, call_id, settings=slow) is Outcome.RETRY
    assert bench.run(Stage.PREPROCESS, call_id) is Outcome.NOT_CLAIMED
    assert list(sweep(bench.sessions, FAST)) == []
    bench.age(call_id, "next_attempt_at")
    hints = sweep(bench.sessions, FAST)

    assert [hint.stages for hint in hints if isinstance(hint, Hint)] == [(Stage.PREPROCESS,)]
    bench.run_everything(call_id)
    assert bench.call(call_id).status is JobStatus.COMPLETED
    assert bench.stage(call_id, Stage.PREPROCESS).problem is None


def test_an_unusable_file_fails_the_call_at_the_first_attempt(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)
    bench.works[Stage.PREPROCESS] = FakeWork(Stage.PREPROCESS, _refuse)

    assert bench.run(Stage.PREPROCESS, call_id) is Outcome.FAILED
    assert bench.call(call_id).status is JobStatus.FAILED
    assert bench.stage(call_id, Stage.PREPROCESS).problem == NotAudioError().as_problem()
    assert bench.stage(call_id, Stage.TRANSCRIBE).status is StageStatus.WAITING


def _refuse(_progress: Any) -> None:
    raise NotAudioError


def test_the_text_of_an_unforeseen_error_is_kept_from_rows_and_logs(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    call_id = insert_call(bench.sessions)

    def crash(_progress: Any) -> None:
        raise RuntimeError("고객 박준호 010-1234-5678")

    bench.works[Stage.PREPROCESS] = FakeWork(Stage.PREPROCESS, crash)

    assert bench.run(Stage.PREPROCESS, call_id) is Outcome.RETRY
    shown = str(bench.stage(call_id, Stage.PREPROCESS).problem) + capsys.readouterr().out
    assert "RuntimeError" in shown
    assert "박준호" not in shown


def test_the_other_branch_goes_on_when_one_fails(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)
    bench.run(Stage.PREPROCESS, call_id)
    bench.works[Stage.DIARIZE] = FakeWork(Stage.DIARIZE, _refuse)

    bench.run(Stage.DIARIZE, call_id)
    assert bench.call(call_id).status is JobStatus.RUNNING
    bench.run(Stage.TRANSCRIBE, call_id)

    assert bench.call(call_id).status is JobStatus.FAILED
    assert bench.stage(call_id, Stage.TRANSCRIBE).status is StageStatus.DONE


def test_a_run_notices_that_its_call_was_cancelled_and_records_nothing(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)

    def cancel_then_go_on(progress: Callable[[float], None]) -> None:
        with unit_of_work(bench.sessions) as session:
            session.execute(
                update(StageRun)
                .where(StageRun.call_id == call_id)
                .values(status=StageStatus.CANCELLED)
            )
        while True:
            progress(0.1)

    bench.works[Stage.PREPROCESS] = FakeWork(Stage.PREPROCESS, cancel_then_go_on)

    assert bench.run(Stage.PREPROCESS, call_id) is Outcome.ABANDONED
    assert bench.works[Stage.PREPROCESS].written == 0


def test_a_failing_write_leaves_nothing_half_done(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)

    class HalfWay(FakeWork):
        def write(self, session: Session, call: Call, computed: Any) -> dict[str, Any] | None:
            call.duration_s = 1.0
            session.flush()
            raise ValueError

    bench.works[Stage.PREPROCESS] = HalfWay(Stage.PREPROCESS)

    assert bench.run(Stage.PREPROCESS, call_id) is Outcome.RETRY
    assert bench.call(call_id).duration_s is None


def test_what_the_broker_forgot_is_announced_again_ever_more_rarely(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)
    settings = PipelineSettings(hint_after_s=600)
    assert list(sweep(bench.sessions, settings)) == []
    bench.age(call_id, "hinted_at")

    assert len(sweep(bench.sessions, settings)) == 1
    assert list(sweep(bench.sessions, settings)) == []
    assert bench.stage(call_id, Stage.PREPROCESS).hints == 2
    for _ in range(3):
        bench.age(call_id, "hinted_at")
        sweep(bench.sessions, settings)
    assert bench.stage(call_id, Stage.PREPROCESS).hints < 5


def test_sweepers_at_the_same_moment_announce_a_stage_once(bench: Bench) -> None:
    for _ in range(5):
        call_id = insert_call(bench.sessions)
        bench.age(call_id, "hinted_at")
    with ThreadPoolExecutor(6) as pool:
        swept = list(
            pool.map(lambda _: sweep(bench.sessions, PipelineSettings(hint_after_s=600)), range(6))
        )

    assert sum(map(len, swept)) == 5
    assert bench.swept(HINT_SENT) == 5


def test_a_stopping_worker_hands_back_without_using_up_an_attempt(bench: Bench) -> None:
    call_id = insert_call(bench.sessions)
    bench.works[Stage.PREPROCESS] = FakeWork(Stage.PREPROCESS, _die)
    with pytest.raises(SystemExit):
        bench.run(Stage.PREPROCESS, call_id)

    hints = hand_back(bench.sessions, "w1")

    run = bench.stage(call_id, Stage.PREPROCESS)
    assert [hint.stages for hint in hints if isinstance(hint, Hint)] == [(Stage.PREPROCESS,)]
    assert run.status is StageStatus.QUEUED
    assert run.attempt_limit - run.attempt == SPECS[Stage.PREPROCESS].max_attempts
    assert bench.attempts(call_id, Stage.PREPROCESS) == [(1, "handed_back")]
