import json

import pytest
from sqlalchemy import func
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.models import Job
from callytics.domain.jobs import JobKind
from callytics.domain.stages import Stage, StageStatus
from tests.integration.cli.conftest import Run
from tests.support.calls import insert_call
from tests.support.pipeline import Pipeline
from tests.support.workers import beat_lane

VARIANTS = {"MODELS__TRANSCRIBE__VARIANTS": '{"v2": {"batch_size": 2}}'}

SUMMARY_VARIANTS = {"MODELS__SUMMARIZE__VARIANTS": '{"v2": {"batch_size": 2}}'}


@pytest.fixture
def workers(sessions: sessionmaker[Session]) -> None:
    for lane in ("stt", "stt.v2"):
        beat_lane(sessions, lane)


@pytest.mark.usefixtures("workers")
def test_a_route_is_set_shown_and_rolled_back(run: Run) -> None:
    set_ = run("models", "route", "transcribe", "v1=90", "v2=10", "--shadow", "v2", **VARIANTS)
    assert set_.exit_code == 0, set_.stderr
    assert "stt: v1 90%, v2 10%, v2 in the shadow. Moved 0" in set_.stderr

    used = run("models", "use", "stt", "v2", "--note", "canary is well", "--json")
    assert json.loads(used.stdout) == {
        "task": "stt",
        "weights": {"v2": 1},
        "shadow": None,
        "changed": True,
        "moved": 0,
    }
    assert "stt: v2 100%, as before. Moved 0" in run("models", "use", "stt", "v2").stderr
    (stt,) = [
        one for one in json.loads(run("models", "routes", "--json").stdout) if one["task"] == "stt"
    ]
    assert stt["note"] == "canary is well"
    assert [(lane["lane"], lane["share"], lane["ready"]) for lane in stt["lanes"]] == [
        ("stt", 0.0, 1),
        ("stt.v2", 1.0, 1),
    ]
    table = run("models", "routes").stdout
    assert "canary is well" in table

    back = run("models", "rollback", "stt", "--json")
    assert json.loads(back.stdout)["weights"] == {"v1": 90, "v2": 10}


@pytest.mark.usefixtures("workers")
def test_what_waits_moves_along_and_is_told(
    run: Run, sessions: sessionmaker[Session], pipeline: Pipeline
) -> None:
    pipeline.run_stage(Stage.PREPROCESS, insert_call(sessions))

    assert json.loads(run("models", "use", "stt", "v2", "--json").stdout)["moved"] == 1

    queues = {one["queue"]: one for one in json.loads(run("queues", "--json").stdout)["queues"]}
    assert (queues["stt"]["waiting"], queues["stt.v2"]["waiting"]) == (0, 1)
    assert queues["stt.v2"]["messages"] == 1
    assert queues["stt.v2"]["workers_ready"] == 1


def test_a_variant_that_nobody_serves_is_refused_unless_forced(run: Run) -> None:
    refused = run("models", "use", "stt", "v2", **VARIANTS)
    assert refused.exit_code == 1
    assert "variant_not_ready" in refused.stderr
    assert run("models", "use", "stt", "v2", "--force").exit_code == 0
    assert "invalid_route" in run("models", "use", "stt", "v7", "--force").stderr


def test_nothing_to_roll_back_to_ends_with_7(run: Run) -> None:
    assert run("models", "rollback", "stt").exit_code == 7


@pytest.mark.parametrize(
    "arguments",
    [
        ("route", "stt", "v1"),
        ("route", "stt", "v1=90", "v1=10"),
        ("route", "stt", "v1=0"),
        ("route", "stt", "v1=-1"),
        ("route", "stt", f"v1={10**309}"),
        ("route", "stt", f"v1={'9' * 5000}"),
        ("use", "audio", "v2"),
        ("use", "stt", "V 2"),
        ("compare", "stt", "v1", "v2", "--since", "soon"),
        ("compare", "stt", "v1", "v1"),
    ],
)
def test_wrong_usage_ends_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("models", *arguments).exit_code == 2


@pytest.mark.parametrize("weight", ["-1", "1.5", "all", ""])
def test_a_weight_that_is_no_whole_number_is_told(run: Run, weight: str) -> None:
    refused = run("models", "route", "stt", f"v1={weight}")
    assert refused.exit_code == 2
    assert "whole number" in refused.stderr


def test_the_help_names_the_tasks_that_there_are(run: Run) -> None:
    for command in ("use", "route", "rollback", "compare"):
        shown = run("models", command, "--help").stdout
        assert "transcribe" in shown
        assert "callback" not in shown


def test_a_variant_that_nobody_knows_is_not_compared(
    run: Run, sessions: sessionmaker[Session]
) -> None:
    refused = run("models", "compare", "stt", "v1", "v22")
    assert refused.exit_code == 1
    assert "No variant of transcribe is called v22" in refused.stderr
    assert refused.stdout == ""

    with unit_of_work(sessions) as session:  # one that is gone, and has worked once
        done = {"status": StageStatus.DONE, "attempt": 1, "attempt_limit": 1, "variant": "v22"}
        session.add(Job(kind=JobKind.SHADOW_TRANSCRIBE, **done))
    assert run("models", "compare", "stt", "v1", "v22").exit_code == 0
    assert run("models", "compare", "sentiment", "v1", "v22").exit_code == 1


@pytest.mark.usefixtures("workers")
def test_a_variant_that_a_worker_knows_is_compared(run: Run) -> None:
    assert run("models", "compare", "stt", "v1", "v2").exit_code == 0


def test_variants_are_compared(run: Run) -> None:
    found = run("models", "compare", "stt", "v1", "v2", "--since", "1h", **VARIANTS)
    assert found.exit_code == 0, found.stderr
    assert "Too few runs to compare their speed" in found.stdout

    (document,) = json.loads(run("models", "compare", "stt", "v1", "v2", "--json").stdout)
    assert [one["variant"] for one in document["variants"]] == ["v1", "v2"]
    assert len(document["says"]) == 3


def test_kinds_of_work_on_one_queue_are_compared_each_by_itself(
    run: Run, sessions: sessionmaker[Session]
) -> None:
    with unit_of_work(sessions) as session:
        now = func.clock_timestamp()
        done = {"status": StageStatus.FAILED, "attempt": 1, "attempt_limit": 1, "variant": "v1"}
        for kind in (JobKind.QUICK_SUMMARY, JobKind.SHADOW_SUMMARIZE):
            session.add(Job(kind=kind, started_at=now, finished_at=now, **done))

    found = run("models", "compare", "slm", "v1", "v2", **SUMMARY_VARIANTS).stdout

    assert "Calls:" in found
    assert "Quick summaries:" in found
    document = json.loads(run("models", "compare", "slm", "v1", "v2", "--json").stdout)
    assert [one["work"] for one in document] == ["summarize", "quick_summary"]


def test_a_worker_of_no_lane_is_refused(run: Run) -> None:
    assert run("worker", "--queues", "control.v2").exit_code == 2
