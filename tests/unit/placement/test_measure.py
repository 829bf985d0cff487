"""Which runs of a call count as measurements, and what is made of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from callytics.db.models import WorkerHeartbeat
from callytics.domain.stages import Stage
from callytics.errors import MeasurementError
from callytics.placement.fit import Sample
from callytics.placement.measure import Measured, alone, profile_of, side_by_side, workers_of
from callytics.placement.profile import Kind
from callytics.settings import Settings
from tests.support.profiles import worker

BEGIN = datetime(2026, 11, 28, 12, tzinfo=UTC)


def stage(name: str, since: float, until: float) -> dict[str, Any]:
    return {
        "name": name,
        "wait_s": 0.01,
        "started_at": (BEGIN + timedelta(seconds=since)).isoformat(),
        "finished_at": (BEGIN + timedelta(seconds=until)).isoformat(),
    }


def test_stages_that_the_pipeline_runs_beside_others_are_measured_by_calls_of_their_own() -> None:
    assert set(side_by_side()) == {
        Stage.DIARIZE, Stage.TRANSCRIBE, Stage.SENTIMENT, Stage.SUMMARIZE
    }  # fmt: skip


def test_a_run_counts_only_while_no_other_stage_of_the_call_ran() -> None:
    call = {
        "duration_s": 12.0,
        "stages": [
            stage("preprocess", 0, 1),
            stage("diarize", 1.1, 3),
            stage("transcribe", 1.1, 4),
            stage("merge", 4.1, 4.2),
        ],
    }

    found = {one.stage: one for one in alone(call, None, 0.0)}

    assert set(found) == {Stage.PREPROCESS, Stage.MERGE}
    assert found[Stage.PREPROCESS].seconds == pytest.approx(1)
    assert found[Stage.PREPROCESS].audio_s == 12.0


def test_a_stage_that_never_ran_alone_is_named() -> None:
    samples = [
        Sample(stage=each, audio_s=10, wait_s=0, seconds=1, cores=1)
        for each in Stage
        if each is not Stage.DIARIZE
    ]
    with pytest.raises(MeasurementError, match="diarize"):
        profile_of("p", "", Measured(samples=samples, idle_cores=0), {}, cores=2, source="here")


def test_a_profile_holds_a_cost_for_each_stage() -> None:
    samples = [Sample(stage=each, audio_s=10, wait_s=0.02, seconds=1, cores=1) for each in Stage]
    workers = {name: worker() for name in ("audio", "diarize", "stt", "punctuate,sentiment", "slm")}

    twice = Measured(samples=samples, idle_cores=0.1) + Measured(samples=samples, idle_cores=0.3)
    found = profile_of("p", "", twice, workers, cores=2, source="here")

    assert set(found.works) == set(Stage)
    assert len(found.works[Stage.MERGE].spread.ratios) == 2
    assert (found.hop_s.value, found.idle_cores.value) == (0.02, 0.2)


def test_a_run_on_a_gpu_is_taken_to_fill_it_whatever_its_process_does_on_the_cores() -> None:
    samples = [Sample(stage=each, audio_s=10, wait_s=0, seconds=1, cores=0.3) for each in Stage]
    workers = {
        "audio": worker(),
        "diarize": worker(),
        "stt": worker(gpu_memory_mib=6000),
        "punctuate,sentiment": worker(gpu_memory_mib=1000),
        "slm": worker(),
    }

    found = profile_of(
        "p", "", Measured(samples=samples, idle_cores=0), workers, cores=2, source="here"
    )

    assert found.works[Stage.TRANSCRIBE].use.value == 1
    assert found.works[Stage.SENTIMENT].use.kind is Kind.ASSUMED
    assert found.works[Stage.DIARIZE].use.value == pytest.approx(0.3)


def test_workers_are_those_of_the_pipeline_s_queues_without_variants() -> None:
    def row(queues: list[str]) -> WorkerHeartbeat:
        return WorkerHeartbeat(
            worker=f"{'+'.join(queues)}-1@here",
            queues=queues,
            pid=1,
            models={"m": {"load_seconds": 2.5}},
        )

    rows = [row(["stt"]), row(["stt.v2"]), row(["control"]), row(["punctuate", "sentiment"]),
            row(["slm"])]  # fmt: skip
    found = workers_of(rows, Settings(workers={"slm": {"concurrency": 3}}), "here")

    assert set(found) == {"stt", "punctuate,sentiment", "slm"}
    assert (found["stt"].at_once, found["slm"].at_once) == (1, 3)
    assert found["stt"].load_s
    assert found["stt"].load_s.value == 2.5
