"""Connections that died while nobody used them, and transactions of one statement."""

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import (
    RELAX,
    make_engine,
    make_sessions,
    statement_by_statement,
    unit_of_work,
)
from callytics.errors import ConfigurationError
from callytics.settings import Settings


def backend(sessions: sessionmaker[Session]) -> int:
    with unit_of_work(sessions) as session:
        found: int = session.scalars(select(func.pg_backend_pid())).one()
    return found


def test_a_connection_that_died_idle_is_replaced(
    settings: Settings, sessions: sessionmaker[Session]
) -> None:
    engine = make_engine(settings)
    mine = make_sessions(engine)
    died = backend(mine)
    with unit_of_work(sessions) as session:
        session.execute(select(func.pg_terminate_backend(died, 5000)))
    assert backend(mine) != died
    engine.dispose()


def test_what_is_no_address_is_told_without_being_shown(settings: Settings) -> None:
    wrong = settings.model_copy(update={"database_url": SecretStr("nonsense")})
    with pytest.raises(ConfigurationError, match="CALLYTICS_DATABASE_URL is no address") as told:
        make_engine(wrong)
    assert "nonsense" not in told.value.detail


def test_a_statement_by_itself_is_committed_at_once(sessions: sessionmaker[Session]) -> None:
    with statement_by_statement(sessions) as session:
        first, second = (session.scalars(select(func.txid_current())).one() for _ in range(2))
        assert second > first
        session.execute(select(RELAX))
        # It held for its own statement's commit and no longer.
        assert session.scalars(select(func.current_setting("synchronous_commit"))).one() == "on"
    with unit_of_work(sessions) as session:
        first, second = (session.scalars(select(func.txid_current())).one() for _ in range(2))
        assert second == first
