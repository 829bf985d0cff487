"""Who waits for a change is told by PostgreSQL: one channel, the payload is the id of what changed."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

CHANGES = "callytics_changes"
"""The notification channel; the payload is the id of a call, a job or a batch."""


def announce(session: Session, changed: UUID) -> None:
    """Tell those who watch `changed`, once the transaction is through."""
    session.execute(select(func.pg_notify(CHANGES, str(changed))))
