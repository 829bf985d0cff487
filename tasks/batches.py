"""Beat's look for batches whose time is over."""

from celery import shared_task

from callytics.queueing.queues import TaskName
from callytics.services.batches import close_due
from callytics.settings import get_settings
from tasks.context import current


@shared_task(name=TaskName.CLOSE_BATCHES.value)  # type: ignore[untyped-decorator]
def close_batches() -> None:
    context = current()
    context.send(close_due(context.sessions, get_settings()))
