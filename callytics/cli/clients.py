"""`callytics clients` and `callytics bound-key`: who may call the API. They need the database."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import colored, print_json, print_plain, print_table, say
from callytics.cli.options import Json
from callytics.cli.report import when
from callytics.domain.scopes import Scope

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="ID", help="The client's id.")]


@app.command()
def create(
    name: Name,
    scopes: Annotated[
        list[Scope] | None,
        typer.Option("--scope", help="What it may do; may be repeated. (default: everything)"),
    ] = None,
    rate_limit: Annotated[
        int | None, typer.Option(min=1, help="Requests a minute. (default: the server's setting)")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Make a client and print its secret, which is shown this once."""
    from callytics.db.engine import unit_of_work
    from callytics.services import keys

    cipher = keys.make_cipher(local.settings())
    with local.sessions() as sessions, unit_of_work(sessions) as session:
        secret = keys.create(
            session,
            cipher,
            name=name,
            rate_limit_per_minute=rate_limit,
            scopes=scopes or tuple(Scope),
        )
    _print_secret(name, secret, as_json=as_json)


@app.command()
def rotate(
    name: Name,
    overlap_h: Annotated[
        float, typer.Option(min=0, help="Hours that the old secret still works.")
    ] = 24,
    *,
    as_json: Json = False,
) -> None:
    """Give a client a new secret and print it; the old one goes on for a while."""
    from callytics.db.engine import unit_of_work
    from callytics.services import keys

    cipher = keys.make_cipher(local.settings())
    with local.sessions() as sessions, unit_of_work(sessions) as session:
        secret = keys.rotate(session, cipher, name=name, overlap=timedelta(hours=overlap_h))
    _print_secret(name, secret, as_json=as_json)


def _print_secret(name: str, secret: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"client_id": name, "secret": secret})
        return
    print_plain(secret)
    say(f"This is the secret of {name}. It is not shown again.", "dim")


@app.command()
def reencrypt() -> None:
    """Encrypt every secret with the first key of CALLYTICS_SECRET_KEY, so that the others may go."""
    from callytics.db.engine import unit_of_work
    from callytics.services import keys

    cipher = keys.make_cipher(local.settings())
    with local.sessions() as sessions, unit_of_work(sessions) as session:
        number = keys.encrypt_anew(session, cipher)
    say(f"{number} secrets are encrypted with the first key.")


@app.command()
def disable(name: Name) -> None:
    """Refuse a client's keys from now on; its calls stay."""
    from callytics.db.engine import unit_of_work
    from callytics.services import keys

    with local.sessions() as sessions, unit_of_work(sessions) as session:
        keys.disable(session, name=name)
    say(f"{name} is disabled.")


@app.command()
def enable(name: Name) -> None:
    """Accept a disabled client's keys again."""
    from callytics.db.engine import unit_of_work
    from callytics.services import keys

    with local.sessions() as sessions, unit_of_work(sessions) as session:
        keys.enable(session, name=name)
    say(f"{name} is enabled.")


@app.command("list")
def list_(*, as_json: Json = False) -> None:
    """Show every client."""
    from callytics.db.engine import unit_of_work
    from callytics.services import keys

    with local.sessions() as sessions, unit_of_work(sessions) as session:
        found: list[dict[str, Any]] = [
            {
                "client_id": client.name,
                "enabled": client.disabled_at is None,
                "scopes": client.scopes,
                "rate_limit_per_minute": client.rate_limit_per_minute,
                "created_at": client.created_at.isoformat(),
            }
            for client in keys.every(session)
        ]
    if as_json:
        print_json(found)
        return
    print_table(
        ("client", "state", "scopes", "a minute", "created"),
        (
            (
                client["client_id"],
                "enabled" if client["enabled"] else colored("disabled", "red"),
                " ".join(client["scopes"]),
                client["rate_limit_per_minute"],
                when(client["created_at"]),
            )
            for client in found
        ),
    )


def bound_key(
    client: Annotated[
        str | None,
        typer.Option(
            "--client", metavar="ID", help="Client to sign as. (default: CALLYTICS_CLIENT__NAME)"
        ),
    ] = None,
) -> None:
    """Print a bound key for the header X-Bound-Key, good for a few minutes."""
    from callytics.cli.credentials import signer

    with signer(client) as make_key:
        print_plain(make_key())
