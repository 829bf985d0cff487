"""Variants side by side: who is given what, and what a switch does to what waits."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from callytics.db.engine import make_sessions, unit_of_work
from callytics.db.jobs import Jobs
from callytics.db.models import Call, Job, ModelRoute, StageAttempt, StageRun
from callytics.db.routes import book_of
from callytics.domain.job import JobStatus
from callytics.domain.jobs import JobKind
from callytics.domain.routes import Route, assign
from callytics.domain.stages import Queue, Stage, StageStatus
from callytics.errors import (
    InvalidRouteError,
    ModelUnavailableError,
    NoEarlierRouteError,
    VariantNotReadyError,
)
from callytics.services import routes
from callytics.services.calls import rerun
from callytics.services.health import readiness
from callytics.services.job_work import JobHint
from callytics.services.stage import AnyHint, Hint, Outcome, StageContext, run_stage
from callytics.services.upkeep import hand_back, sweep
from callytics.settings import PipelineSettings, Settings
from tests.support.calls import FakeWork, NoStore, insert_call
from tests.support.workers import beat_lane

FAST = PipelineSettings(lease_s=1, retry_base_s=60, hint_after_s=60)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
HALVES = Route(weights={"v1": 1, "v2": 1})
SECOND = Route(weights={"v2": 1})
MODELS = Settings(
    models={name: {"variants": {"v2": {}}} for name in ("transcribe", "punctuate", "analyse")}
).models


class Bench:
    """Workers of both variants, whose broker is a list of what they are told."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.sessions = sessions
        self.works = {stage: FakeWork(stage) for stage in Stage}
        self.sent: list[AnyHint] = []

    def worker(self, variant: str) -> StageContext:
        return StageContext(
            sessions=self.sessions,
            works=self.works,
            store=NoStore(),
            send=self._send,
            worker=f"stt.{variant}",
            settings=FAST,
            variants={Queue.STT: variant},
        )

    def _send(self, hints: Iterable[AnyHint]) -> None:
        self.sent += hints

    def run(self, stage: Stage, call_id: UUID, variant: str = "v1") -> Outcome:
        return run_stage(self.worker(variant), stage, call_id)

    def switch(self, route: Route, queue: Queue = Queue.STT) -> Sequence[AnyHint]:
        with unit_of_work(self.sessions) as session:
            return routes.switch(session, queue, route, MODELS, force=True).hints

    def rollback(self) -> Route:
        with unit_of_work(self.sessions) as session:
            return routes.rollback(session, Queue.STT, MODELS, force=True)[0]

    def rows(self) -> Sequence[ModelRoute]:
        with self.sessions() as session:
            return session.scalars(select(ModelRoute).order_by(ModelRoute.id)).all()

    def sweep(self) -> Sequence[AnyHint]:
        return sweep(self.sessions, FAST)

    def queue(self) -> UUID:
        """A call whose transcription waits."""
        call_id = insert_call(self.sessions)
        assert self.run(Stage.PREPROCESS, call_id) is Outcome.DONE
        return call_id

    def stage(self, call_id: UUID) -> StageRun:
        with self.sessions() as session:
            return session.get_one(StageRun, (call_id, Stage.TRANSCRIBE))

    def variants(self, calls: Iterable[UUID]) -> list[str]:
        return [self.stage(call_id).variant for call_id in calls]


@pytest.fixture
def bench(sessions: sessionmaker[Session]) -> Bench:
    return Bench(sessions)


def test_without_a_route_all_is_the_first_variants(bench: Bench) -> None:
    call_id = bench.queue()

    assert bench.stage(call_id).variant == "v1"
    assert bench.run(Stage.TRANSCRIBE, call_id, "v2") is Outcome.NOT_CLAIMED
    assert bench.run(Stage.TRANSCRIBE, call_id) is Outcome.DONE


def test_without_a_row_the_settings_weights_count(bench: Bench) -> None:
    engine = bench.sessions.kw["bind"]
    bench.sessions = make_sessions(engine, {Queue.STT: SECOND})

    assert bench.variants([bench.queue()]) == ["v2"]

    bench.switch(Route())
    assert bench.variants([bench.queue()]) == ["v1"]


def test_calls_are_shared_by_the_assignment_and_the_rows_say_who_did_them(bench: Bench) -> None:
    bench.switch(HALVES)

    calls = [bench.queue() for _ in range(20)]

    wanted = [assign(Queue.STT, call_id, HALVES.weights) for call_id in calls]
    assert set(wanted) == {"v1", "v2"}
    assert bench.variants(calls) == wanted
    hints = [hint for hint in bench.sent if isinstance(hint, Hint)]
    lanes = {hint.call_id: str(hint.lane(Stage.TRANSCRIBE)) for hint in hints}
    assert [lanes[c] for c in calls] == ["stt" if v == "v1" else "stt.v2" for v in wanted]
    for call_id, variant in zip(calls, wanted, strict=True):
        assert bench.run(Stage.TRANSCRIBE, call_id, variant) is Outcome.DONE
    with bench.sessions() as session:
        attempts = session.scalars(
            select(StageAttempt).where(StageAttempt.stage == Stage.TRANSCRIBE)
        ).all()
    assert {row.call_id: row.variant for row in attempts} == dict(zip(calls, wanted, strict=True))


@pytest.mark.parametrize(
    ("carried", "told"),
    [(None, ["punctuate.v2"]), ("punctuate", ["punctuate.v2"]), ("punctuate.v2", [])],
)
def test_a_chain_that_goes_to_the_wrong_lane_is_put_right(
    bench: Bench, carried: str | None, told: list[str]
) -> None:
    bench.switch(SECOND, Queue.PUNCTUATE)
    call_id = bench.queue()
    bench.run(Stage.TRANSCRIBE, call_id)
    bench.run(Stage.DIARIZE, call_id)
    bench.sent.clear()

    run_stage(bench.worker("v1"), Stage.MERGE, call_id, carried=carried)

    lanes = [str(hint.lane(hint.stages[0])) for hint in bench.sent if isinstance(hint, Hint)]
    assert lanes == told


def test_a_switch_moves_what_waits_and_tells_the_broker(bench: Bench) -> None:
    calls = [bench.queue() for _ in range(5)]

    hints = bench.switch(SECOND)

    assert bench.variants(calls) == ["v2"] * 5
    assert {str(h.lane(Stage.TRANSCRIBE)) for h in hints if isinstance(h, Hint)} == {"stt.v2"}
    assert len(hints) == 5
    assert bench.run(Stage.TRANSCRIBE, calls[0]) is Outcome.NOT_CLAIMED
    assert bench.run(Stage.TRANSCRIBE, calls[0], "v2") is Outcome.DONE


def test_what_runs_ends_where_it_runs(bench: Bench) -> None:
    call_id = bench.queue()
    bench.works[Stage.TRANSCRIBE].action = lambda _progress: bench.switch(SECOND) and None

    assert bench.run(Stage.TRANSCRIBE, call_id) is Outcome.DONE
    assert bench.stage(call_id).variant == "v1"


def test_a_retry_goes_where_the_route_goes_by_then(bench: Bench) -> None:
    bench.switch(SECOND)
    call_id = bench.queue()

    def fail(_progress: object) -> None:
        bench.switch(Route())
        raise ModelUnavailableError

    bench.works[Stage.TRANSCRIBE].action = fail
    assert bench.run(Stage.TRANSCRIBE, call_id, "v2") is Outcome.RETRY

    (hint,) = bench.sweep()

    assert isinstance(hint, Hint)
    assert str(hint.lane(Stage.TRANSCRIBE)) == "stt"
    stage = bench.stage(call_id)
    assert (stage.variant, stage.next_attempt_at, stage.attempt_limit) == ("v1", None, 5)
    bench.works[Stage.TRANSCRIBE].action = lambda _progress: None
    assert bench.run(Stage.TRANSCRIBE, call_id) is Outcome.DONE


def test_what_a_dead_or_a_stopped_worker_leaves_goes_where_the_route_goes(bench: Bench) -> None:
    bench.switch(SECOND)
    lost, handed = bench.queue(), bench.queue()
    with unit_of_work(bench.sessions) as session:
        for call_id, worker in ((lost, "dead"), (handed, "stopped")):
            session.execute(
                update(StageRun)
                .where(StageRun.call_id == call_id, StageRun.stage == Stage.TRANSCRIBE)
                .values(status="running", attempt=1, worker=worker, lease_until=LONG_AGO)
            )
    with capture_logs() as logs:
        (hint,) = hand_back(bench.sessions, "stopped")
    assert isinstance(hint, Hint)
    [said] = [line for line in logs if line["event"] == "handed_back"]
    assert (said["call_id"], said["stage"]) == (str(handed), Stage.TRANSCRIBE)
    assert str(hint.lane(Stage.TRANSCRIBE)) == "stt.v2"
    bench.switch(Route())

    bench.sweep()

    assert bench.variants([lost, handed]) == ["v1", "v1"]
    for call_id in (lost, handed):
        assert bench.run(Stage.TRANSCRIBE, call_id) is Outcome.DONE


def test_what_was_queued_by_an_old_route_the_sweeper_puts_right(bench: Bench) -> None:
    call_id = bench.queue()
    with unit_of_work(bench.sessions) as session:
        session.add(ModelRoute(queue="stt", weights={"v2": 1}))  # by a process that saw nothing yet

    assert len(bench.sweep()) == 1

    assert bench.stage(call_id).variant == "v2"
    assert bench.sweep() == []


def test_a_rerun_is_routed_anew(bench: Bench) -> None:
    call_id = insert_call(bench.sessions, [Stage.PREPROCESS, Stage.TRANSCRIBE])
    bench.run(Stage.PREPROCESS, call_id)
    bench.run(Stage.TRANSCRIBE, call_id)
    bench.switch(SECOND)

    with unit_of_work(bench.sessions) as session:
        owner = session.get_one(Call, call_id).client_id
        rerun(session, owner, call_id, Stage.TRANSCRIBE)

    assert bench.stage(call_id).variant == "v2"


def test_jobs_are_assigned_and_move_as_stages_do(bench: Bench) -> None:
    bench.switch(HALVES, Queue.MLM)
    with unit_of_work(bench.sessions) as session:
        jobs = [Jobs(session).add(JobKind.ANALYSIS) for _ in range(20)]
        plain = Jobs(session).add(JobKind.DELIVERY)
    wanted = {job.id: assign(Queue.MLM, job.id, HALVES.weights) for job in jobs}
    assert {job.id: job.variant for job in jobs} == wanted
    assert {str(JobHint.of(job).lane) for job in [*jobs, plain]} == {"mlm", "mlm.v2", "callback"}

    hints = bench.switch(SECOND, Queue.MLM)

    assert len(hints) == Counter(wanted.values())["v1"]
    assert {str(hint.lane) for hint in hints if isinstance(hint, JobHint)} == {"mlm.v2"}
    with bench.sessions() as session:
        rows = session.scalars(select(Job).where(Job.kind == JobKind.ANALYSIS)).all()
        assert {row.variant for row in rows} == {"v2"}
        claims = [
            Jobs(session).claim(
                rows[0].id,
                JobKind.ANALYSIS,
                variant=variant,
                worker="w",
                lease=timedelta(seconds=1),
            )
            for variant in ("v1", "v2")
        ]
        assert [claim is not None for claim in claims] == [False, True]


def test_two_switches_at_once_leave_everything_where_the_later_one_says(bench: Bench) -> None:
    calls = [bench.queue() for _ in range(10)]
    together = Barrier(2)

    def go(route: Route) -> None:
        together.wait(5)
        bench.switch(route)

    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(go, [SECOND, Route()]))
        with unit_of_work(bench.sessions) as session:
            counts = book_of(session).look(session)[Queue.STT].variants
        assert bench.variants(calls) == list(counts) * 10


def test_a_storm_of_switches_while_stages_are_queued_loses_no_call(bench: Bench) -> None:
    """Ten threads queue and run what they can; one switches; the sweeper puts the rest right."""
    calls: list[UUID] = []

    def flow(_number: int) -> None:
        for _ in range(4):
            call_id = insert_call(bench.sessions, [Stage.PREPROCESS, Stage.TRANSCRIBE])
            calls.append(call_id)
            bench.run(Stage.PREPROCESS, call_id)
            for variant in ("v1", "v2"):
                bench.run(Stage.TRANSCRIBE, call_id, variant)

    def switch() -> None:
        for number in range(20):
            bench.switch(SECOND if number % 2 else Route())

    with ThreadPoolExecutor(11) as pool:
        flows = [pool.submit(flow, number) for number in range(10)]
        pool.submit(switch).result()
        for each in flows:
            each.result()
    bench.switch(SECOND)
    bench.sweep()
    for call_id in calls:
        bench.run(Stage.TRANSCRIBE, call_id, "v2")

    with bench.sessions() as session:
        found = session.scalars(select(Call)).all()
        done = session.scalars(select(StageAttempt).where(StageAttempt.outcome == "done")).all()
        runs = session.scalars(select(StageRun)).all()
    assert [call.status for call in found] == [JobStatus.COMPLETED] * len(calls)
    assert len(done) == 2 * len(calls)
    assert {(r.call_id, r.stage): r.variant for r in runs} == {
        (row.call_id, row.stage): row.variant for row in done
    }
    assert all(run.status is StageStatus.DONE for run in runs)


def test_a_shadow_that_does_all_of_the_work_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidRouteError, match="repeat nothing"):
        bench.switch(Route(weights={"v1": 0, "v2": 1}, shadow="v2"))
    bench.switch(Route(weights={"v1": 1, "v2": 1}, shadow="v2"))


def test_a_variant_without_a_ready_worker_is_refused(sessions: sessionmaker[Session]) -> None:
    def switch(name: str) -> None:
        with unit_of_work(sessions) as session:
            route = Route(weights={"v1": 1}, shadow=name)
            routes.switch(session, Queue.STT, route, MODELS)

    beat_lane(sessions, "stt")
    with pytest.raises(VariantNotReadyError, match=r"stt\.v2"):
        switch("v2")
    beat_lane(sessions, "stt.v2", state="loading")
    with pytest.raises(VariantNotReadyError, match=r"stt\.v2"):
        switch("v2")
    with pytest.raises(InvalidRouteError, match="v3"):
        switch("v3")
    beat_lane(sessions, "stt.v2")
    switch("v2")
    beat_lane(sessions, "stt.v3")
    switch("v3")  # which only its worker's own settings know


def test_rolling_back_is_the_route_before_as_a_new_row(bench: Bench) -> None:
    with pytest.raises(NoEarlierRouteError):
        bench.rollback()
    bench.switch(HALVES)
    assert bench.rollback() == Route()  # the settings'
    bench.switch(HALVES)
    bench.switch(SECOND)
    assert bench.rollback() == HALVES
    rows = bench.rows()
    assert rows[-1].weights == HALVES.weights
    assert len(rows) == 5
    assert rows[-1].note is not None
    assert rows[-1].undoes == rows[-2].id


def test_what_counts_already_is_no_change_to_roll_back(bench: Bench) -> None:
    bench.switch(HALVES)
    bench.switch(SECOND)
    bench.switch(SECOND)

    assert len(bench.rows()) == 2
    assert bench.rollback() == HALVES


def test_a_second_rollback_goes_further_back_and_not_forth(bench: Bench) -> None:
    third = Route(weights={"v1": 1, "v2": 2})
    for route in (HALVES, SECOND, third):
        bench.switch(route)

    assert [bench.rollback() for _ in range(3)] == [SECOND, HALVES, Route()]
    with pytest.raises(NoEarlierRouteError):
        bench.rollback()
    bench.switch(SECOND)
    assert bench.rollback() == Route()


def test_a_rollback_to_what_counts_is_none(bench: Bench) -> None:
    bench.switch(Route())  # as the settings say

    with pytest.raises(NoEarlierRouteError):
        bench.rollback()


def test_a_rollback_of_one_queue_leaves_the_others(bench: Bench) -> None:
    bench.switch(HALVES, Queue.PUNCTUATE)
    bench.switch(SECOND)

    assert bench.rollback() == Route()

    with bench.sessions() as session:
        assert book_of(session).look(session)[Queue.PUNCTUATE] == HALVES


@pytest.mark.parametrize("other", [SECOND, HALVES])
def test_two_switches_at_once_leave_a_row_for_each_route(bench: Bench, other: Route) -> None:
    together = Barrier(2)

    def go(route: Route) -> None:
        together.wait(5)
        bench.switch(route)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(go, [SECOND, other]))

    found = [row.weights for row in bench.rows()]
    assert len(found) == len({str(weights) for weights in found}) == (1 if other == SECOND else 2)


def test_two_rollbacks_at_once_take_back_two_changes(bench: Bench) -> None:
    bench.switch(HALVES)
    bench.switch(SECOND)
    together = Barrier(2)

    def back(_number: int) -> Route:
        together.wait(5)
        return bench.rollback()

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(back, range(2)))

    assert Route() in found
    assert HALVES in found
    assert bench.rows()[-1].weights == Route().weights


def test_readiness_asks_for_the_lanes_that_have_weight(
    bench: Bench, sessions: sessionmaker[Session]
) -> None:
    for lane in ("audio", "diarize", "stt", "punctuate", "sentiment", "slm"):
        beat_lane(sessions, lane)
    bench.switch(SECOND)

    def missing() -> list[str]:
        with unit_of_work(sessions) as session:
            found = readiness(session)
            assert found.ready == (not found.missing)
            return [str(lane) for lane in found.missing]

    assert missing() == ["stt.v2"]
    beat_lane(sessions, "stt.v2")
    assert missing() == []
