"""The task of the stage `transcribe`."""

from celery import shared_task

from callytics.domain.stages import Stage
from callytics.queueing.queues import TaskName
from tasks.base import StageTask


@shared_task(bind=True, base=StageTask, name=TaskName.TRANSCRIBE.value)  # type: ignore[untyped-decorator]
def transcribe(self: StageTask, *, call_id: str) -> str:
    return self.run_stage(Stage.TRANSCRIBE, call_id)
