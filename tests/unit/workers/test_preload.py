from threading import Barrier, Event
from typing import Any

import pytest

from callytics.domain.stages import Queue, Stage
from callytics.errors import ModelUnavailableError
from callytics.ports import Model, ModelInfo
from tests.support.waiting import wait_until
from workers.factory import needed_by
from workers.preload import Preloader, all_ready


class Quiet:
    """A model that is there at once."""

    info = ModelInfo(name="m", revision="r", device="cpu")

    def __init__(self) -> None:
        self.warm = False

    def warm_up(self) -> None:
        self.warm = True


def preload(**loaders: Any) -> tuple[Preloader, dict[str, Model]]:
    ready: dict[str, Model] = {}
    preloader = Preloader(loaders, ready.__setitem__)
    preloader.start()
    return preloader, ready


def test_models_are_warm_before_they_are_handed_out() -> None:
    preloader, ready = preload(diarize=Quiet, transcribe=Quiet)
    preloader.wait_until_settled()

    assert preloader.state == "ready"
    assert all(isinstance(model, Quiet) and model.warm for model in ready.values())
    assert preloader.states[Stage.DIARIZE].model == "m"


def test_models_load_side_by_side() -> None:
    together = Barrier(2)

    def load() -> Quiet:
        together.wait(5)
        return Quiet()

    preloader, ready = preload(diarize=load, transcribe=load)
    preloader.wait_until_settled()

    assert set(ready) == {Stage.DIARIZE, Stage.TRANSCRIBE}


def test_a_worker_is_loading_until_every_model_was_tried() -> None:
    go_on = Event()

    def load() -> Quiet:
        assert go_on.wait(5)
        return Quiet()

    preloader, _ = preload(diarize=load, transcribe=Quiet)

    wait_until(lambda: preloader.states[Stage.TRANSCRIBE].status == "ready")
    assert preloader.state == "loading"
    go_on.set()
    preloader.wait_until_settled()
    assert preloader.state == "ready"


def test_a_model_that_fails_is_tried_again_and_does_not_hold_up_its_neighbour() -> None:
    allowed = Event()

    def load() -> Quiet:
        if not allowed.is_set():
            raise ModelUnavailableError("The folder is empty.")
        return Quiet()

    preloader, ready = preload(diarize=load, transcribe=Quiet)
    preloader.wait_until_settled()

    state = preloader.states[Stage.DIARIZE]
    assert preloader.state == "failed"
    assert state.problem == {"code": "model_unavailable", "detail": "The folder is empty."}
    assert list(ready) == [Stage.TRANSCRIBE]
    allowed.set()
    wait_until(lambda: preloader.state == "ready")
    assert preloader.states[Stage.DIARIZE].problem is None


def test_only_the_models_of_the_stages_asked_for_count() -> None:
    models = {"diarize": {"status": "ready"}, "transcribe": {"status": "failed"}}

    assert all_ready(models, ["diarize", "merge"])
    assert not all_ready(models, ["diarize", "transcribe"])


@pytest.mark.parametrize(
    ("text", "image", "serves"), [("ready", "failed", True), ("failed", "ready", False)]
)
def test_diagnoses_are_served_without_the_model_for_images(
    text: str, image: str, serves: bool
) -> None:
    models = {"diagnosis_text": {"status": text}, "diagnosis_image": {"status": image}}

    assert all_ready(models, needed_by([Queue.DIAGNOSIS])) is serves
