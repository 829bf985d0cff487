"""The task that makes one attempt at a callback."""

from celery import shared_task

from callytics.domain.jobs import JobKind
from callytics.queueing.queues import TaskName
from tasks.base import run


@shared_task(name=TaskName.DELIVER.value)  # type: ignore[untyped-decorator]
def deliver(*, job_id: str) -> str:
    return run(JobKind.DELIVERY, job_id)
