"""What follows when a job has ended: a transaction of its own, safe to repeat, that beat repeats."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from callytics.db.batches import AnalysisItems
from callytics.db.engine import unit_of_work
from callytics.domain.jobs import JobKind
from callytics.services import batches
from callytics.services.job_work import JobHint


def follow_up(sessions: sessionmaker[Session], kind: JobKind, job_id: UUID) -> Sequence[JobHint]:
    """End the batch whose last consultation this was; the hints to send."""
    if kind is not JobKind.ANALYSIS:
        return []
    with unit_of_work(sessions) as session:
        batch_id = AnalysisItems(session).last_of_batch(job_id)
    return batches.settle(sessions, batch_id) if batch_id else []
