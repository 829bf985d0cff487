"""What the machinery costs: `python -m bench.orchestration [--runs 60]`.

One real PostgreSQL (durable), one real Valkey, real worker processes whose stages do nothing.
- six no-op stages (claim, compute, record, hint) against a bare Celery chain of six no-op tasks with the
  same broker settings, one worker with one child each, run in turns;
- the time from a stage's record to the next stage's claim, with one worker a queue.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from bench.bare_celery import DONE, make_app, one_chain
from callytics.db.models import Call
from callytics.domain.stages import Stage, plan
from callytics.queueing.app import make_celery
from callytics.queueing.dispatch import make_send
from callytics.services.stage import hint_for
from callytics.settings import Settings
from tests.support.calls import insert_call
from tests.support.stack import servers, spawn, wait_ready
from tests.support.waiting import wait_until

SIX = plan([Stage.SENTIMENT])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    runs = parser.parse_args().runs
    with (
        tempfile.TemporaryDirectory() as directory,
        servers(Path(directory)) as (settings, sessions),
    ):
        with ExitStack() as stack:
            worker = stack.enter_context(
                spawn("tests.support.worker", "audio,diarize,stt,punctuate,sentiment")
            )
            stack.enter_context(spawn("bench.bare_celery"))
            wait_ready(sessions, worker)
            compare(settings, sessions, runs)
        with ExitStack() as stack:
            names = ("audio", "diarize", "stt", "punctuate,sentiment", "slm,control")
            for name in names:
                wait_ready(sessions, stack.enter_context(spawn("tests.support.worker", name)))
            hops(settings, sessions, runs)


def compare(settings: Settings, sessions: sessionmaker[Session], runs: int) -> None:
    bare_app = make_app()
    send = make_send(make_celery(settings))
    ours: list[float] = []
    bare: list[float] = []
    for number in range(runs + 10):
        bare.append(_bare(bare_app, settings, str(number)))
        ours.append(_ours(send, sessions))
    ours, bare = ours[10:], bare[10:]
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    print(f"six no-op stages       {spread(ours)}")
    print(f"bare chain of six      {spread(bare)}")
    print(f"ratio of the medians   {statistics.median(ours) / statistics.median(bare):.2f}")
    print(f"ratio, pair by pair    {spread(ratios, unit='')}")


def _bare(app: Any, settings: Settings, run: str) -> float:
    assert settings.redis_url
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        started = time.time()
        one_chain(app, run)
        answer = client.blpop([DONE], timeout=20)
    assert answer
    name, _, ended = answer[1].decode().partition(" ")
    assert name == run
    return (float(ended) - started) * 1000


def _ours(send: Any, sessions: sessionmaker[Session]) -> float:
    call_id = insert_call(sessions, SIX)
    with sessions() as session:
        hint = hint_for(session.get_one(Call, call_id), Stage.PREPROCESS)
    started = time.time()
    send([hint])
    with sessions() as session:

        def ended() -> float | None:
            session.rollback()
            found = session.get_one(Call, call_id, populate_existing=True).completed_at
            return found.timestamp() if found else None

        return float((wait_until(ended, every_s=0.3) - started) * 1000)


def hops(settings: Settings, sessions: sessionmaker[Session], runs: int) -> None:
    send = make_send(make_celery(settings))
    calls = []
    for _ in range(runs):
        call_id = insert_call(sessions)
        with sessions() as session:
            send([hint_for(session.get_one(Call, call_id), Stage.PREPROCESS)])
        with sessions() as session:
            wait_until(partial(_is_over, session, call_id), every_s=0.02)
        calls.append(call_id)
    with sessions() as session:
        rows = session.execute(
            text("""
                SELECT extract(epoch FROM started_at - queued_at) * 1000 AS wait_ms FROM stage_runs
                WHERE call_id = ANY(:calls) AND stage <> 'preprocess'
            """),
            {"calls": calls[5:]},
        )
        print(f"record to next claim   {spread([float(row.wait_ms) for row in rows])}")


def _is_over(session: Session, call_id: Any) -> bool:
    session.rollback()
    return session.get_one(Call, call_id, populate_existing=True).completed_at is not None


def spread(values: Sequence[float], unit: str = " ms") -> str:
    ordered = sorted(values)
    p5, p95 = ordered[int(len(ordered) * 0.05)], ordered[int(len(ordered) * 0.95)]
    return f"median {statistics.median(ordered):.2f}{unit}  p5 {p5:.2f}  p95 {p95:.2f}  n {len(ordered)}"


if __name__ == "__main__":
    main()
