"""What a worker does when it is told of texts that wait, on a real database."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.models import SentimentRequest
from callytics.db.sentiment_requests import Costed, SentimentRequests
from callytics.domain.stages import StageStatus
from callytics.services.classifier import Classifier
from callytics.settings import SentimentSettings
from tests.support.sentiment import ScriptedSentiment

Sessions = sessionmaker[Session]
MINUTE = timedelta(minutes=1)


def costed(*parts: Sequence[str]) -> list[Costed]:
    return [Costed(texts=part, size=len(part)) for part in parts]


def ask(sessions: Sessions, *parts: Sequence[str], left: timedelta = MINUTE) -> UUID:
    request_id = uuid4()
    with unit_of_work(sessions) as session:
        SentimentRequests(session).add(request_id, costed(*parts), variant="v1", left=left)
    return request_id


def classifier(
    sessions: Sessions,
    model: ScriptedSentiment,
    *,
    worker: str = "one",
    again: Callable[[str], None] = lambda _variant: None,
    **settings: float,
) -> Classifier:
    limits = SentimentSettings.model_validate(settings)
    return Classifier(sessions, model, limits, worker=worker, variant="v1", again=again)


def answers(sessions: Sessions, request_id: UUID) -> dict[int, str]:
    """How each part of the request has ended; they are gone then."""
    with unit_of_work(sessions) as session:
        return {row.part: row.status for row in SentimentRequests(session).take([request_id])}


def lapse(sessions: Sessions) -> None:
    """What runs has a worker that hangs."""
    with unit_of_work(sessions) as session:
        session.execute(
            update(SentimentRequest).values(
                lease_until=func.clock_timestamp() - timedelta(seconds=1)
            )
        )


@pytest.fixture
def model() -> ScriptedSentiment:
    return ScriptedSentiment()


def test_texts_of_many_requests_are_judged_in_batches_of_the_largest_size(
    sessions: Sessions, model: ScriptedSentiment
) -> None:
    for number in range(40):
        ask(sessions, [f"{number}"])
    classifier(sessions, model)()
    assert [len(texts) for texts in model.asked] == [32, 8]


def test_a_part_that_is_larger_than_a_batch_is_judged_all_the_same(
    sessions: Sessions, model: ScriptedSentiment
) -> None:
    asked = ask(sessions, ["감사"] * 10)
    classifier(sessions, model, max_batch=4)()
    assert answers(sessions, asked) == {0: "done"}


def test_who_asks_for_one_text_does_not_wait_for_all_of_a_long_request(
    sessions: Sessions, model: ScriptedSentiment
) -> None:
    ask(sessions, *([f"long {number}"] * 32 for number in range(5)))
    ask(sessions, ["short"])
    classifier(sessions, model)()
    place = next(n for n, texts in enumerate(model.asked) if "short" in texts)
    assert place < 3


def test_nobody_s_texts_are_judged_once_nobody_waits(
    sessions: Sessions, model: ScriptedSentiment
) -> None:
    ask(sessions, ["감사"], left=timedelta(seconds=-1))
    classifier(sessions, model)()
    assert model.asked == []


def test_two_workers_at_once_judge_each_text_once(
    sessions: Sessions, model: ScriptedSentiment
) -> None:
    asked = [ask(sessions, [f"{number} 감사"]) for number in range(300)]
    with ThreadPoolExecutor(4) as workers:
        done = [
            workers.submit(classifier(sessions, model, worker=f"w{number}")) for number in range(4)
        ]
        for one in done:
            one.result()
    judged = [text for texts in model.asked for text in texts]
    assert len(judged) == len({*judged}) == 300
    assert all(answers(sessions, one) == {0: "done"} for one in asked)


def test_a_bad_text_fails_alone(sessions: Sessions, model: ScriptedSentiment) -> None:
    good, bad = ask(sessions, ["감사"]), ask(sessions, ["고장"])
    classifier(sessions, model)()
    assert answers(sessions, good) == {0: "done"}
    assert answers(sessions, bad) == {0: "failed"}


def test_what_a_child_left_that_died_its_worker_takes_at_once(
    sessions: Sessions, model: ScriptedSentiment
) -> None:
    asked = ask(sessions, ["감사"])
    classifier(sessions, model)._gather()
    classifier(sessions, model, worker="another")()
    assert model.asked == []

    classifier(sessions, model)()
    assert answers(sessions, asked) == {0: "done"}


def test_what_a_dead_worker_left_another_takes_when_its_time_is_over(
    sessions: Sessions, model: ScriptedSentiment
) -> None:
    asked = ask(sessions, ["감사"])
    classifier(sessions, model)._gather()
    lapse(sessions)
    classifier(sessions, model, worker="another")()
    assert answers(sessions, asked) == {0: "done"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_batch_that_takes_longer_than_its_lease_is_answered(
    sessions: Sessions, workers: int
) -> None:
    """Two workers must not take it from each other for ever."""
    asked = ask(sessions, ["느림 1.5"])
    with ThreadPoolExecutor(workers) as pool:
        judging = [
            pool.submit(classifier(sessions, ScriptedSentiment(), worker=f"w{number}", timeout_s=3))
            for number in range(workers)
        ]
        for one in judging:
            one.result()
    assert answers(sessions, asked) == {0: "done"}


def test_what_was_judged_by_a_twin_meanwhile_stays(
    sessions: Sessions, model: ScriptedSentiment
) -> None:
    asked = ask(sessions, ["감사"])
    slow = classifier(sessions, ScriptedSentiment(revision="old"))
    batch = slow._gather()
    lapse(sessions)
    classifier(sessions, model, worker="another")()
    slow._judge(batch)
    with unit_of_work(sessions) as session:
        (row,) = SentimentRequests(session).take([asked])
    assert row.model["revision"] == model.revision


def test_a_text_that_kills_its_worker_is_given_up_after_three_tries(
    sessions: Sessions, model: ScriptedSentiment
) -> None:
    ask(sessions, ["감사"])
    for _ in range(3):
        assert classifier(sessions, model)._gather()
    assert not classifier(sessions, model)._gather()


def test_a_batch_waits_for_as_many_requests_as_were_about(
    sessions: Sessions, model: ScriptedSentiment
) -> None:
    """And not for its whole time once they are there."""
    judge = classifier(sessions, model, batch_wait_s=60)
    for number in range(3):
        ask(sessions, [f"{number}"])
    judge()
    ask(sessions, ["one more"])
    with ThreadPoolExecutor(1) as others:
        model.before = lambda _texts: None
        waiting = others.submit(judge)
        for number in range(2):
            ask(sessions, [f"more {number}"])
        waiting.result(timeout=30)
    assert [len(texts) for texts in model.asked] == [3, 3]


def test_one_caller_alone_never_waits(sessions: Sessions, model: ScriptedSentiment) -> None:
    judge = classifier(sessions, model, batch_wait_s=60)
    for number in range(3):
        ask(sessions, [f"{number}"])
        judge()
    assert [len(texts) for texts in model.asked] == [1, 1, 1]


def test_the_stage_of_a_call_gets_its_turn(sessions: Sessions, model: ScriptedSentiment) -> None:
    told: list[str] = []
    for number in range(3):
        ask(sessions, [f"{number}"])
    Classifier(
        sessions,
        model,
        SentimentSettings(max_batch=1),
        worker="one",
        variant="v1",
        again=told.append,
        turn_s=0,
    )()
    assert (len(model.asked), told) == (1, ["v1"])


def test_a_worker_is_told_of_texts_unless_it_was_a_moment_ago(sessions: Sessions) -> None:
    with unit_of_work(sessions) as session:
        requests = SentimentRequests(session)
        assert requests.add(uuid4(), costed(["a"]), variant="v1", left=MINUTE)
        assert not requests.add(uuid4(), costed(["b"]), variant="v1", left=MINUTE)
        assert requests.add(uuid4(), costed(["c"]), variant="v2", left=MINUTE)
        session.execute(update(SentimentRequest).values(created_at=func.now() - MINUTE))
        assert requests.add(uuid4(), costed(["d"]), variant="v1", left=MINUTE)
        session.execute(update(SentimentRequest).values(status=StageStatus.RUNNING, attempt=1))
        assert requests.add(uuid4(), costed(["e"]), variant="v1", left=MINUTE)


def test_what_nobody_took_is_forgotten(sessions: Sessions, model: ScriptedSentiment) -> None:
    ask(sessions, ["감사"], left=timedelta(seconds=-90))
    kept = ask(sessions, ["감사"], left=timedelta(seconds=-30))
    with unit_of_work(sessions) as session:
        SentimentRequests(session).forget(MINUTE)
        assert list(session.scalars(select(SentimentRequest.id))) == [kept]
