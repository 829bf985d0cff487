"""The task of quick summaries."""

from celery import shared_task

from callytics.domain.jobs import JobKind
from callytics.queueing.queues import TaskName
from tasks.base import run


@shared_task(name=TaskName.QUICK_SUMMARY.value)  # type: ignore[untyped-decorator]
def quick_summary(*, job_id: str) -> str:
    return run(JobKind.QUICK_SUMMARY, job_id)
