"""Variants of models in the settings."""

from typing import Any

import pytest
from pydantic import ValidationError

from callytics.domain.routes import Lane, Route
from callytics.domain.stages import Queue
from callytics.embedded.parts import WORKERS, worker_lanes
from callytics.errors import ConfigurationError
from callytics.model_files.locate import configured
from callytics.settings import Settings


def with_model(**said: Any) -> Settings:
    return Settings(models={"transcribe": said})


def test_without_variants_all_is_as_it_was() -> None:
    models = Settings().models

    assert models.lanes == ()
    assert all(route == Route() for route in models.routes.values())
    assert worker_lanes(Settings()) == [tuple(map(Lane, queues)) for queues in WORKERS]


def test_a_variant_is_the_model_with_what_it_says_changed() -> None:
    settings = with_model(
        variants={"v2": {"model": "whisper-small", "options": {"beam_size": 1}}},
        weights={"v1": 90, "v2": 10},
        shadow="v2",
        revision="abc",
        options={"vad": True},
    )
    first = settings.models.transcribe

    second = first.variant("v2")

    assert (second.model, second.precision) == ("whisper-small", first.precision)
    assert second.options == {"beam_size": 1, "vad": True}
    assert second.revision is None
    assert settings.models.routes[Queue.STT] == Route(weights={"v1": 90, "v2": 10}, shadow="v2")
    assert worker_lanes(settings)[-1] == (Lane(Queue.STT, "v2"),)
    assert ("transcribe.v2", second) in configured(settings)


def test_another_runtime_wants_nothing_of_what_was_tuned_for_the_first() -> None:
    settings = with_model(variants={"v2": {"runtime": "other", "batch_size": 3}})

    second = settings.models.transcribe.variant("v2")

    assert (second.runtime, second.batch_size, second.options) == ("other", 3, {})


@pytest.mark.parametrize(
    "said",
    [
        {"variants": {"v1": {}}},
        {"variants": {"V2": {}}},
        {"variants": {"v2": {"no_such_field": 1}}},
        {"variants": {"v2": {"batch_size": 0}}},
        {"variants": {"v2": {"shadow": "v1"}}},
        {"weights": {"v2": 1}},
        {"weights": {"v1": 0}},
        {"weights": {"v1": -1}},
        {"shadow": "v2"},
    ],
)
def test_what_makes_no_sense_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"models\.transcribe"):
        with_model(**said)


@pytest.mark.parametrize(
    "said",
    [
        {"variants": {"v2": {}}},
        {"variants": {"v2": {}}, "shadow": "v2"},
        {"variants": {"v2": {}}, "weights": {"v1": 1, "v2": 1}},
    ],
)
def test_what_would_be_ignored_is_refused_with_a_reason(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="diagnosis_text has no variants, weights or shadow"):
        Settings(models={"diagnosis_text": said})


def test_the_environment_names_variants_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "CALLYTICS_MODELS__TRANSCRIBE__"
    monkeypatch.setenv(f"{name}VARIANTS", '{"v2": {"batch_size": 2}}')
    monkeypatch.setenv(f"{name}WEIGHTS", '{"v1": 1, "v2": 1}')

    found = Settings().models.transcribe

    assert found.variant("v2").batch_size == 2
    assert found.weights == {"v1": 1, "v2": 1}


def test_a_worker_has_the_model_and_the_block_of_its_variant() -> None:
    settings = Settings(
        models={"transcribe": {"variants": {"v2": {"batch_size": 2}}}},
        workers={"stt": {"gpu": "0", "threads": 2}, "stt.v2": {"gpu": "1"}},
    )

    found = settings.serving([Lane(Queue.STT, "v2"), Lane(Queue.DIARIZE)])

    assert found.models.transcribe.batch_size == 2
    assert found.models.diarize == settings.models.diarize
    assert (found.worker(Queue.STT).gpu, found.worker(Queue.STT).threads) == ("1", 2)
    assert settings.worker(Queue.STT).gpu == "0"


def test_a_worker_of_a_variant_that_nobody_named_does_not_start() -> None:
    with pytest.raises(ConfigurationError, match="no variant v3; there are v1, v2"):
        with_model(variants={"v2": {}}).serving([Lane(Queue.STT, "v3")])


def test_a_worker_serves_one_variant_of_a_queue() -> None:
    with pytest.raises(ConfigurationError, match="one variant"):
        with_model(variants={"v2": {}}).serving([Lane(Queue.STT), Lane(Queue.STT, "v2")])


def test_a_block_of_no_queue_is_refused() -> None:
    with pytest.raises(ValidationError, match="no queue"):
        Settings(workers={"sst": {"gpu": "0"}})
