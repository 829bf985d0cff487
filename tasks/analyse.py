"""The task that analyses one consultation of a batch."""

from celery import shared_task

from callytics.domain.jobs import JobKind
from callytics.queueing.queues import TaskName
from tasks.base import run


@shared_task(name=TaskName.ANALYSE.value)  # type: ignore[untyped-decorator]
def analyse(*, job_id: str) -> str:
    return run(JobKind.ANALYSIS, job_id)
