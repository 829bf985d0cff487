"""`callytics submit`: hands recordings in, and waits for what comes of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli.console import print_json, print_plain, say, stderr
from callytics.cli.options import ApiUrl, AsClient, Json
from callytics.cli.problems import EPILOG, CommandError, ExitCode
from callytics.domain.job import JobStatus, Priority
from callytics.domain.stages import Stage
from callytics.domain.transcript import Role

if TYPE_CHECKING:
    from rich.progress import Progress

    from callytics.cli.api import Api


def submit(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...", exists=True, dir_okay=False, readable=True, help="Recordings."
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Instead of a file: an address the server fetches.")
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Instead of a file: a path that the server can read.")
    ] = None,
    consultation_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Your own name for the consultation.")
    ] = None,
    priority: Annotated[Priority, typer.Option(help="What goes first.")] = Priority.NORMAL,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="ISO 639-1. [default: found by the model]")
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE=N,...", help="Who is on which channel: agent=0,customer=1."
        ),
    ] = None,
    stages: Annotated[
        str | None,
        typer.Option(metavar="STAGE,...", help=f"Only these: {', '.join(Stage)}. [default: all]"),
    ] = None,
    hotwords: Annotated[
        str | None, typer.Option(metavar="WORD,...", help="Names and terms to listen for.")
    ] = None,
    metadata: Annotated[
        str | None, typer.Option(metavar="JSON", help="An object that is kept with the call.")
    ] = None,
    callback_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the server reports the end.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The same key with the same recording makes one call."),
    ] = None,
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the calls have ended, and show the results.")
    ] = False,
    as_json: Json = False,
    api_url: ApiUrl = None,
    client: AsClient = None,
) -> None:
    """Submit recordings.

    With --json one line of JSON is printed for each, in the order given: what the server answered, or
    with --wait the call's result.
    """
