"""`callytics db`: the database's version."""

import typer

from callytics.cli import local
from callytics.cli.console import say

app = typer.Typer(no_args_is_help=True)


@app.command()
def upgrade() -> None:
    """Bring the database to the version of this program; where it is there, or newer, do nothing."""
    from callytics.db import migrate
    from callytics.db.schema_version import newest

    with local.engine() as engine:
        migrate.upgrade(engine)
        newer = migrate.newer(engine)
    if newer:
        say(
            f"The database is newer than this program ({newer}, this knows {newest()}): "
            "nothing to do."
        )
    else:
        say("The database is at the newest version.")


@app.command()
def check() -> None:
    """Fail unless the database is at the version of this program."""
    from callytics.db import migrate

    with local.engine() as engine:
        migrate.check(engine)
    say("The database is at the newest version.")
