"""`callytics worker|beat|flower`: one command name runs every part; each becomes its own program."""

import os
import sys
from typing import Annotated, NoReturn

import typer

from callytics.domain.stages import Queue

QUEUES = ", ".join(Queue)


def worker(
    queues: Annotated[
        str,
        typer.Option("--queues", "-q", metavar="NAME[,NAME]", help=f"Queues to serve: {QUEUES}."),
    ],
) -> None:
    """Run one worker: it loads its models, warms them up, then takes work."""
    become("-m", "workers", "--queues", queues)


def beat() -> None:
    """Run the clock that starts the sweeper and the tidying up."""
    become("-m", "beat")


def become(*arguments: str) -> NoReturn:
    """Replace this process by Python with `arguments`, so that signals and exit codes are its own."""
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606
