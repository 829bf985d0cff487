"""What beat asks for."""

from celery import shared_task

from callytics.queueing.queues import TaskName
from callytics.services.upkeep import count_ended
from callytics.services.upkeep import sweep as sweep_calls
from callytics.services.upkeep import tidy as tidy_leftovers
from callytics.settings import get_settings
from tasks.context import current


@shared_task(name=TaskName.SWEEP.value)  # type: ignore[untyped-decorator]
def sweep() -> None:
    context = current()
    hints = sweep_calls(context.sessions, context.settings)
    context.send(hints)
    count_ended(context.sessions)  # last: a fault of it costs no hint


@shared_task(name=TaskName.TIDY.value)  # type: ignore[untyped-decorator]
def tidy() -> None:
    context = current()
    tidy_leftovers(context.sessions, context.store, get_settings())
