"""A call's status, and how it follows from its stages."""

from collections.abc import Collection
from enum import StrEnum

from callytics.domain.stages import StageStatus


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Priority(StrEnum):
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


FINISHED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


def status_of(stages: Collection[StageStatus]) -> JobStatus:
    """What a call is, given all its stages.

    A call whose one branch failed is still running while the other branch can go on; it is failed
    when nothing of it can move any more.
    """
    if all(stage is StageStatus.DONE for stage in stages):
        return JobStatus.COMPLETED
    if StageStatus.RUNNING in stages:
        return JobStatus.RUNNING
    if StageStatus.QUEUED in stages:
        fresh = {StageStatus.QUEUED, StageStatus.WAITING}
        return JobStatus.QUEUED if fresh.issuperset(stages) else JobStatus.RUNNING
    if StageStatus.FAILED in stages:
        return JobStatus.FAILED
    return JobStatus.CANCELLED
