"""Profiles: what is shipped says where it comes from, and what is wrong with another is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from callytics.domain.stages import Stage
from callytics.errors import ProfileError
from callytics.placement.profile import ANALYSIS, SHIPPED, Kind, load
from callytics.settings import PRESETS


@pytest.mark.parametrize("name", SHIPPED)
def test_every_stage_of_a_shipped_profile_has_a_cost_and_a_worker(name: str) -> None:
    found = load(name)

    assert set(Stage) <= set(found.works)
    assert {work for one in found.workers for work in found.works_of(one)} == set(found.works)


def test_what_is_not_measured_says_so_and_names_its_sources() -> None:
    found = load("production")

    assert "Not measured here" in found.about
    assert Kind.PUBLISHED in found.kinds_of("stt")
    assert "faster-whisper" in found.works[Stage.TRANSCRIBE].per_audio_s.source
    assert Kind.MEASURED in load("offline").kinds_of("stt")


def test_engines_are_those_of_the_preset() -> None:
    workers = load("production").workers

    assert workers["slm"].engine == PRESETS["production"]["summarize"]["model"]
    assert workers["mlm"].engine == PRESETS["production"]["analyse"]["model"]


def test_without_analysis_its_worker_is_not_needed() -> None:
    found = load("production").without_analysis()

    assert ANALYSIS not in found.works
    assert "mlm" not in found.workers
    assert "slm" in found.workers


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    found = load("production")
    path = tmp_path / "own.json"
    path.write_text(json.dumps(found.model_dump(mode="json")))

    assert load(str(path)) == found


def test_a_block_may_be_that_of_a_shipped_profile(tmp_path: Path) -> None:
    document = load("production").model_dump(mode="json")
    document["works"]["transcribe"] = "offline"
    path = tmp_path / "own.json"
    path.write_text(json.dumps(document))

    found = load(str(path))

    assert found.works[Stage.TRANSCRIBE] == load("offline").works[Stage.TRANSCRIBE]
    assert found.works[Stage.DIARIZE] == load("production").works[Stage.DIARIZE]

    document["works"]["analysis"] = "offline"
    path.write_text(json.dumps(document))
    with pytest.raises(ProfileError, match=r"nothing at works\.analysis"):
        load(str(path))


def test_a_profile_that_is_nowhere_is_told_what_there_is() -> None:
    with pytest.raises(ProfileError, match=r"offline or production.*bench stages"):
        load("/nowhere.json")


def change(document: dict[str, Any], what: str) -> Any:
    match what:
        case "a negative figure":
            document["works"]["merge"]["fixed_s"]["value"] = -1
        case "a figure without a source":
            document["works"]["merge"]["fixed_s"]["source"] = ""
        case "a stage that is left out":
            del document["works"]["merge"]
        case "a worker that is left out":
            del document["workers"]["stt"]
        case "a queue that is none":
            document["workers"]["tts"] = document["workers"].pop("stt")
        case "a queue with two workers":
            document["workers"]["stt,diarize"] = document["workers"]["stt"]
        case "a GPU without memory":
            document["workers"]["stt"]["gpu_memory_mib"] = None
        case "a stage that uses nothing":
            document["works"]["merge"]["use"]["value"] = 0
        case "no object":
            return []
    return document


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("a negative figure", "works.merge.fixed_s.value"),
        ("a figure without a source", "works.merge.fixed_s.source"),
        ("a stage that is left out", "nothing is said of merge"),
        ("a worker that is left out", "no worker serves the queue stt"),
        ("a queue that is none", "no queue tts"),
        ("a queue with two workers", "two workers"),
        ("a GPU without memory", "stt has a GPU"),
        ("a stage that uses nothing", "works.merge: `use` is above 0"),
        ("no object", "as a whole"),
    ],
)
def test_what_is_wrong_with_a_profile_is_told(tmp_path: Path, what: str, said: str) -> None:
    document = change(load("production").model_dump(mode="json"), what)
    path = tmp_path / "own.json"
    path.write_text(json.dumps(document))

    with pytest.raises(ProfileError, match=said):
        load(str(path))


def test_what_is_no_json_is_told(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text("{")
    with pytest.raises(ProfileError, match="no JSON"):
        load(str(path))
