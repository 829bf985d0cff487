"""What is named in one table exists in the others."""

import importlib
from collections.abc import Iterator

import pytest
from celery import Celery
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from beat.schedule import schedule
from callytics.domain.providers import TASKS
from callytics.domain.stages import SPECS, Queue, Stage
from callytics.embedded.parts import WORKERS
from callytics.queueing.app import make_celery
from callytics.queueing.queues import ROUTES, STAGE_TASK, TaskName
from callytics.settings import PRESETS, ModelsSettings, Settings
from tasks import TASK_MODULES
from workers.runtimes import RUNTIMES


@pytest.fixture
def app(settings: Settings) -> Celery:
    for module in TASK_MODULES:
        importlib.import_module(module)
    return make_celery(settings)


def test_every_task_name_has_a_task_and_every_task_a_name(app: Celery) -> None:
    registered = {name for name in app.tasks if not name.startswith("celery.")}

    assert registered >= {name.value for name in TaskName}


def test_every_task_has_a_queue_that_workers_know(app: Celery) -> None:
    assert set(ROUTES) == set(TaskName)
    assert {queue.name for queue in app.conf.task_queues} == {q.value for q in ROUTES.values()}


def test_every_stage_has_a_task_on_its_own_queue() -> None:
    for stage, spec in SPECS.items():
        assert ROUTES[STAGE_TASK[stage]] is spec.queue


def test_every_queue_is_served_by_exactly_one_worker_of_the_local_stack() -> None:
    served = [queue for queues in WORKERS for queue in queues]

    assert sorted(served) == sorted(set(Queue))


def test_every_entry_of_the_timetable_is_a_task_and_expires_before_the_next() -> None:
    for entry in schedule(Settings()).values():
        assert entry["task"] in set(TaskName)
        assert entry["options"]["expires"] < entry["schedule"]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_names_every_model_with_a_runtime_that_exists(preset: str) -> None:
    fields = ModelsSettings.model_fields
    needed = {name for name, field in fields.items() if field.is_required()}
    assert needed <= set(PRESETS[preset]) <= set(fields)
    assert {block["runtime"] for block in PRESETS[preset].values()} <= set(RUNTIMES)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_chat_model_has_a_task_that_providers_are_chosen_for(preset: str) -> None:
    chat_models = {name for name, said in PRESETS[preset].items() if said["runtime"] == "openai"}
    assert chat_models <= set(TASKS.values())


def test_every_stage_but_the_pure_ones_has_a_model() -> None:
    pure = {Stage.PREPROCESS, Stage.MERGE}
    assert {stage.value for stage in set(Stage) - pure} <= set(ModelsSettings.model_fields)


def test_every_runtime_names_a_class_that_can_be_imported() -> None:
    for spec in RUNTIMES.values():
        module, _, name = spec.target.partition(":")
        assert hasattr(importlib.import_module(module), name)


def test_every_setting_says_what_it_is() -> None:
    silent = [name for name, field in _fields(Settings) if not field.description]

    assert silent == []


def _fields(block: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in block.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field
