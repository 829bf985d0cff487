"""The task of diagnoses."""

from celery import shared_task

from callytics.domain.jobs import JobKind
from callytics.queueing.queues import TaskName
from tasks.base import run


@shared_task(name=TaskName.DIAGNOSE.value)  # type: ignore[untyped-decorator]
def diagnose(*, job_id: str) -> str:
    return run(JobKind.DIAGNOSIS, job_id)
