"""The task of the stage `punctuate`."""

from celery import shared_task

from callytics.domain.stages import Stage
from callytics.queueing.queues import TaskName
from tasks.base import StageTask


@shared_task(bind=True, base=StageTask, name=TaskName.PUNCTUATE.value)  # type: ignore[untyped-decorator]
def punctuate(self: StageTask, *, call_id: str) -> str:
    return self.run_stage(Stage.PUNCTUATE, call_id)
