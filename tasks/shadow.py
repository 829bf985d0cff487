"""The tasks of shadow runs, one a stage or kind of job: each runs on the queue of what it repeats."""

from celery import Task, shared_task

from callytics.domain.jobs import SHADOW_KINDS, JobKind
from callytics.queueing.queues import JOB_TASK
from tasks.base import run


def _task(kind: JobKind) -> Task:
    @shared_task(name=JOB_TASK[kind].value)  # type: ignore[untyped-decorator]
    def shadow(*, job_id: str) -> str:
        return run(kind, job_id)

    return shadow


TASKS = tuple(_task(kind) for kind in SHADOW_KINDS)
