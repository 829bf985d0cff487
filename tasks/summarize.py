"""The task of the stage `summarize`."""

from celery import shared_task

from callytics.domain.stages import Stage
from callytics.queueing.queues import TaskName
from tasks.base import StageTask


@shared_task(bind=True, base=StageTask, name=TaskName.SUMMARIZE.value)  # type: ignore[untyped-decorator]
def summarize(self: StageTask, *, call_id: str) -> str:
    return self.run_stage(Stage.SUMMARIZE, call_id)
