"""`callytics api|worker|beat|flower`: one command name runs every part; each becomes its own program."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, NoReturn

import typer

from callytics.cli import local
from callytics.domain.routes import Lane
from callytics.domain.stages import Queue

QUEUES = ", ".join(Queue)


def api() -> None:
    """Run the HTTP API in the foreground."""
    from callytics.embedded.parts import api as part

    process = part(local.settings())
    become(process.command, process.env)


def worker(
    queues: Annotated[
        str,
        typer.Option(
            "--queues",
            "-q",
            metavar="NAME,...",
            help=f"Queues to serve: {QUEUES}; stt.v2 for a variant of its model.",
        ),
    ],
) -> None:
    """Run one worker: it loads its models, warms them up, then takes work."""
    for name in queues.split(","):
        try:
            Lane.parse(name)
        except ValueError as error:
            raise typer.BadParameter(f"{error}.") from error
    become([sys.executable, "-m", "workers", "--queues", queues])


def beat() -> None:
    """Run the clock that starts the sweeper and the tidying up."""
    become([sys.executable, "-m", "beat"])


def flower() -> None:
    """Run Flower, the view on Celery's workers."""
    from callytics.embedded.parts import flower as part

    process = part(local.settings())
    become(process.command, process.env)


def become(command: Sequence[str], variables: Mapping[str, str] | None = None) -> NoReturn:
    """Replace this process by `command`, so that signals and exit codes are that program's own."""
    os.execve(command[0], list(command), {**os.environ, **(variables or {})})  # noqa: S606
