"""Moves the database between versions (`migrations/versions`); Alembic is configured here, in code.

A change of `models.py` gets its version by `python -m callytics.db.migrate MESSAGE`, run against a
database that stands at the newest one (`callytics up`); read what it wrote before committing it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from callytics.db.engine import make_engine
from callytics.db.schema_version import MIGRATIONS, found, newest
from callytics.errors import ConfigurationError
from callytics.settings import get_settings


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to `revision`. Several processes may do so at once: one works, the others wait.

    One that is newer than this program stays as it is: this is a rollback (docs/upgrade.md).
    """
    if newer(engine) is None:
        with _alembic(engine) as config:
            command.upgrade(config, revision)


def newer(engine: Engine) -> str | None:
    """The database's version where this program does not know it yet."""
    with Session(engine) as session:
        version = found(session)
    return version if version is not None and version > newest() else None


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Take the database back to `revision`; `base` drops every table."""
    with _alembic(engine) as config:
        command.downgrade(config, revision)


def check(engine: Engine) -> None:
    """Raise ConfigurationError unless the database is at the newest version and models.py says the same."""
    if version := newer(engine):
        raise ConfigurationError(
            f"The database is newer than this program ({version}, this knows {newest()})."
        )
    with _alembic(engine) as config:
        try:
            command.check(config)
        except CommandError as error:
            raise ConfigurationError(f"{error} Run `callytics db upgrade`.") from error


@contextmanager
def _alembic(engine: Engine) -> Iterator[Config]:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        yield config


if __name__ == "__main__":
    number = 1 + int(newest())
    with _alembic(make_engine(get_settings())) as alembic_config:
        command.revision(alembic_config, sys.argv[1], autogenerate=True, rev_id=f"{number:04}")
