"""`callytics calls`: what became of recordings."""

import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import colored, print_json, print_table, say
from callytics.cli.options import ApiUrl, AsClient, Json, Yes
from callytics.cli.problems import CommandError
from callytics.cli.report import STATUS_STYLES, clock, print_report, when
from callytics.domain.job import JobStatus
from callytics.domain.stages import Stage

app = typer.Typer(no_args_is_help=True)

CallId = Annotated[str, typer.Argument(metavar="CALL_ID", help="The call's id.")]


class TranscriptFormat(StrEnum):
    JSON = "json"
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    CSV = "csv"


@app.command("list")
def list_(
    *,
    status: Annotated[JobStatus | None, typer.Option(help="Only calls in this state.")] = None,
    consultation_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Only calls of this consultation.")
    ] = None,
    created_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only later ones: 2025-09-13T00:00:00+09:00.")
    ] = None,
    created_before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only earlier ones.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Calls on the page.")] = 20,
    after: Annotated[
        str | None, typer.Option(metavar="CALL_ID", help="Begin behind this call (`last_id`).")
    ] = None,
    as_json: Json = False,
    api_url: ApiUrl = None,
    client: AsClient = None,
) -> None:
    """Show calls, newest first."""
    from callytics.cli.api import connect

    with connect(api_url, client) as api:
        page = api.calls(
            status=status,
            consultation_id=consultation_id,
            created_after=created_after,
            created_before=created_before,
            limit=limit,
            after=after,
        )
    if as_json:
        print_json(page)
        return
    _print_calls(page["data"])
    if not page["data"]:
        say(f"No such calls of client {client or local.settings().client.name}.", "dim")
    if page["has_more"]:
        say(f"There are more: --after {page['last_id']}", "dim")


def _print_calls(calls: Iterable[Mapping[str, Any]]) -> None:
    print_table(
        ("call", "status", "submitted", "length", "consultation"),
        (
            (
                call["call_id"],
                colored(call["status"], STATUS_STYLES.get(call["status"], "")),
                when(call["created_at"]),
                clock(call.get("duration_s")),
                call.get("consultation_id"),
            )
            for call in calls
        ),
    )


@app.command()
def show(
    call_id: CallId,
    words: Annotated[bool, typer.Option("--words", help="With each word's time (JSON).")] = False,
    *,
    as_json: Json = False,
    api_url: ApiUrl = None,
    client: AsClient = None,
) -> None:
    """Show one call: transcript, sentiment and its words, metrics, communication, summary, stages."""
    from callytics.cli.api import connect

    with connect(api_url, client) as api:
        call = api.call(call_id, words=words)
    if as_json:
        print_json(call)
    else:
        print_report(call)


@app.command()
def rerun(
    call_id: CallId,
    stage: Annotated[
        Stage, typer.Option("--from", help="Stage to begin at; all that rests on it follows.")
    ],
    *,
    as_json: Json = False,
    api_url: ApiUrl = None,
    client: AsClient = None,
) -> None:
    """Run a call again from one stage on."""
    from callytics.cli.api import connect

    with connect(api_url, client) as api:
        answer = api.rerun(call_id, stage)
    _acknowledge(answer, f"{call_id} runs again from {stage}.", as_json=as_json)


@app.command()
def cancel(
    call_id: CallId, *, as_json: Json = False, api_url: ApiUrl = None, client: AsClient = None
) -> None:
    """Stop a call; what is done stays."""
    from callytics.cli.api import connect

    with connect(api_url, client) as api:
        answer = api.cancel(call_id)
    _acknowledge(answer, f"{call_id} is cancelled.", as_json=as_json)


@app.command()
def delete(
    call_id: CallId, *, yes: Yes = False, api_url: ApiUrl = None, client: AsClient = None
) -> None:
    """Delete a call with its results and its audio."""
    from callytics.cli.api import connect

    if not yes:
        typer.confirm(f"Delete {call_id} with its audio?", abort=True, err=True)
    with connect(api_url, client) as api:
        api.delete(call_id)
    say(f"{call_id} is deleted.")


@app.command()
def export(
    call_id: CallId,
    form: Annotated[
        TranscriptFormat, typer.Option("--format", "-f", help="Format of the transcript.")
    ] = TranscriptFormat.TXT,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write. (default: stdout)"),
    ] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    api_url: ApiUrl = None,
    client: AsClient = None,
) -> None:
    """Write a call's transcript."""
    from callytics.cli.api import connect

    if output is not None and output.exists() and not force:
        raise CommandError(f"{output} exists: give --force to replace it.")
    with connect(api_url, client) as api:
        content = api.transcript(call_id, form)
    if output is None:
        sys.stdout.buffer.write(content)
    else:
        output.write_bytes(content)
        say(f"Wrote {output}.")


def _acknowledge(answer: Any, message: str, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        say(message)
