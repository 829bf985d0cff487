"""The local stack as a list of processes: read it to see what runs on one machine."""

import socket
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import httpx
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import make_engine, make_sessions, unit_of_work
from callytics.db.heartbeats import Heartbeats
from callytics.domain.stages import Queue
from callytics.embedded.process import Process
from callytics.settings import Settings

WORKERS: tuple[tuple[Queue, ...], ...] = (
    (Queue.AUDIO, Queue.CONTROL),
    (Queue.DIARIZE,),
    (Queue.STT,),
    (Queue.PUNCTUATE, Queue.SENTIMENT),
    (Queue.SLM,),
)
"""Every queue is served, by one process a line."""


def llm_engine(model: Path, *, alias: str, port: int) -> Process:
    """Serves the small chat model on the loopback."""
    options = ("--model-path", str(model), "--alias", alias, "--port", str(port))
    return Process(
        name="llm",
        command=_python("workers.engine", *options),
        ready=_answers(f"http://127.0.0.1:{port}/health"),
    )


def application(settings: Settings, servers: Collection[str]) -> list[Process]:
    """What runs on the parts named `servers`; `settings` name those already."""
    sessions = make_sessions(make_engine(settings, application="callytics-supervisor"))
    parts = [
        Process(
            name="prepare",
            command=_python("callytics.embedded.prepare"),
            needs=("postgres",),
        ),
        *(_worker(settings, queues, sessions) for queues in WORKERS),
        _api(settings),
        Process(
            name="beat",
            command=_python("beat"),
            ready=lambda _pid: True,  # it serves nobody; a crash shows as one
            needs=("prepare", "valkey"),
        ),
        _flower(settings),
    ]
    here = {"CALLYTICS_STATE_DIR": str(settings.state_dir)}
    known = {*servers, "prepare"}
    return [
        replace(part, env={**part.env, **here}, needs=tuple(n for n in part.needs if n in known))
        for part in parts
    ]


def _worker(
    settings: Settings, queues: tuple[Queue, ...], sessions: sessionmaker[Session]
) -> Process:
    # A chat worker that starts before its server would wait for its first retry.
    server = ("llm",) if Queue.SLM in queues else ()
    return Process(
        name=f"worker-{'-'.join(queues)}",
        command=_python("workers", "--queues", ",".join(queues)),
        ready=_says_ready(queues, sessions),
        needs=("prepare", "valkey", *server),
        stop_timeout_s=settings.pipeline.stop_grace_s + 10,
    )


def _api(settings: Settings) -> Process:
    host, port = settings.api.host, settings.api.port
    return Process(
        name="api",
        command=_python(
            "uvicorn",
            "api.app:create_app",
            "--factory",
            f"--host={host}",
            f"--port={port}",
            "--timeout-graceful-shutdown=5",  # clients that follow events would hold it open
        ),
        ready=_answers(f"http://127.0.0.1:{port}/health/live"),
        needs=("prepare", "valkey"),
    )


def _flower(settings: Settings) -> Process:
    flower = settings.flower
    auth = {"FLOWER_BASIC_AUTH": flower.basic_auth.get_secret_value()} if flower.basic_auth else {}
    options = (f"--address={flower.host}", f"--port={flower.port}")
    return Process(
        name="flower",
        command=_python("celery", "-A", "callytics.queueing.app:app", "flower", *options),
        env=auth,  # not on the command line, which every user of the machine can read
        ready=_answers(f"http://127.0.0.1:{flower.port}/healthcheck"),
        needs=("valkey",),
    )


def _python(module: str, *options: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *options)


def _answers(url: str) -> Callable[[int], bool]:
    def ask(_pid: int) -> bool:
        return httpx.get(url, timeout=2, trust_env=False).status_code == httpx.codes.OK

    return ask


def _says_ready(
    queues: tuple[Queue, ...], sessions: sessionmaker[Session]
) -> Callable[[int], bool]:
    """By its heartbeat row, as everybody judges a worker; the row names the very process."""

    def ask(pid: int) -> bool:
        name = f"{'+'.join(queues)}-{pid}@{socket.gethostname()}"
        with unit_of_work(sessions, durable=False) as session:
            return any(
                row.worker == name and row.state == "ready" for row in Heartbeats(session).fresh()
            )

    return ask
