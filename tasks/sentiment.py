"""The task of the stage `sentiment`."""

from celery import shared_task

from callytics.domain.stages import Stage
from callytics.queueing.queues import TaskName
from tasks.base import StageTask


@shared_task(bind=True, base=StageTask, name=TaskName.SENTIMENT.value)  # type: ignore[untyped-decorator]
def sentiment(self: StageTask, *, call_id: str) -> str:
    return self.run_stage(Stage.SENTIMENT, call_id)
