"""The `purges` table: that something was purged, by whom and how much, never whose."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from callytics.db.models import Purge
from callytics.domain.retention import Scope

_COUNT = text("""
    UPDATE purges SET counts = counts || jsonb_build_object(
        CAST(:kind AS text), coalesce(CAST(counts ->> :kind AS integer), 0) + :number)
    WHERE id = :id
""")


class Purges:
    def __init__(self, session: Session) -> None:
        self._session = session

    def begin(self, *, actor: str, reason: str, scope: Scope, before: datetime | None) -> UUID:
        purge = Purge(actor=actor, reason=reason, scope=scope.value, before=before, counts={})
        self._session.add(purge)
        self._session.flush()
        return purge.id

    def count(self, purge_id: UUID, kind: str, number: int) -> None:
        """Note in the transaction that purges them that so many rows of a kind are gone."""
        self._session.execute(_COUNT, {"id": purge_id, "kind": kind, "number": number})

    def finish(self, purge_id: UUID) -> None:
        self._session.execute(
            update(Purge).where(Purge.id == purge_id).values(finished_at=func.clock_timestamp())
        )

    def latest(self, limit: int) -> Sequence[Purge]:
        """Newest first."""
        newest = select(Purge).order_by(Purge.started_at.desc(), Purge.id).limit(limit)
        return self._session.scalars(newest).all()
