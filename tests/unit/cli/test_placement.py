"""`callytics placement`: what it prints, and what it says of wrong usage."""

import json
from pathlib import Path

import pytest

from callytics.domain.stages import Stage
from tests.support.profiles import cost, profile, worker
from tests.unit.cli.conftest import Run


@pytest.fixture
def file(tmp_path: Path) -> str:
    model = profile(
        {Stage.PREPROCESS: cost(0.5), Stage.TRANSCRIBE: cost(2.0)},
        {"stt": worker(gpu_memory_mib=6000)},
    )
    path = tmp_path / "own.json"
    path.write_text(model.model_dump_json())
    return str(path)


PLAN = ("placement", "plan", "--calls-per-hour", "600", "--cores", "4", "--replications", "2")


def test_a_plan_says_where_each_queue_runs_how_it_does_and_what_to_set(run: Run, file: str) -> None:
    result = run(*PLAN, "--gpus", "1x24GB", "--profile", file)

    assert result.exit_code == 0, result.stderr
    assert "Chosen for a test." in result.stdout
    [stt] = [line for line in result.stdout.splitlines() if line.startswith("stt ")]
    assert "gpu0" in stt
    assert "assumed" in stt
    assert "It holds 600 calls an hour" in result.stdout
    assert "CALLYTICS_WORKERS__STT__GPU=0" in result.stdout
    # 6000 MiB and a tenth of 22888 MiB
    assert "0.29" in stt
    assert "--scale worker-stt=1" in result.stdout


def test_a_plan_as_json_is_the_same_for_the_same_seed(run: Run, file: str) -> None:
    asked = (*PLAN, "--gpus", "1x24GB", "--profile", file, "--seed", "5", "--json")
    one, other = (json.loads(run(*asked).stdout) for _ in range(2))

    assert one == other
    assert one["holds"] is True
    assert one["highest_per_hour"] > 600
    assert {queue["queue"] for queue in one["queues"]} >= {"audio", "stt", "slm"}
    [stt] = [queue for queue in one["queues"] if queue["queue"] == "stt"]
    assert stt["busy"]["value"] == pytest.approx(600 / 3600 * 2, rel=0.1)
    assert stt["mean_wait_s"]["low"] <= stt["mean_wait_s"]["value"] <= stt["mean_wait_s"]["high"]
    assert {"queues": ["stt"], "device": "gpu0", "count": 1} in one["workers"]


def test_what_the_hardware_does_not_hold_is_said_with_what_would(run: Run, file: str) -> None:
    result = run(
        "placement", "plan", "--gpus", "1x24GB", "--calls-per-hour", "3000", "--cores", "64",
        "--profile", file,
    )  # fmt: skip

    assert result.exit_code == 1
    assert "Compute is missing" in result.stderr
    assert "With 1 more of 24 GB it holds" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--gpus", "two", "--calls-per-hour", "600"], "2x24GB"),
        (["--gpus", "0x24GB", "--calls-per-hour", "600"], "0 alone means none"),
        (["--calls-per-hour", "600"], "--gpus"),
        (["--gpus", "1x24GB"], "--calls-per-hour"),
        (["--gpus", "1x24GB", "--calls-per-hour", "0"], "--calls-per-hour"),
        (["--gpus", "1x24GB", "--calls-per-hour", "inf"], "--calls-per-hour"),
        (["--gpus", "1x24GB", "--calls-per-hour", "nan"], "--calls-per-hour"),
        (["--gpus", "1x24GB", "--calls-per-hour", "6", "--burst", "2000"], "--burst"),
        (["--gpus", "1x24GB", "--calls-per-hour", "6", "--max-wait", "soon"], "90m"),
        (
            ["--gpus", "0", "--calls-per-hour", "6", "--call-length", "3m", "--from-database"],
            "either",
        ),
    ],
)
def test_wrong_usage_is_told(run: Run, options: list[str], said: str) -> None:
    result = run("placement", "plan", *options)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""


def test_a_profile_that_is_none_is_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text('{"name": "x"}')
    result = run("placement", "profile", str(path))
    assert result.exit_code == 1
    assert "works" in result.stderr


def test_every_figure_is_shown_with_where_it_comes_from(run: Run) -> None:
    result = run("placement", "profile", "production")

    assert result.exit_code == 0
    [rate] = [
        line
        for line in result.stdout.splitlines()
        if line.startswith("transcribe") and "per_audio_s" in line
    ]
    assert "published" in rate
    assert "worker stt" in result.stdout
    assert "assumed" in result.stdout
    assert "faster-whisper" in rate


def test_measuring_without_a_stack_says_how_to_start_one(run: Run) -> None:
    result = run("bench", "stages")
    assert result.exit_code == 6
    assert "callytics up" in result.stderr


def test_lengths_of_calls_come_from_the_database_that_is_configured(run: Run) -> None:
    result = run("placement", "plan", "--gpus", "0", "--calls-per-hour", "6", "--from-database")
    assert result.exit_code == 6
    assert "CALLYTICS_DATABASE_URL" in result.stderr or "callytics up" in result.stderr
