"""Which runs of a call count as measurements, and what is made of them."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from callytics.db.models import WorkerHeartbeat
from callytics.domain.stages import Stage
from callytics.errors import MeasurementError
from callytics.placement.fit import Sample
from callytics.placement.measure import (
    Measured,
    alone,
    burst_of,
    measure,
    profile_of,
    running_of,
    side_by_side,
    workers_of,
)
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


def only(samples: list[Sample], idle_cores: float = 0.0) -> Measured:
    """Without calls that came together."""
    return Measured(samples=samples, bursts=[], idle_cores=idle_cores)


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
        profile_of("p", "", only(samples), {}, (), cores=2, source="here")


def test_a_profile_holds_a_cost_for_each_stage() -> None:
    samples = [Sample(stage=each, audio_s=10, wait_s=0.02, seconds=1, cores=1) for each in Stage]
    workers = {name: worker() for name in ("audio", "diarize", "stt", "punctuate,sentiment", "slm")}

    twice = only(samples, idle_cores=0.1) + only(samples, idle_cores=0.3)
    found = profile_of("p", "", twice, workers, (), cores=2, source="here")

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

    found = profile_of("p", "", only(samples), workers, (), cores=2, source="here")

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


def test_workers_run_where_they_are_as_nice_as_they_are() -> None:
    rows = [
        WorkerHeartbeat(worker="stt-1@here", queues=["stt"], pid=pid, models={})
        for pid in (os.getpid(), 2**22 + 1)  # the second is of no process
    ]
    found = running_of([*rows, rows[0]], Settings())

    assert [one.queues for one in found] == ["stt"] * 3
    assert [one.nice for one in found] == [os.nice(0), 0, os.nice(0)]


def test_calls_that_came_together_are_told_by_their_lengths_and_their_mean_time() -> None:
    def call(came: float, ended: float, duration_s: float) -> dict[str, Any]:
        return {
            "created_at": (BEGIN + timedelta(seconds=came)).isoformat(),
            "completed_at": (BEGIN + timedelta(seconds=ended)).isoformat(),
            "duration_s": duration_s,
        }

    found = burst_of([call(0.5, 5.5, 11), call(0, 3, 12)])

    assert [(one.at_s, one.audio_s) for one in found.calls] == [(0, 12), (0.5, 11)]
    assert found.mean_s == pytest.approx(4)


Asked: TypeAlias = list[tuple[Sequence[Path], Stage | None]]


def measured(number: int) -> tuple[Measured, Asked]:
    """So many recordings, and what was asked for them."""
    asked: Asked = []

    def submit(recordings: Sequence[Path], stage: Stage | None) -> Sequence[Mapping[str, Any]]:
        asked.append((recordings, stage))
        ended = {"created_at": BEGIN.isoformat(), "completed_at": BEGIN.isoformat()}
        return [{"duration_s": 10.0, "stages": [], **ended} for _ in recordings]

    recordings = [Path(f"{each}.wav") for each in range(number)]
    return measure(recordings, submit, here=False, tell=lambda _said: None), asked


def test_what_is_submitted_together_was_not_submitted_before() -> None:
    found, asked = measured(6)

    *single, (together, stage) = asked
    assert stage is None
    assert len(together) == 2
    assert not {one for recordings, _ in single for one in recordings} & set(together)
    assert len(found.bursts) == 1


def test_of_a_few_recordings_none_is_kept_back() -> None:
    found, asked = measured(5)

    assert {one for recordings, _ in asked for one in recordings} == {
        Path(f"{each}.wav") for each in range(5)
    }
    assert None not in {stage for _, stage in asked}
    assert not found.bursts


def test_recordings_of_one_length_are_refused() -> None:
    def submit(recordings: Sequence[Path], _stage: Stage | None) -> Sequence[Mapping[str, Any]]:
        return [{"duration_s": 13.0, "stages": [stage("preprocess", 0, 1)]} for _ in recordings]

    with pytest.raises(MeasurementError, match="as long as each other"):
        measure([Path("a.wav"), Path("b.wav")], submit, here=False, tell=lambda _said: None)
