from sqlalchemy import create_engine, text

from callytics.db.schema_version import newest
from tests.integration.cli.conftest import Run


def test_upgrade_makes_a_new_database_current(run: Run, empty_database_url: str) -> None:
    assert run("db", "check", DATABASE_URL=empty_database_url).exit_code == 1
    assert run("db", "upgrade", DATABASE_URL=empty_database_url).exit_code == 0
    assert run("db", "upgrade", DATABASE_URL=empty_database_url).exit_code == 0
    assert run("db", "check", DATABASE_URL=empty_database_url).exit_code == 0


def test_upgrade_leaves_a_newer_database_as_it_is_and_says_so(
    run: Run, empty_database_url: str
) -> None:
    """As the migration of a rollback does, which everything else waits for."""
    assert run("db", "upgrade", DATABASE_URL=empty_database_url).exit_code == 0
    engine = create_engine(empty_database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    result = run("db", "upgrade", DATABASE_URL=empty_database_url)
    assert result.exit_code == 0
    assert f"newer than this program (9999, this knows {newest()}): nothing" in result.stderr


def test_a_command_on_an_old_database_names_the_command_that_mends_it(
    run: Run, empty_database_url: str
) -> None:
    result = run("clients", "list", DATABASE_URL=empty_database_url)
    assert result.exit_code == 1
    assert "callytics db upgrade" in result.stderr


def test_a_database_that_does_not_answer_ends_with_6(run: Run) -> None:
    result = run("db", "check", DATABASE_URL="postgresql+psycopg://u:hunter2@127.0.0.1:9/x")
    assert result.exit_code == 6
    assert "hunter2" not in result.stderr
