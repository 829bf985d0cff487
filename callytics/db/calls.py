"""The `calls` table."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from callytics.db.models import Call
from callytics.domain.job import FINISHED, status_of
from callytics.domain.stages import Stage, StageStatus
from callytics.errors import CallNotFoundError

CHANGES = "callytics_calls"
"""PostgreSQL notification channel: the payload is the id of a call that changed."""


class Calls:
    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, call_id: UUID) -> Call:
        call = self._session.get(Call, call_id)
        if call is None:
            raise CallNotFoundError
        return call

    def lock_or_none(self, call_id: UUID) -> Call | None:
        """The call, locked until the transaction ends. Every change of a call or its stages starts so."""
        return self._session.get(Call, call_id, with_for_update=True, populate_existing=True)

    def settle(self, call: Call, stages: Mapping[Stage, StageStatus]) -> None:
        """Bring the status up to date with the stages, and tell those who listen."""
        status = status_of(stages.values())
        if call.status is not status:
            call.status = status
            call.completed_at = func.clock_timestamp() if status in FINISHED else None
        call.updated_at = func.clock_timestamp()
        self.announce(call.id)

    def announce(self, call_id: UUID) -> None:
        """Tell those who watch this call that it changed, once the transaction is through."""
        self._session.execute(select(func.pg_notify(CHANGES, str(call_id))))
