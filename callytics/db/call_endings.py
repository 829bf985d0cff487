"""The `call_endings` table."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from callytics.db.models import CallEnding, Job


class CallEndings:
    def __init__(self, session: Session) -> None:
        self._session = session

    def latest(self, call_id: UUID) -> UUID | None:
        """The job that tells of the call's latest end."""
        return self._session.scalar(
            select(CallEnding.id)
            .join(Job, Job.id == CallEnding.id)
            .where(CallEnding.call_id == call_id)
            .order_by(Job.created_at.desc())
            .limit(1)
        )
