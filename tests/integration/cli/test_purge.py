import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker
from typer.testing import Result

from callytics.adapters.audio_store import make_audio_store
from callytics.domain.stages import StageStatus
from callytics.ports import call_folder
from callytics.settings import Settings
from tests.integration.cli.conftest import Run
from tests.support.kept import columns_saying, keep

WORD = "CL-4711"
YEAR = timedelta(days=365)


def parsed(result: Result, code: int = 0) -> Any:
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout)


def test_a_dry_run_counts_and_deletes_nothing(
    run: Run, sessions: sessionmaker[Session], engine: Engine
) -> None:
    keep(sessions, WORD, age=YEAR)
    before = columns_saying(engine, WORD)
    found = parsed(run("purge", "--older-than", "90d", "--dry-run", "--json"))
    assert (found["dry_run"], found["purged"]["calls"]) == (True, 1)
    assert columns_saying(engine, WORD) == before


def test_it_deletes_rows_and_recordings_once_it_is_told_to(
    run: Run, sessions: sessionmaker[Session], settings: Settings
) -> None:
    call_id = keep(sessions, WORD, age=YEAR)
    store = make_audio_store(settings)
    store.write(f"{call_folder(call_id)}/original", [b"RIFF"])
    refused = run("purge", "--older-than", "90d")
    assert (refused.exit_code, "--yes" in refused.stderr) == (2, True)
    assert store.keys(call_folder(call_id))
    assert parsed(run("purge", "--older-than", "90d", "--yes", "--json"))["purged"]["calls"] == 1
    assert store.keys("") == []
    assert parsed(run("purge", "--older-than", "90d", "--yes", "--json"), 7)["purged"] == {}


def test_what_has_not_ended_is_named(run: Run, sessions: sessionmaker[Session]) -> None:
    call_id = keep(sessions, WORD, age=YEAR, status=StageStatus.RUNNING)
    found = parsed(run("purge", "--older-than", "90d", "--dry-run", "--json"))
    assert found["not_ended"] == [str(call_id)]
    assert str(call_id) in run("purge", "--older-than", "90d", "--yes").stderr


def test_before_it_deletes_it_says_which_part_of_what(
    run: Run, sessions: sessionmaker[Session]
) -> None:
    keep(sessions, WORD, age=YEAR)
    asked = run("purge", "--older-than", "300d", "--audio-only", input="n\n")
    assert "Delete the recordings of 1 calls that came in before 20" in asked.stdout + asked.stderr


def test_a_consultation_goes_and_the_history_does_not_name_it(
    run: Run, sessions: sessionmaker[Session]
) -> None:
    keep(sessions, WORD)
    found = parsed(run("purge", "--consultation-id", WORD, "--yes", "--json"))
    assert found["purged"]["calls"] == 1
    [line] = parsed(run("purge", "--history", "--json"))
    assert (line["reason"], line["scope"], line["purged"]) == (
        "consultation",
        "all",
        found["purged"],
    )
    assert "@" in line["by"]
    assert WORD not in run("purge", "--history").output


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--older-than", "90d", "--consultation-id", WORD),
        ("--older-than", "90d", "--audio-only", "--text-only"),
        ("--older-than", "soon"),
        ("--older-than", "90d", "--client", "cli"),
        ("--consultation-id", ""),
        ("--consultation-id", " "),
    ],
)
def test_what_does_not_fit_together_is_refused(run: Run, options: tuple[str, ...]) -> None:
    assert run("purge", *options, "--yes").exit_code == 2
