"""Connections and the unit of work. Nothing else in the project commits."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from callytics.errors import ConfigurationError
from callytics.settings import Settings


def make_engine(settings: Settings, *, application: str = "callytics", ping: bool = True) -> Engine:
    """An engine for this process; `application` is the name that `pg_stat_activity` shows.

    `ping=False` saves a round trip a transaction, for who tries again when a connection turns out dead.
    """
    if settings.database_url is None:
        raise ConfigurationError(
            "No database is configured: run `callytics up`, or set CALLYTICS_DATABASE_URL."
        )
    return create_engine(
        settings.database_url.get_secret_value(),
        pool_size=settings.database.pool_size,
        pool_timeout=settings.database.pool_timeout_s,
        pool_pre_ping=ping,
        pool_use_lifo=True,
        connect_args={
            "application_name": application,
            "connect_timeout": 5,
            # A half-open connection is noticed in seconds, not hours.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        },
    )


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def unit_of_work(sessions: sessionmaker[Session], *, durable: bool = True) -> Iterator[Session]:
    """One transaction: committed where the block ends, rolled back where it raises.

    `durable=False` lets the commit return before it is on the disk. A crash of PostgreSQL may then
    undo it (never half of it), so it is for what the sweeper does again anyway: claims and leases.
    """
    with sessions() as session, session.begin():
        if not durable:
            relax(session)
        yield session


def relax(session: Session) -> None:
    """Let this transaction's commit return before it is on the disk (`unit_of_work`)."""
    session.execute(text("SET LOCAL synchronous_commit = off"))


def insist(session: Session) -> None:
    """Let the commit wait for the disk after all, and so for all that was committed before it."""
    session.execute(text("SET LOCAL synchronous_commit = on"))
