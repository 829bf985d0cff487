"""The local stack as a list of processes: read it to see what runs on one machine."""

import socket
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import httpx
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import make_engine, make_sessions, unit_of_work
from callytics.db.heartbeats import Heartbeats
from callytics.domain.routes import Lane
from callytics.domain.stages import Queue
from callytics.embedded.process import Process
from callytics.settings import Settings

WORKERS: tuple[tuple[Queue, ...], ...] = (
    (Queue.AUDIO,),
    (Queue.CONTROL,),
    (Queue.DIARIZE,),
    (Queue.STT,),
    (Queue.PUNCTUATE, Queue.SENTIMENT),
    (Queue.SLM,),
    (Queue.MLM,),
    (Queue.CALLBACK, Queue.DIAGNOSIS),
)
"""Every queue is served, by one process a line."""

PATIENT = frozenset({Queue.DIARIZE, Queue.STT})
"""Queues of long work. What a person waits for, the summary above all, goes first on the same cores:
before the other workers too, and these before what takes minutes."""

SLM_ENGINE, MLM_ENGINE = "llm", "mlm"
ENGINE_OF: Mapping[Queue, str] = {
    Queue.SLM: SLM_ENGINE,
    Queue.MLM: MLM_ENGINE,
    Queue.DIAGNOSIS: MLM_ENGINE,
}


def llm_engine(
    model: Path, *, alias: str, port: int, name: str = SLM_ENGINE, slots: int = 1
) -> Process:
    """Serves a chat model on the loopback, `slots` requests at once."""
    options = ("--model-path", str(model), "--alias", alias, "--port", str(port))
    return Process(
        name=name,
        command=_python("workers.engine", *options, "--slots", str(slots)),
        ready=_answers(f"http://127.0.0.1:{port}/health"),
        # Batches have time: they get what is left of the cores.
        nice=19 if name == MLM_ENGINE else 0,
    )


def application(settings: Settings, servers: Collection[str]) -> list[Process]:
    """What runs on the parts named `servers`; `settings` name those already."""
    sessions = make_sessions(make_engine(settings, application="callytics-supervisor"))
    parts = [
        Process(
            name="migrate",
            command=_python("callytics.cli", "db", "upgrade"),
            needs=("postgres",),
        ),
        *(_worker(settings, lanes, sessions) for lanes in worker_lanes(settings)),
        api(settings),
        Process(
            name="beat",
            command=_python("beat"),
            ready=lambda _pid: True,  # it serves nobody; a crash shows as one
            needs=("migrate", "valkey"),
        ),
        flower(settings),
    ]
    here = {"CALLYTICS_STATE_DIR": str(settings.state_dir)}
    known = {*servers, "migrate"}
    return [
        replace(part, env={**part.env, **here}, needs=tuple(n for n in part.needs if n in known))
        for part in parts
    ]


def worker_lanes(settings: Settings) -> list[tuple[Lane, ...]]:
    """What each worker serves: WORKERS, and one for each variant that the settings name."""
    first = [tuple(map(Lane, queues)) for queues in WORKERS]
    return [*first, *((lane,) for lane in settings.models.lanes)]


def _worker(
    settings: Settings, lanes: tuple[Lane, ...], sessions: sessionmaker[Session]
) -> Process:
    queues, names = tuple(lane.queue for lane in lanes), [str(lane) for lane in lanes]
    # A chat worker that starts before its server would wait for its first retry.
    server = tuple(ENGINE_OF[queue] for queue in queues if queue in ENGINE_OF)
    return Process(
        name=f"worker-{'-'.join(names)}",
        command=_python("workers", "--queues", ",".join(names)),
        ready=_says_ready(sessions),
        needs=("migrate", "valkey", *server),
        stop_timeout_s=settings.pipeline.stop_grace_s + 10,
        nice=_nice(queues),
    )


def _nice(queues: tuple[Queue, ...]) -> int:
    if Queue.SLM in queues:
        return 0
    return 10 if PATIENT.issuperset(queues) else 5


def api(settings: Settings) -> Process:
    return Process(
        name="api",
        command=_python("api"),
        ready=_answers(f"http://127.0.0.1:{settings.api.port}/health/live"),
        needs=("migrate", "valkey"),
    )


def flower(settings: Settings) -> Process:
    where, auth = settings.flower, settings.flower.basic_auth
    options = (f"--address={where.host}", f"--port={where.port}")
    return Process(
        name="flower",
        command=_python("celery", "-A", "callytics.queueing.app:app", "flower", *options),
        # Not on the command line, which every user of the machine can read.
        env={"FLOWER_BASIC_AUTH": auth.get_secret_value()} if auth else {},
        ready=_answers(f"http://127.0.0.1:{where.port}/healthcheck"),
        needs=("valkey",),
    )


def _python(module: str, *options: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *options)


def _answers(url: str) -> Callable[[int], bool]:
    def ask(_pid: int) -> bool:
        return _client().get(url).status_code == httpx.codes.OK

    return ask


@cache
def _client() -> httpx.Client:
    return httpx.Client(timeout=2, trust_env=False)


def _says_ready(sessions: sessionmaker[Session]) -> Callable[[int], bool]:
    """By its heartbeat row, as everybody judges a worker; the row names the very process."""

    def ask(pid: int) -> bool:
        own_name = f"-{pid}@{socket.gethostname()}"
        with unit_of_work(sessions, durable=False) as session:
            rows = Heartbeats(session).fresh()
            return any(row.worker.endswith(own_name) and row.state == "ready" for row in rows)

    return ask
