"""Two neighbouring versions run side by side: on one schema, over one broker (docs/upgrade.md)."""

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from celery import Celery
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Uuid,
    create_engine,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.types import TypeEngine

from callytics.db import migrate, schema_version
from callytics.queueing.app import make_celery
from callytics.queueing.queues import TaskName
from callytics.settings import Settings
from tasks import TASK_MODULES

BASELINE = "0009"
"""From the migration after this one on, the rule holds."""

MESSAGES = Path(__file__).with_name("messages.txt")
"""Every message: the task's name and its arguments, with a `?` those that have a default."""

NUMBERS = count(1)

ALLOWED = re.compile(r"'([^']+)'")
_WORDS = text("""
    SELECT conrelid::regclass::text AS table, pg_get_constraintdef(oid) AS definition, attname AS column
    FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
    WHERE contype = 'c' AND array_length(conkey, 1) = 1
""")
_COLUMNS = text("""
    SELECT table_name, column_name, data_type, character_maximum_length, is_nullable
    FROM information_schema.columns WHERE table_schema = 'public'
""")
# Of what a repeated job was, one of two pairs is given (ck_shadow_runs_subject).
LEFT_OUT = {("shadow_runs", "job_id")}


def migrations() -> list[tuple[str, str]]:
    """Each migration after the baseline, with the one that it builds on."""
    config = Config()
    config.set_main_option("script_location", str(schema_version.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    every = ScriptDirectory.from_config(config).walk_revisions()
    later = [one for one in every if one.revision > BASELINE]
    return [(str(one.down_revision), one.revision) for one in reversed(later)]


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    engine = create_engine(empty_database_url)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(("before", "after"), migrations())
def test_a_migration_leaves_the_version_before_it_everything_that_it_knows(
    empty: Engine, before: str, after: str
) -> None:
    """Its columns keep name, type and freedom, its rows stay, and what it would insert still goes in."""
    migrate.upgrade(empty, before)
    known = MetaData()
    known.reflect(empty)
    with empty.begin() as connection:
        columns = _columns(connection)
        first = _insert_everywhere(connection, known)
    migrate.upgrade(empty, after)
    with empty.begin() as connection:
        assert _taken_away(columns, _columns(connection)) == []
        for table, row in first.items():
            found = connection.execute(select(known.tables[table])).mappings().all()
            assert row in [{name: one[name] for name in row} for one in found]
        _insert_everywhere(connection, known)


def _columns(connection: Connection) -> dict[tuple[str, str], tuple[Any, ...]]:
    rows = connection.execute(_COLUMNS)
    return {
        (row.table_name, row.column_name): (
            row.data_type,
            row.character_maximum_length,
            row.is_nullable,
        )
        for row in rows
    }


def _taken_away(
    before: Mapping[tuple[str, str], tuple[Any, ...]],
    after: Mapping[tuple[str, str], tuple[Any, ...]],
) -> list[str]:
    """What the older version had and would miss; a column may become freer, never stricter."""
    faults = []
    for column, (kind, length, nullable) in before.items():
        if column not in after:
            faults.append(f"{column} is gone")
            continue
        new_kind, new_length, new_nullable = after[column]
        shorter = new_length is not None and (length is None or new_length < length)
        if kind != new_kind or shorter or (nullable == "YES" and new_nullable == "NO"):
            faults.append(f"{column} is stricter or of another type")
    return faults


def _insert_everywhere(connection: Connection, known: MetaData) -> dict[str, dict[str, Any]]:
    """A row in every table, with all columns that the metadata know; table -> row."""
    words = {
        (row.table, row.column): ALLOWED.findall(row.definition)
        for row in connection.execute(_WORDS)
    }
    rows: dict[str, dict[str, Any]] = {}
    for table in known.sorted_tables:
        if table.name != "alembic_version":
            rows[table.name] = row = _row(table, rows, words)
            connection.execute(table.insert().values(row))
    return rows


def _row(
    table: Table,
    rows: Mapping[str, Mapping[str, Any]],
    words: Mapping[tuple[str, str], list[str]],
) -> dict[str, Any]:
    return {
        column.name: _value(column, rows, words.get((table.name, column.name)))
        for column in table.columns
        if (table.name, column.name) not in LEFT_OUT and column.identity is None
    }


def _value(
    column: Column[Any], rows: Mapping[str, Mapping[str, Any]], words: list[str] | None
) -> Any:
    for key in column.foreign_keys:
        target = key.column
        if target.table is not column.table:
            return rows[target.table.name][target.name]
        return None
    if words:
        return words[0]
    if isinstance(column.type, ARRAY):
        return []
    if column.primary_key and isinstance(column.type, Integer):
        return next(NUMBERS)
    fresh: Mapping[type[TypeEngine[Any]], Any] = {
        JSONB: {},
        Uuid: uuid4(),
        LargeBinary: b"x",
        String: uuid4().hex[:8],
        Boolean: False,
        DateTime: datetime.now(UTC),
    }
    return next((value for kind, value in fresh.items() if isinstance(column.type, kind)), 1)


def test_the_rule_would_notice_what_breaks_it() -> None:
    before = {("t", "a"): ("text", 8, "YES"), ("t", "b"): ("integer", None, "NO")}
    assert _taken_away(before, {**before, ("t", "c"): ("text", None, "YES")}) == []
    for broken in (
        {("t", "a"): ("text", 8, "YES")},
        {**before, ("t", "a"): ("text", 4, "YES")},
        {**before, ("t", "a"): ("text", 8, "NO")},
        {**before, ("t", "b"): ("bigint", None, "NO")},
    ):
        assert len(_taken_away(before, broken)) == 1


def test_a_message_of_the_version_before_is_understood(app: Celery) -> None:
    """They are on their way while workers are replaced. A new name, or an argument with a default, is
    written into the file; what nobody has sent for a version may be taken out of it.
    """
    taken = [" ".join((name.value, *_arguments(app, name))) for name in TaskName]
    assert sorted(taken) == MESSAGES.read_text("utf-8").splitlines()


@pytest.fixture
def app(settings: Settings) -> Celery:
    for module in TASK_MODULES:
        importlib.import_module(module)
    return make_celery(settings)


def _arguments(app: Celery, name: TaskName) -> Iterator[str]:
    for parameter in inspect.signature(app.tasks[name.value].run).parameters.values():
        needed = parameter.default is parameter.empty
        yield parameter.name if needed else f"{parameter.name}?"


class TestNewCodeOnOldTables:
    def test_the_number_of_the_newest_migration_is_known(self) -> None:
        assert schema_version.newest() == max(
            [after for _, after in migrations()], default=BASELINE
        )

    def test_tables_that_are_behind_are_told_from_those_that_are_not(self, empty: Engine) -> None:
        sessions = sessionmaker(empty)
        assert "empty" in (_lack(sessions) or "")
        migrate.upgrade(empty, BASELINE)
        assert f"at version {BASELINE}" in (_lack(sessions) or "")
        assert "callytics db upgrade" in (_lack(sessions) or "")
        migrate.upgrade(empty)
        assert _lack(sessions) is None

    def test_tables_that_are_newer_are_fine_for_old_code(self, engine: Engine) -> None:
        sessions = sessionmaker(engine)
        with sessions.begin() as session:
            session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
            assert schema_version.lack(session) is None
            session.rollback()


def _lack(sessions: sessionmaker[Session]) -> str | None:
    with sessions() as session:
        return schema_version.lack(session)
