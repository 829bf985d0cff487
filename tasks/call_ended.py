"""The task that does what follows the end of a call."""

from celery import shared_task

from callytics.domain.jobs import JobKind
from callytics.queueing.queues import TaskName
from tasks.base import run


@shared_task(name=TaskName.CALL_ENDED.value)  # type: ignore[untyped-decorator]
def call_ended(*, job_id: str) -> str:
    return run(JobKind.CALL_ENDED, job_id)
