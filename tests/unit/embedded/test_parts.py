from collections import Counter
from pathlib import Path

import pytest
from pydantic import SecretStr

from callytics.domain.stages import Queue
from callytics.embedded.parts import WORKERS, application
from callytics.embedded.process import Process
from callytics.settings import FlowerSettings, Settings

SERVERS = ("postgres", "valkey", "llm")


@pytest.fixture
def parts(tmp_path: Path) -> list[Process]:
    settings = Settings(
        state_dir=tmp_path,
        database_url=SecretStr("postgresql+psycopg://callytics:db-secret@127.0.0.1:1/callytics"),
        redis_url=SecretStr("redis://:redis-secret@127.0.0.1:1/0"),
        flower=FlowerSettings(basic_auth=SecretStr("callytics:flower-secret")),
    )
    return application(settings, SERVERS)


def test_every_queue_is_served_by_one_worker() -> None:
    assert Counter(queue for queues in WORKERS for queue in queues) == Counter(Queue)


def test_a_variant_has_a_worker_of_its_own_that_waits_for_the_same_server(tmp_path: Path) -> None:
    settings = Settings(
        state_dir=tmp_path,
        database_url=SecretStr("postgresql+psycopg://callytics:x@127.0.0.1:1/callytics"),
        models={"summarize": {"variants": {"v2": {"options": {"max_tokens": 40}}}}},
    )
    parts = {part.name: part for part in application(settings, SERVERS)}
    worker = parts["worker-slm.v2"]
    assert worker.command[-2:] == ("--queues", "slm.v2")
    assert (worker.needs, worker.nice) == (parts["worker-slm"].needs, 0)


def test_a_part_needs_only_what_is_listed_before_it(parts: list[Process]) -> None:
    known = set(SERVERS)
    for part in parts:
        assert known.issuperset(part.needs)
        known.add(part.name)


def test_only_the_migration_ends_by_itself(parts: list[Process]) -> None:
    assert [part.name for part in parts if part.runs_once] == ["migrate"]


def test_secrets_are_on_no_command_line(parts: list[Process]) -> None:
    assert "secret" not in " ".join(word for part in parts for word in part.command)


def test_every_part_finds_the_stack_by_its_state_directory(
    parts: list[Process], tmp_path: Path
) -> None:
    assert {part.env["CALLYTICS_STATE_DIR"] for part in parts} == {str(tmp_path)}


def test_nothing_waits_for_a_server_that_is_elsewhere(tmp_path: Path) -> None:
    settings = Settings(
        state_dir=tmp_path, database_url=SecretStr("postgresql+psycopg://elsewhere/x")
    )
    needs = {need for part in application(settings, ()) for need in part.needs}
    assert needs == {"migrate"}
