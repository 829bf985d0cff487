import json
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.heartbeats import Heartbeats
from callytics.db.models import Job
from callytics.domain.stages import Queue, Stage
from callytics.queueing.app import make_celery
from callytics.queueing.dispatch import make_send
from callytics.settings import Settings
from tests.integration.cli.conftest import Run
from tests.support.batches import BatchDesk, insert_client
from tests.support.calls import insert_call
from tests.support.pipeline import Pipeline

CLI = (sys.executable, "-m", "callytics.cli")
GONE = "redis://127.0.0.1:9/0"


def look(run: Run, **variables: str) -> dict[str, Any]:
    result = run("queues", "--json", **variables)
    assert result.exit_code == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return {"broker": document["broker"], **{one["queue"]: one for one in document["queues"]}}


def test_every_queue_is_there_and_quiet(run: Run) -> None:
    found = look(run)
    assert found.keys() == {"broker", *Queue}
    assert found["mlm"] == {
        "queue": "mlm",
        "waiting": 0,
        "running": 0,
        "oldest_waiting_s": None,
        "workers": 0,
        "workers_ready": 0,
        "items_per_minute": 0.0,
        "messages": 0,
    }


def test_what_waits_in_rows_and_in_the_broker(
    run: Run, sessions: sessionmaker[Session], settings: Settings
) -> None:
    desk = BatchDesk(sessions, settings, insert_client(sessions))
    desk.submit(20)
    make_send(make_celery(settings))(desk.sent[:15])
    with unit_of_work(sessions) as session:
        session.execute(update(Job).values(queued_at=Job.queued_at - timedelta(minutes=3)))
    found = look(run)
    assert found["broker"] == "up"
    assert (found["mlm"]["waiting"], found["mlm"]["messages"]) == (20, 15)
    assert 180 <= found["mlm"]["oldest_waiting_s"] < 240
    shown = run("queues").stdout.splitlines()
    assert shown[0].split() == [
        *("queue", "waiting", "running", "oldest", "workers", "a", "minute", "messages")
    ]
    assert any(line.split()[:5] == ["mlm", "20", "0", "3", "min"] for line in shown)


def test_items_a_minute_are_those_of_the_last_five(
    run: Run, sessions: sessionmaker[Session], settings: Settings, pipeline: Pipeline
) -> None:
    desk = BatchDesk(sessions, settings, insert_client(sessions))
    desk.submit(20)
    desk.run()
    call_id = insert_call(sessions)
    for stage in Stage:
        pipeline.run_stage(stage, call_id)
    found = look(run)
    assert found["mlm"]["items_per_minute"] == 4.0
    assert found["stt"]["items_per_minute"] == 0.2
    assert found["audio"]["items_per_minute"] == 0.4
    with unit_of_work(sessions) as session:
        session.execute(update(Job).values(finished_at=Job.finished_at - timedelta(minutes=5)))
    assert look(run)["mlm"]["items_per_minute"] == 0


def test_workers_that_live_and_those_that_are_ready(
    run: Run, sessions: sessionmaker[Session]
) -> None:
    with unit_of_work(sessions) as session:
        for name, state in (("a", "ready"), ("b", "loading"), ("c", "stopped")):
            Heartbeats(session).beat(
                name, queues=["mlm"], state=state, pid=1, device="cpu", models={}
            )
    found = look(run)
    assert (found["mlm"]["workers"], found["mlm"]["workers_ready"]) == (2, 1)
    assert "1 of 2 ready" in run("queues").stdout


def test_a_broker_that_is_away_leaves_its_messages_unknown(run: Run) -> None:
    found = look(run, REDIS_URL=GONE)
    assert (found["broker"], found["mlm"]["messages"]) == ("away", None)
    shown = run("queues").stdout
    assert "unknown" in shown
    assert "The broker does not answer." in shown


def test_a_database_that_is_away_ends_with_6(run: Run) -> None:
    gone = "postgresql+psycopg://u:p@127.0.0.1:9/x"
    assert run("queues", DATABASE_URL=gone).exit_code == 6


def test_watching_gives_a_line_each_time_until_ctrl_c_which_is_no_failure(
    environment: dict[str, str],
) -> None:
    with subprocess.Popen(
        [*CLI, "queues", "--watch", "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for _ in range(2):
            assert json.loads(process.stdout.readline())["broker"] == "up"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
