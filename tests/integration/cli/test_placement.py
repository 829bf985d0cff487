import json
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from callytics.domain.job import JobStatus
from callytics.domain.stages import Stage
from tests.integration.cli.conftest import Run
from tests.support.calls import insert_call
from tests.support.profiles import cost, profile


@pytest.fixture
def file(tmp_path: Path) -> str:
    model = profile({Stage.TRANSCRIBE: cost(0, per_audio_s=0.1)})
    path = tmp_path / "own.json"
    path.write_text(model.model_dump_json())
    return str(path)


ASKED = ("placement", "plan", "--gpus", "0", "--cores", "8", "--calls-per-hour", "300",
         "--replications", "2", "--from-database", "--json")  # fmt: skip


def test_lengths_are_those_of_the_calls_that_were_completed(
    run: Run, sessions: sessionmaker[Session], file: str
) -> None:
    for _ in range(10):
        insert_call(sessions, status=JobStatus.COMPLETED, duration_s=20.0)
        insert_call(sessions, status=JobStatus.COMPLETED, duration_s=60.0)
        insert_call(sessions, status=JobStatus.FAILED, duration_s=9000.0)

    result = run(*ASKED, "--profile", file)

    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["mean_call_s"] == 40
    [stt] = [queue for queue in found["queues"] if queue["queue"] == "stt"]
    assert stt["mean_run_s"]["value"] == pytest.approx(4, rel=0.1)


def test_too_few_calls_are_told(run: Run, sessions: sessionmaker[Session], file: str) -> None:
    insert_call(sessions, status=JobStatus.COMPLETED, duration_s=20.0)

    result = run(*ASKED, "--profile", file)

    assert result.exit_code == 1
    assert "--call-length" in result.stderr
