from collections.abc import Callable
from datetime import timedelta
from itertools import count
from math import inf
from uuid import UUID

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.measures import HINT_SENT, SWEEPER_ACTIONS
from callytics.db.metric_sums import MetricSums, Observed
from callytics.db.models import Call, MetricMark, StageAttempt
from callytics.domain.stages import Stage
from callytics.settings import Settings
from tests.support.calls import insert_call
from tests.support.deliveries import Deliverer, FakeCallbackClient, answer
from tests.support.metrics import count_from
from tests.support.waiting import wait_until

RUNS = "callytics_stage_seconds"
Attempt = Callable[..., None]


@pytest.fixture
def call_id(sessions: sessionmaker[Session]) -> UUID:
    count_from(sessions)
    return insert_call(sessions)


@pytest.fixture
def attempt(call_id: UUID) -> Attempt:
    """Adds an attempt that ends now, or ended `ago_s` seconds ago."""
    numbers = count(1)

    def add(session: Session, *, ago_s: float = 0, run_s: float = 2, outcome: str = "done") -> None:
        ended = func.statement_timestamp() - timedelta(seconds=ago_s)
        session.execute(
            insert(StageAttempt).values(
                call_id=call_id,
                stage=Stage.MERGE,
                attempt=next(numbers),
                worker="w",
                outcome=outcome,
                finished_at=ended,
                started_at=ended - timedelta(seconds=run_s),
            )
        )

    return add


def fold(sessions: sessionmaker[Session]) -> None:
    with unit_of_work(sessions) as session:
        MetricSums(session).fold()


def observed(sessions: sessionmaker[Session], metric: str = RUNS) -> list[Observed]:
    with sessions() as session:
        return list(MetricSums(session).all().get(metric, ()))


def counted(sessions: sessionmaker[Session]) -> int:
    """How many successful attempts."""
    return sum(one.observations for one in observed(sessions))


def counted_in_the_end(sessions: sessionmaker[Session]) -> int:
    """When all that has ended by now is counted."""
    with sessions() as session:
        now = session.scalars(select(func.clock_timestamp())).one()

    def is_past() -> bool:
        fold(sessions)
        with sessions() as session:
            return bool(session.scalars(select(MetricMark.counted_until)).one() > now)

    wait_until(is_past)
    return counted(sessions)


def test_what_ends_is_counted_once(sessions: sessionmaker[Session], attempt: Attempt) -> None:
    for expected in (1, 2, 3):
        with unit_of_work(sessions) as session:
            attempt(session)
        assert counted_in_the_end(sessions) == expected


def test_what_a_process_that_dies_was_counting_the_next_one_counts(
    sessions: sessionmaker[Session], attempt: Attempt
) -> None:
    with unit_of_work(sessions) as session:
        attempt(session, ago_s=5)
    with sessions() as dying:
        MetricSums(dying).fold()
        dying.rollback()
    assert counted(sessions) == 0
    fold(sessions)
    assert counted(sessions) == 1


def test_of_two_that_count_at_once_one_does(
    sessions: sessionmaker[Session], attempt: Attempt
) -> None:
    with unit_of_work(sessions) as session:
        attempt(session, ago_s=5)
    with unit_of_work(sessions) as first:
        MetricSums(first).fold()
        fold(sessions)  # it neither waits nor counts
        assert counted(sessions) == 0
    fold(sessions)
    assert counted(sessions) == 1


def test_what_is_committed_long_after_its_end_is_not_missed(
    sessions: sessionmaker[Session], attempt: Attempt
) -> None:
    with unit_of_work(sessions) as slow:
        attempt(slow)
        with unit_of_work(sessions) as session:
            attempt(session)
            later = session.scalars(select(func.clock_timestamp())).one()

        def settled() -> bool:
            with sessions() as session:
                now = session.scalars(select(func.clock_timestamp())).one()
            return bool(now - later > timedelta(seconds=1))

        wait_until(settled)
        fold(sessions)
        assert counted(sessions) == 0  # nothing behind a transaction that may still write before it
    assert counted_in_the_end(sessions) == 2


def test_a_transaction_that_first_writes_long_after_it_began_has_nothing_counted_twice(
    sessions: sessionmaker[Session], attempt: Attempt
) -> None:
    with unit_of_work(sessions) as late:
        late.execute(text("SELECT 1"))
        with unit_of_work(sessions) as session:
            attempt(session)
        assert counted_in_the_end(sessions) == 1
        attempt(late)
        fold(sessions)
        assert counted(sessions) == 1
    assert counted_in_the_end(sessions) == 2


def test_rows_that_are_deleted_stay_counted(
    sessions: sessionmaker[Session], attempt: Attempt
) -> None:
    with unit_of_work(sessions) as session:
        attempt(session, ago_s=5)
    fold(sessions)
    with unit_of_work(sessions) as session:
        session.execute(delete(Call))
    fold(sessions)
    assert counted(sessions) == 1


def test_a_clock_that_is_set_back_does_not_stop_the_count(
    sessions: sessionmaker[Session], attempt: Attempt
) -> None:
    with unit_of_work(sessions) as session:
        ahead = func.clock_timestamp() + timedelta(hours=1)
        session.execute(update(MetricMark).values(counted_until=ahead))
    fold(sessions)
    with unit_of_work(sessions) as session:
        attempt(session)
    assert counted_in_the_end(sessions) == 1


def test_counting_begins_with_the_first_look(sessions: sessionmaker[Session]) -> None:
    fold(sessions)
    with sessions() as session:
        since = session.scalars(select(MetricMark.counted_until)).one()
        assert session.scalars(select(func.clock_timestamp())).one() > since


def test_an_observation_falls_into_the_bucket_whose_bound_it_does_not_exceed(
    sessions: sessionmaker[Session], attempt: Attempt
) -> None:
    with unit_of_work(sessions) as session:
        for run_s in (2, 2.5, 3000):
            attempt(session, ago_s=5, run_s=run_s)
    fold(sessions)
    assert observed(sessions) == [
        Observed(labels=["merge", "v1"], le=le, observations=1, total=total)
        for le, total in ((2, 2), (3, 2.5), (inf, 3000))
    ]


def test_attempts_are_told_by_how_they_ended(
    sessions: sessionmaker[Session], attempt: Attempt
) -> None:
    with unit_of_work(sessions) as session:
        for outcome in ("done", "worker_lost", "not_audio", "abandoned"):
            attempt(session, ago_s=5, outcome=outcome)
    fold(sessions)
    ends = {one.labels[2]: one.total for one in observed(sessions, "callytics_stage_attempts")}
    codes = {one.labels[2]: one.total for one in observed(sessions, "callytics_stage_failures")}
    assert ends == {"done": 1, "failed": 2, "abandoned": 1}
    assert codes == {"worker_lost": 1, "not_audio": 1}


def test_callbacks_are_told_by_the_class_of_their_answer(
    sessions: sessionmaker[Session], settings: Settings
) -> None:
    count_from(sessions)
    client = FakeCallbackClient(answer())
    deliverer = Deliverer.make(sessions, settings, client)
    for status in (204, 503, None):
        client.answer = answer(status)
        url = f"https://{status}.example/webhook"
        deliverer.run(deliverer.enqueue(url, key=str(status)))
    counted_in_the_end(sessions)
    found = observed(sessions, "callytics_callback_attempts")
    assert {tuple(one.labels): one.total for one in found} == {
        ("2xx", "delivered"): 1,
        ("5xx", "retry"): 1,
        ("none", "retry"): 1,
    }


def test_what_no_log_tells_of_is_added_up(sessions: sessionmaker[Session]) -> None:
    for times in (2, 0, 3):
        with unit_of_work(sessions) as session:
            MetricSums(session).count(SWEEPER_ACTIONS, HINT_SENT, times=times)
    (found,) = observed(sessions, SWEEPER_ACTIONS)
    assert (found.labels, found.total) == ([HINT_SENT], 5)
