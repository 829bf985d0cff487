"""`callytics endpoints`: callback addresses and how they have been doing, across all clients."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from callytics.cli import local
from callytics.cli.console import colored, print_json, print_table, say
from callytics.cli.options import Json, OfClient
from callytics.cli.report import when

if TYPE_CHECKING:
    from rich.text import Text
    from sqlalchemy.orm import Session

    from callytics.db.models import Endpoint

app = typer.Typer(no_args_is_help=True)

View = Mapping[str, Any]


@app.command("list")
def list_(*, client: OfClient = None, as_json: Json = False) -> None:
    """Show callback addresses: which are well, which keep failing, are paused or switched off."""
    from callytics.db.endpoints import Endpoints
    from callytics.db.engine import unit_of_work

    with local.sessions() as sessions, unit_of_work(sessions) as session:
        owner = local.client_id(session, client)
        repository = Endpoints(session)
        found = repository.all() if owner is None else repository.of_client(owner)
        shown = _views(session, found)
    if as_json:
        print_json({"object": "list", "data": shown})
        return
    _print_endpoints(shown)
    if not shown:
        say("Nobody has asked to be called back.", "dim")


@app.command()
def resume(
    endpoint: Annotated[UUID, typer.Argument(metavar="ID", help="As `endpoints list` shows it.")],
    *,
    as_json: Json = False,
) -> None:
    """Call an address again that is paused or switched off.

    What waits for it goes now; what was given up is sent by `deliveries replay`.
    """
    from callytics.cli.broker import make_tell
    from callytics.db.engine import unit_of_work
    from callytics.services import endpoints

    settings = local.settings()
    with local.sessions() as sessions:
        with unit_of_work(sessions) as session:
            found, hints = endpoints.resume(
                session, endpoint, at_once=settings.callbacks.concurrency_per_endpoint
            )
            [shown] = _views(session, [found])
        make_tell(settings)(hints)
    if as_json:
        print_json(shown)
    else:
        _print_endpoints([shown])


def _views(session: "Session", found: Sequence["Endpoint"]) -> list[dict[str, Any]]:
    from callytics.cli import views
    from callytics.db.batches import Batches

    clients = Batches(session).client_names([endpoint.client_id for endpoint in found])
    return [views.endpoint(endpoint, clients) for endpoint in found]


def _print_endpoints(endpoints: Sequence[View]) -> None:
    print_table(
        ("endpoint", "client", "state", "last success", "last failure", "address"),
        (
            (
                one["endpoint_id"],
                one["client_id"],
                _state(one),
                _when(one["last_success_at"]),
                _when(one["last_failure_at"]),
                one["url"],
            )
            for one in endpoints
        ),
    )


def _state(endpoint: View) -> "Text":
    if endpoint["disabled_at"]:
        return colored(f"off: {endpoint['disabled_reason']}", "red")
    paused = endpoint["paused_until"]
    if paused and datetime.fromisoformat(paused) > datetime.now(UTC):
        return colored(f"paused until {when(paused)}, {endpoint['failures']} failed", "yellow")
    if endpoint["failures"]:
        return colored(f"failing, {endpoint['failures']} in a row", "yellow")
    return colored("ok", "green")


def _when(time: str | None) -> str:
    return when(time) if time else ""
