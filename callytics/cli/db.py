"""`callytics db`: the database's version."""

import typer

from callytics.cli import local
from callytics.cli.console import say

app = typer.Typer(no_args_is_help=True)


@app.command()
def upgrade() -> None:
    """Bring the database to the version of this program; a second run does nothing."""
    from callytics.db import migrate

    with local.engine() as engine:
        migrate.upgrade(engine)
    say("The database is at the newest version.")


@app.command()
def check() -> None:
    """Fail unless the database is at the version of this program."""
    from callytics.db import migrate

    with local.engine() as engine:
        migrate.check(engine)
    say("The database is at the newest version.")
