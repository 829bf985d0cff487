"""The timetable. Each entry expires before the next of its kind, so an outage leaves no burst."""

from collections.abc import Mapping
from typing import Any

from callytics.queueing.queues import TaskName
from callytics.settings import Settings

TIDY_EVERY_S = 300


def schedule(settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    """What beat sends, how often (seconds), and how long a message is good for."""
    return {
        "sweep": _entry(TaskName.SWEEP, settings.pipeline.sweep_every_s),
        "close-batches": _entry(TaskName.CLOSE_BATCHES, settings.batch.tick_every_s),
        "tidy": _entry(TaskName.TIDY, TIDY_EVERY_S),
    }


def _entry(task: TaskName, every_s: float) -> Mapping[str, Any]:
    return {
        "task": task.value,
        "schedule": every_s,
        "options": {"expires": every_s * 0.9, "ignore_result": True},
    }
