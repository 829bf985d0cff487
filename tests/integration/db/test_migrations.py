from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, inspect, text

from callytics.db import migrate
from callytics.db.models import Base
from callytics.errors import ConfigurationError


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    engine = create_engine(empty_database_url)
    yield engine
    engine.dispose()


def test_a_database_goes_up_down_and_up_again(empty: Engine) -> None:
    migrate.upgrade(empty)
    migrate.downgrade(empty)
    assert inspect(empty).get_table_names() == ["alembic_version"]

    migrate.upgrade(empty)
    assert set(Base.metadata.tables) < set(inspect(empty).get_table_names())


@pytest.mark.parametrize("with_later_columns", [False, True])
def test_rows_of_the_second_version_come_along(empty: Engine, *, with_later_columns: bool) -> None:
    migrate.upgrade(empty, "0002")
    client, endpoint = uuid4(), uuid4()
    with empty.begin() as connection:
        if with_later_columns:
            connection.execute(text("ALTER TABLE endpoints ADD origin varchar"))
            connection.execute(text("ALTER TABLE deliveries ADD refusals integer NOT NULL"))
        connection.execute(
            text("INSERT INTO clients (id, name, scopes) VALUES (:id, 'a', '{}')"), {"id": client}
        )
        connection.execute(
            text(
                "INSERT INTO endpoints (id, client_id, url, failures)"
                " VALUES (:id, :client, 'https://Desk.example/hook', 0)"
            ),
            {"id": endpoint, "client": client},
        )
    migrate.upgrade(empty)
    with empty.connect() as connection:
        origin = connection.execute(text("SELECT origin FROM endpoints")).scalar_one()
    assert origin == "https://desk.example:443"
    migrate.check(empty)


def test_upgrading_twice_is_harmless(engine: Engine) -> None:
    migrate.upgrade(engine)


def test_a_database_that_is_newer_than_the_program_is_left_as_it_is(empty: Engine) -> None:
    """After a rollback: Alembic itself would end with "Can't locate revision"."""
    migrate.upgrade(empty)
    with empty.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    migrate.upgrade(empty)
    assert migrate.newer(empty) == "9999"
    with pytest.raises(ConfigurationError, match="newer than this program"):
        migrate.check(empty)


def test_the_models_and_the_migrations_say_the_same(engine: Engine) -> None:
    migrate.check(engine)


def test_migrations_make_exactly_the_tables_of_the_models(engine: Engine, empty: Engine) -> None:
    """To the last constraint: Alembic's own check looks at neither CHECKs nor operator classes."""
    Base.metadata.create_all(empty)
    assert _schema(engine) == _schema(empty)


def test_a_database_behind_the_migrations_is_told_from_one_that_is_not(empty: Engine) -> None:
    with pytest.raises(ConfigurationError, match="callytics db upgrade"):
        migrate.check(empty)


def _schema(engine: Engine) -> list[Any]:
    queries = (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint",
        "SELECT tablename, indexname, indexdef FROM pg_indexes",
        "SELECT table_name, column_name, column_default, is_nullable, data_type,"
        " character_maximum_length FROM information_schema.columns WHERE table_schema = 'public'",
    )
    with engine.connect() as connection:
        rows = [row for query in queries for row in connection.execute(text(query))]
    return sorted(tuple(map(str, row)) for row in rows if row[0] != "alembic_version")
