"""Whether the database fits this program: it may be newer by a version, never older (docs/upgrade.md)."""

from functools import cache
from pathlib import Path

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

MIGRATIONS = Path(__file__).parents[2] / "migrations"


@cache
def newest() -> str:
    """The latest migration that this program knows; they are numbered, so that they compare."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("0*.py"))


def found(session: Session) -> str | None:
    """The migration that the database stands at; None where it has no tables yet."""
    if session.scalar(select(func.to_regclass("alembic_version"))) is None:
        return None
    version: str | None = session.scalar(text("SELECT max(version_num) FROM alembic_version"))
    return version


def lack(session: Session) -> str | None:
    """What a person needs to know where the database is older than this program; None: it is not."""
    version = found(session)
    if version is not None and version >= newest():
        return None
    stands = f"at version {version}" if version else "empty"
    return (
        f"The database is {stands} and this program needs {newest()}: run `callytics db upgrade`."
    )
