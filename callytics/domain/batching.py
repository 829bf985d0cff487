"""When a batch closes, what it is called, and how its status follows from its consultations."""

from collections.abc import Collection, Mapping
from enum import StrEnum

from callytics.domain.stages import StageStatus


class BatchStatus(StrEnum):
    QUEUED = "queued"
    """Open, or closed and not begun."""
    RUNNING = "running"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    """Not one consultation could be analysed."""
    CANCELLED = "cancelled"


BATCH_FINISHED = frozenset(
    {
        BatchStatus.COMPLETED,
        BatchStatus.COMPLETED_WITH_ERRORS,
        BatchStatus.FAILED,
        BatchStatus.CANCELLED,
    }
)

RERUNNABLE = frozenset({BatchStatus.COMPLETED_WITH_ERRORS, BatchStatus.FAILED})
"""What `--all-failed` means."""


def batch_name(day: str, number: int) -> str:
    """`BATCH-20250913-001` of the day `20250913`."""
    return f"BATCH-{day}-{number:03d}"


def shown_status(status: BatchStatus, counts: Mapping[StageStatus, int]) -> BatchStatus:
    """A row says `queued` until its batch has ended: whether it runs, its consultations say."""
    if status is not BatchStatus.QUEUED:
        return status
    begun = counts.keys() - {StageStatus.WAITING, StageStatus.QUEUED}
    return BatchStatus.RUNNING if begun else status


def batch_status(items: Collection[StageStatus]) -> BatchStatus:
    """What a batch is of whose consultations none moves any more."""
    done = sum(item is StageStatus.DONE for item in items)
    if done == len(items):
        return BatchStatus.COMPLETED
    if done:
        return BatchStatus.COMPLETED_WITH_ERRORS
    failed = StageStatus.FAILED in items
    return BatchStatus.FAILED if failed else BatchStatus.CANCELLED
