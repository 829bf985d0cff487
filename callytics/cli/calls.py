"""`callytics calls`: what became of recordings."""

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

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
    all_clients: Annotated[
        bool,
        typer.Option("--all-clients", help="Every client's, by the database: for operators."),
    ] = False,
    as_json: Json = False,
    api_url: ApiUrl = None,
    client: AsClient = None,
) -> None:
    """Show calls, newest first."""
    from callytics.cli.api import connect

    filters: dict[str, Any] = {
        "status": status,
        "consultation_id": consultation_id,
        "created_after": created_after,
        "created_before": created_before,
    }
    if all_clients:
        if client is not None or api_url is not None:
            raise typer.BadParameter(
                "reads every client's rows: it goes with neither --client nor --api-url",
                param_hint="--all-clients",
            )
        page = _page_of_all_clients(filters, after=after, limit=limit)
    else:
        with connect(api_url, client) as api:
            page = api.calls(**filters, limit=limit, after=after)
    if as_json:
        print_json(page)
        return
    _print_calls(page["data"], with_client=all_clients)
    if not page["data"]:
        whose = "" if all_clients else f" of client {client or local.settings().client.name}"
        say(f"No such calls{whose}.", "dim")
    if page["has_more"]:
        say(f"There are more: --after {page['last_id']}", "dim")


def _page_of_all_clients(
    filters: Mapping[str, Any], *, after: str | None, limit: int
) -> dict[str, Any]:
    """As the API gives a client's, with `client_id`."""
    from callytics.cli import views
    from callytics.db.calls import CallFilter, Calls
    from callytics.db.engine import unit_of_work

    times = {
        name: _moment(filters[name], name.replace("_", "-"))
        for name in ("created_after", "created_before")
    }
    last = _id(after) if after is not None else None
    with local.sessions() as sessions, unit_of_work(sessions) as session:
        wanted = CallFilter(**{**filters, **times})
        found = Calls(session).page_of_all(wanted, after=last, limit=limit + 1)
        shown = views.calls(session, found[:limit])
    return views.page(shown, "call_id", has_more=len(found) > limit)


def _moment(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    with suppress(ValueError):
        if (found := datetime.fromisoformat(text)).tzinfo is not None:
            return found
    raise typer.BadParameter("is written 2025-09-13T00:00:00+09:00", param_hint=f"--{option}")


def _id(text: str) -> UUID:
    from callytics.errors import CallNotFoundError

    try:
        return UUID(text)
    except ValueError as error:
        raise CallNotFoundError from error


def _print_calls(calls: Iterable[Mapping[str, Any]], *, with_client: bool) -> None:
    print_table(
        ("call", *["client"] * with_client, "status", "submitted", "length", "consultation"),
        (
            (
                call["call_id"],
                *[call.get("client_id")] * with_client,
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
