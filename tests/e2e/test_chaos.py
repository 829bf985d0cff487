"""Real processes, killed for real: every call ends complete, and no stage is recorded twice."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr
from sqlalchemy.orm import Session, sessionmaker

from callytics.db import migrate
from callytics.db.engine import make_engine, make_sessions
from callytics.db.heartbeats import Heartbeats
from callytics.domain.stages import Stage, StageStatus
from callytics.embedded.postgres import Postgres
from callytics.embedded.valkey import Valkey
from callytics.settings import Settings
from tests.e2e.conftest import QUICK, Farm, Server
from tests.support.calls import insert_call
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

EVERYTHING = "audio,diarize,stt,punctuate,sentiment"


def test_calls_go_through_real_workers_and_are_recorded_once(farm: Farm) -> None:
    for worker in [farm.worker(EVERYTHING), farm.worker("control,slm")]:
        farm.wait_ready(worker)

    calls = [farm.submit() for _ in range(10)]

    farm.wait_finished(*calls)
    farm.assert_complete_once(*calls)
    assert all(row.attempt == 1 for call in calls for row in farm.attempts(call))


@pytest.mark.parametrize("stage", [Stage.PREPROCESS, Stage.MERGE, Stage.SENTIMENT])
def test_a_stage_whose_process_is_killed_runs_again(
    farm: Farm, tmp_path: Path, stage: Stage
) -> None:
    for worker in [farm.worker(EVERYTHING), farm.worker("control,slm")]:
        farm.wait_ready(worker)
    farm.beat()

    call = farm.submit(die_once={stage: str(tmp_path / "died")})

    farm.wait_finished(call)
    farm.assert_complete_once(call)
    assert farm.stage(call, stage).attempt == 2


@pytest.fixture
def slow_call(farm: Farm) -> dict[str, dict[Stage, float]]:
    """Metadata of a call that is long enough in its models to be hit there."""
    return {"seconds": {Stage.DIARIZE: 1.5, Stage.TRANSCRIBE: 1.5}}


def start_everything(farm: Farm) -> None:
    workers = [
        farm.worker("audio,diarize"),
        farm.worker("stt,punctuate,sentiment"),
        farm.worker("control,slm"),
    ]
    farm.beat()
    for worker in workers:
        farm.wait_ready(worker)


def in_hand(farm: Farm, stage: Stage, *calls: Any) -> bool:
    return any(farm.stage(call, stage).status is StageStatus.RUNNING for call in calls)


def test_a_worker_that_is_killed_whole_loses_nothing(farm: Farm, slow_call: Any) -> None:
    start_everything(farm)
    doomed = farm.processes[1]
    calls = [farm.submit(**slow_call) for _ in range(3)]
    wait_until(lambda: in_hand(farm, Stage.TRANSCRIBE, *calls))

    child = farm.child_of(doomed)
    doomed.kill()
    wait_until(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child))
    farm.wait_ready(farm.worker("stt,punctuate,sentiment"))

    farm.wait_finished(*calls)
    farm.assert_complete_once(*calls)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_wiped_broker_loses_nothing(farm: Farm, slow_call: Any, redis_url: str) -> None:
    start_everything(farm)
    calls = [farm.submit(**slow_call) for _ in range(5)]
    wait_until(lambda: in_hand(farm, Stage.TRANSCRIBE, *calls))

    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

    farm.wait_finished(*calls)
    farm.assert_complete_once(*calls)


def test_a_killed_broker_loses_nothing(
    own_valkey: tuple[Server, Valkey],
    settings: Settings,
    sessions: sessionmaker[Session],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    server, valkey = own_valkey
    settings = settings.model_copy(update={"redis_url": SecretStr(valkey.url)})
    env = {**environment, **QUICK, "CALLYTICS_REDIS_URL": valkey.url}
    farm = Farm(settings, sessions, env, tmp_path)
    try:
        start_everything(farm)
        slow = {"seconds": {Stage.DIARIZE: 1.5, Stage.TRANSCRIBE: 1.5}}
        calls = [farm.submit(**slow) for _ in range(5)]
        wait_until(lambda: in_hand(farm, Stage.TRANSCRIBE, *calls))

        server.kill()
        wait_until(lambda: not in_hand(farm, Stage.TRANSCRIBE, *calls))  # one ends meanwhile
        for file in valkey.directory.rglob("*.aof*"):
            file.unlink()  # and it has forgotten everything
        server.start()

        farm.wait_finished(*calls)
        farm.assert_complete_once(*calls)
    finally:
        farm.stop()


def test_a_killed_database_loses_nothing(
    own_postgres: tuple[Server, Postgres],
    settings: Settings,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    server, postgres = own_postgres
    url = postgres.url("postgres")
    settings = settings.model_copy(update={"database_url": SecretStr(url)})
    engine = make_engine(settings)
    migrate.upgrade(engine)
    env = {**environment, **QUICK, "CALLYTICS_DATABASE_URL": url}
    farm = Farm(settings, make_sessions(engine), env, tmp_path)
    try:
        start_everything(farm)
        slow = {"seconds": {Stage.DIARIZE: 1.5, Stage.TRANSCRIBE: 1.5}}
        calls = [farm.submit(**slow) for _ in range(5)]
        wait_until(lambda: in_hand(farm, Stage.TRANSCRIBE, *calls))

        server.kill()
        server.start()

        farm.wait_finished(*calls)
        farm.assert_complete_once(*calls)
    finally:
        farm.stop()
        engine.dispose()


def test_a_message_that_was_never_sent_is_found_by_the_sweeper(farm: Farm) -> None:
    start_everything(farm)

    call = insert_call(farm.sessions)  # a death between the commit and the message

    farm.wait_finished(call)
    farm.assert_complete_once(call)


def test_two_beats_and_two_sweepers_do_no_harm(farm: Farm) -> None:
    start_everything(farm)
    farm.beat()
    farm.wait_ready(farm.worker("control"))

    calls = [insert_call(farm.sessions) for _ in range(10)]

    farm.wait_finished(*calls)
    farm.assert_complete_once(*calls)
    assert all(row.attempt == 1 for call in calls for row in farm.attempts(call))


def test_a_stopping_worker_finishes_the_stage_in_hand(farm: Farm) -> None:
    start_everything(farm)
    call = farm.submit(seconds={Stage.DIARIZE: 1.0})
    wait_until(lambda: in_hand(farm, Stage.DIARIZE, call))

    farm.processes[0].terminate()

    assert farm.processes[0].wait(20) == 0
    assert farm.stage(call, Stage.DIARIZE).status is StageStatus.DONE
    assert farm.stage(call, Stage.DIARIZE).attempt == 1


def test_a_stopping_worker_hands_back_what_it_cannot_finish(farm: Farm, tmp_path: Path) -> None:
    start_everything(farm)
    call = farm.submit(seconds={Stage.DIARIZE: 8})
    wait_until(lambda: in_hand(farm, Stage.DIARIZE, call))

    farm.processes[0].terminate()
    assert farm.processes[0].wait(20) == 0
    assert farm.stage(call, Stage.DIARIZE).status is StageStatus.QUEUED
    farm.wait_ready(farm.worker("audio,diarize"))

    farm.wait_finished(call)
    farm.assert_complete_once(call)
    outcomes = [row.outcome for row in farm.attempts(call) if row.stage is Stage.DIARIZE]
    assert set(outcomes) == {"done", "handed_back"}


def test_a_worker_whose_model_is_not_loaded_takes_no_message(farm: Farm) -> None:
    farm.env["CALLYTICS_TEST_LOAD_S"] = "3"
    worker = farm.worker(EVERYTHING)
    farm.wait_ready(farm.worker("control,slm"))
    call = farm.submit()

    name = farm.wait_ready(worker)

    with farm.sessions() as session:
        beat = Heartbeats(session).get(name)
    assert beat is not None
    farm.wait_finished(call)
    first = min(row.started_at for row in farm.attempts(call))
    assert first > beat.started_at + timedelta(seconds=2)


def test_a_recycled_child_loads_again_before_it_takes_a_message(farm: Farm) -> None:
    farm.env["CALLYTICS_WORKERS__DIARIZE__RECYCLE_AFTER"] = "2"
    workers = [farm.worker("diarize"), farm.worker("audio,stt,punctuate,sentiment")]
    for worker in [*workers, farm.worker("control,slm")]:
        farm.wait_ready(worker)
    before = farm.child_of(workers[0])

    calls = [farm.submit() for _ in range(5)]

    farm.wait_finished(*calls)
    farm.assert_complete_once(*calls)
    farm.wait_ready(workers[0])
    assert farm.child_of(workers[0]) != before
