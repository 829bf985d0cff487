"""`callytics health`: whether a process of this machine does its work, for who waits for it."""

import socket
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from callytics.cli import local
from callytics.cli.console import print_json, print_plain, say
from callytics.cli.options import Json
from callytics.cli.problems import CommandError, ExitCode

if TYPE_CHECKING:
    from callytics.db.models import WorkerHeartbeat

TIMEOUT_S = 5
BEAT_IS_LATE_AFTER_S = 30.0
"""At least; a slower timetable has three of its rounds."""


class Part(StrEnum):
    API = "api"
    WORKER = "worker"
    BEAT = "beat"
    FLOWER = "flower"


def health(
    part: Annotated[Part, typer.Argument(help="Which process.")],
    queues: Annotated[
        str | None,
        typer.Option(
            "--queues",
            "-q",
            metavar="NAME,...",
            help="Of a worker: the one of these queues, where several run here.",
        ),
    ] = None,
    *,
    alive: Annotated[
        bool,
        typer.Option(
            "--alive", help="Of a worker: whether it says anything, be its models loaded or not."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask whether a process of this machine does its work; exit 1 and the reason if it does not.

    api: it answers and reaches PostgreSQL and Redis. worker: every model of it is loaded and warm. beat: the
    broker took a message of it lately. flower: it answers. Made for the health checks of containers.

    A worker tries by itself to load a model that does not load: whoever would restart it asks with --alive,
    and lets it be while the database does not answer or lacks tables, for which it waits (exit 6).
    """
    ask: Mapping[Part, Callable[[], str | None]] = {
        Part.API: _api,
        Part.WORKER: lambda: _worker(queues, alive=alive),
        Part.BEAT: _beat,
        Part.FLOWER: _flower,
    }
    problem = ask[part]()
    if as_json:
        print_json({"part": part, "ready": problem is None, "problem": problem}, indent=None)
    elif problem is None:
        print_plain("alive" if alive else "ready")
    else:
        say(problem, "red")
    if problem is not None:
        raise typer.Exit(ExitCode.FAILED)


def _api() -> str | None:
    settings = local.settings()
    return _answers(f"http://{_near(settings.api.host)}:{settings.api.port}/health/ready")


def _flower() -> str | None:
    settings = local.settings()
    return _answers(f"http://{_near(settings.flower.host)}:{settings.flower.port}/healthcheck")


def _near(host: str) -> str:
    """Where a process that listens on `host` is reached from its own machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 (nothing binds here)


def _answers(url: str) -> str | None:
    import httpx

    try:
        answer = httpx.get(url, timeout=TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        return f"{url} does not answer ({type(error).__name__})."
    if answer.is_success:
        return None
    is_problem = "problem+json" in answer.headers.get("content-type", "")
    reason = answer.json().get("detail", "") if is_problem else ""
    return f"{url} answers {answer.status_code}. {reason}".rstrip()


def _worker(queues: str | None, *, alive: bool) -> str | None:
    from callytics.db import schema_version
    from callytics.db.engine import unit_of_work
    from callytics.db.heartbeats import FRESH_FOR, Heartbeats

    wanted = {name.strip() for name in queues.split(",")} if queues else None
    with local.sessions() as sessions, unit_of_work(sessions, durable=False) as session:
        if alive and (lack := schema_version.lack(session)):
            raise CommandError(lack, ExitCode.UNREACHABLE)
        heartbeats = Heartbeats(session)
        ages = heartbeats.ages()
        here = [
            row
            for row in heartbeats.fresh()
            if _written_here(row, ages.get(row.worker, 0.0)) and wanted in (None, set(row.queues))
        ]
    if not here:
        whose = f"of {queues} " if queues else ""
        return (
            f"No worker {whose}on {socket.gethostname()} has written a heartbeat in the last "
            f"{FRESH_FOR.total_seconds():.0f} s: it starts, it is gone, or its database is away."
        )
    if alive:
        return None
    return "; ".join(_told(row) for row in here if row.state != "ready") or None


def _written_here(row: "WorkerHeartbeat", age_s: float) -> bool:
    """Whether a process that runs on this machine wrote it.

    A container that was restarted has the name and the process ids that it had before: what is older than the
    process was said by the one before.
    """
    from callytics.embedded.process import uptime_s

    if not row.worker.endswith(f"@{socket.gethostname()}"):
        return False
    uptime = uptime_s(row.pid)
    return uptime is not None and age_s <= uptime


def _told(row: "WorkerHeartbeat") -> str:
    lacking = [
        f"{name} {said.get('status')}"
        for name, said in row.models.items()
        if said.get("status") != "ready"
    ]
    return f"{row.worker} is {row.state} ({', '.join(lacking)})"


def _beat() -> str | None:
    settings = local.settings()
    late_after_s = max(BEAT_IS_LATE_AFTER_S, 3 * settings.pipeline.sweep_every_s)
    age_s = _age_s(settings.beat_file)
    if age_s is None:
        return f"Beat has sent nothing yet, or cannot write {settings.beat_file}."
    return f"Beat sent its last message {age_s:.0f} s ago." if age_s > late_after_s else None


def _age_s(path: Path) -> float | None:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
