"""What the tasks of stages and of jobs share."""

from uuid import UUID

from celery import Task

from callytics.domain.jobs import JobKind
from callytics.domain.stages import Stage
from callytics.services.job import run_job
from callytics.services.stage import run_stage
from tasks.context import current


class StageTask(Task):  # type: ignore[misc]  # celery is untyped
    """A task instance is shared between runs: no state on `self`."""

    abstract = True

    def run_stage(self, stage: Stage, call_id: str) -> str:
        """Run `stage`; the rest of the chain is cut where it would find nothing to do."""
        chain = self.request.chain
        carried = chain[-1]["options"].get("queue") if chain else None
        outcome = run_stage(current(), stage, UUID(call_id), carried=carried)
        if not outcome.carries_on:
            self.request.chain = None
        return outcome.value


def run(kind: JobKind, job_id: str) -> str:
    """Run a job; the outcome, for Flower."""
    return run_job(current(), kind, UUID(job_id)).value
