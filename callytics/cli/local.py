"""What the command line reaches on its own machine: the settings, and the database behind them."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from callytics.cli.problems import CommandError, ExitCode

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session, sessionmaker

    from callytics.settings import Settings


def settings() -> "Settings":
    """The settings of the running stack, or of the environment."""
    from callytics.errors import ConfigurationError
    from callytics.settings import get_settings

    try:
        return get_settings()
    except ConfigurationError as error:
        raise CommandError(error.detail) from error


def fresh_settings() -> "Settings":
    """The settings read anew: a stack that has just started has published its own."""
    from callytics.settings import get_settings

    get_settings.cache_clear()
    return settings()


@contextmanager
def faults() -> Iterator[None]:
    """The outages of the configured database, as sentences."""
    from sqlalchemy.exc import OperationalError, ProgrammingError

    try:
        yield
    except OperationalError as error:
        raise CommandError(
            "The database does not answer: start the stack with `callytics up`, or set "
            "CALLYTICS_DATABASE_URL.",
            ExitCode.UNREACHABLE,
        ) from error
    except ProgrammingError as error:
        raise CommandError(
            "The database is not at the version of this program: run `callytics db upgrade`."
        ) from error


@contextmanager
def engine() -> Iterator["Engine"]:
    from callytics.db.engine import make_engine

    _logs_to_stderr()
    made = make_engine(settings(), application="callytics-cli")
    try:
        with faults():
            yield made
    finally:
        made.dispose()


@contextmanager
def sessions() -> Iterator["sessionmaker[Session]"]:
    from callytics.db.engine import make_sessions

    with engine() as made:
        yield make_sessions(made, settings().models.routes)


def client_id(session: "Session", name: str | None) -> UUID | None:
    """Of the client `name`; None: of no single one."""
    from callytics.db.clients import Clients

    return Clients(session).get(name).id if name is not None else None


def moment(session: "Session", ago: timedelta | None) -> datetime | None:
    """So long ago by the database's clock."""
    from callytics.db.stage_stats import StageStats

    return StageStats(session).now() - ago if ago is not None else None


def _logs_to_stderr() -> None:
    """Warnings of the services are for the person; stdout is for results."""
    import structlog

    structlog.configure(
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
