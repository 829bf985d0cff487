"""The task that has texts judged which clients wait for: whatever waits by now, of however many requests."""

from celery import shared_task

from callytics.queueing.queues import TaskName
from tasks.context import current


@shared_task(name=TaskName.CLASSIFY.value)  # type: ignore[untyped-decorator]
def classify() -> None:
    current().classify()
