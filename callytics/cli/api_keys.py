"""`callytics api-keys`: keys for the text services, for clients that cannot sign. They need the database."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import colored, print_json, print_plain, print_table, say
from callytics.cli.options import Json
from callytics.cli.report import when

app = typer.Typer(no_args_is_help=True)

Client = Annotated[str, typer.Argument(metavar="CLIENT", help="The client that it stands for.")]


@app.command()
def create(
    client: Client,
    name: Annotated[
        str, typer.Option(metavar="TEXT", help="What it is for, to know it again.")
    ] = "",
    days: Annotated[
        float | None, typer.Option(min=0, help="Days that it is good for. (default: for ever)")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Make an API key that stands for a client, and print it; it is shown this once."""
    from callytics.db.engine import unit_of_work
    from callytics.services import api_keys

    good_for = timedelta(days=days) if days is not None else None
    with local.sessions() as sessions, unit_of_work(sessions) as session:
        key = api_keys.create(session, client=client, name=name, good_for=good_for)
    if as_json:
        print_json({"client_id": client, "api_key": key})
        return
    print_plain(key)
    say(f"This is an API key of {client}, for the header X-API-Key. It is not shown again.", "dim")


@app.command("list")
def list_(client: Client, *, as_json: Json = False) -> None:
    """Show a client's API keys by how they begin."""
    from callytics.db.engine import unit_of_work
    from callytics.services import api_keys

    with local.sessions() as sessions, unit_of_work(sessions) as session:
        found: list[dict[str, Any]] = [
            {
                "begins": key.hint,
                "name": key.name,
                "created_at": key.created_at.isoformat(),
                "expires_at": key.expires_at.isoformat() if key.expires_at else None,
                "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
            }
            for key in api_keys.every(session, client=client)
        ]
    if as_json:
        print_json(found)
        return
    print_table(
        ("begins", "name", "created", "expires", "revoked"),
        (
            (
                key["begins"],
                key["name"],
                when(key["created_at"]),
                when(key["expires_at"]) if key["expires_at"] else "never",
                colored(when(key["revoked_at"]), "red") if key["revoked_at"] else "",
            )
            for key in found
        ),
    )


@app.command()
def revoke(
    client: Client,
    begins: Annotated[str, typer.Argument(metavar="BEGINS", help="How the key begins.")],
) -> None:
    """Refuse a client's API key from now on."""
    from callytics.db.engine import unit_of_work
    from callytics.services import api_keys

    with local.sessions() as sessions, unit_of_work(sessions) as session:
        api_keys.revoke(session, client=client, hint=begins)
    say(f"The key of {client} that begins with {begins} is refused from now on.")
