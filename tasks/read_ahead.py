"""The task that has the engine read a conversation while it goes on."""

from uuid import UUID

from celery import shared_task

from callytics.queueing.queues import TaskName
from tasks.context import current


@shared_task(name=TaskName.READ_AHEAD.value)  # type: ignore[untyped-decorator]
def read_ahead(*, conversation_id: str) -> None:
    current().read_ahead(UUID(conversation_id))
