"""Connections, and the two ways to commit: a unit of work, or each statement by itself. There is no other."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, func, literal, make_url, select, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.routes import RouteBook
from callytics.domain.routes import Route
from callytics.domain.stages import Queue
from callytics.errors import ConfigurationError, NotConnectedError
from callytics.settings import Settings


def make_engine(settings: Settings, *, application: str = "callytics", ping: bool = True) -> Engine:
    """An engine for this process; `application` is the name that `pg_stat_activity` shows.

    `ping=False` saves a round trip a transaction, for who tries again when a connection turns out dead.
    """
    if settings.database_url is None:
        raise NotConnectedError(
            "No database is configured: run `callytics up`, or set CALLYTICS_DATABASE_URL."
        )
    try:
        url = make_url(settings.database_url.get_secret_value())
    except ArgumentError as error:
        raise ConfigurationError(
            "CALLYTICS_DATABASE_URL is no address: postgresql+psycopg://USER:PASSWORD@HOST:5432/NAME"
        ) from error
    return create_engine(
        url,
        pool_size=settings.database.pool_size,
        max_overflow=0,
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


def make_sessions(
    engine: Engine, routes: Mapping[Queue, Route] | None = None
) -> sessionmaker[Session]:
    """Sessions that know the routes of work (db/routes.py): where no row says one, `routes` does."""
    return sessionmaker(engine, expire_on_commit=False, info={RouteBook: RouteBook(routes or {})})


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


@contextmanager
def statement_by_statement(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """Each statement is a transaction of its own: no round trips to begin and to commit it."""
    with sessions() as session:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        yield session


RELAX = func.set_config("synchronous_commit", "off", literal(value=True))
"""What lets the commit of the statement's transaction return before it is on the disk (`unit_of_work`)."""


def relax(session: Session) -> None:
    session.execute(select(RELAX))


def insist(session: Session) -> None:
    """Let the commit wait for the disk after all, and so for all that was committed before it."""
    session.execute(text("SET LOCAL synchronous_commit = on"))
