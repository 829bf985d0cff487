"""The `calls` table."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, bindparam, delete, select, text, tuple_
from sqlalchemy.orm import Session, joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.sql.base import ExecutableOption

from callytics.db.changes import CHANGES, announce
from callytics.db.models import AnalysisItem, Call, CallEnding, CallTurn, Job, ShadowRun
from callytics.domain.job import FINISHED, JobStatus, Priority
from callytics.domain.stages import Stage, StageStatus
from callytics.errors import CallNotFoundError


@dataclass(frozen=True, kw_only=True, slots=True)
class CallFilter:
    """Which calls are listed; None leaves a condition out."""

    status: JobStatus | None = None
    priority: Priority | None = None
    consultation_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        equal = {
            Call.status: self.status,
            Call.priority: self.priority,
            Call.consultation_id: self.consultation_id,
        }
        conditions = [column == value for column, value in equal.items() if value is not None]
        if self.created_after is not None:
            conditions.append(Call.created_at > self.created_after)
        if self.created_before is not None:
            conditions.append(Call.created_at < self.created_before)
        return conditions


_ADVANCE = text("""
    WITH queued AS (
        UPDATE stage_runs SET
            status = 'queued', queued_at = clock_timestamp(), next_attempt_at = NULL,
            hinted_at = clock_timestamp(), hints = 1, variant = ready.variant
        FROM unnest(CAST(:ready AS text[]), CAST(:variants AS text[])) AS ready(stage, variant)
        WHERE call_id = :call_id AND stage_runs.stage = ready.stage
    ), settled AS (
        UPDATE calls SET
            status = :status,
            completed_at = CASE WHEN :finished THEN clock_timestamp() END
        WHERE id = :call_id AND status <> :status
    )
    SELECT pg_notify(:channel, CAST(:call_id AS text)),
           CASE WHEN :relaxed THEN set_config('synchronous_commit', 'off', true) END
""").bindparams(bindparam("call_id", type_=Uuid()))


class Calls:
    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, call_id: UUID) -> Call:
        call = self._session.get(Call, call_id)
        if call is None:
            raise CallNotFoundError
        return call

    def owned(self, client_id: UUID, call_id: UUID, *, words: bool = False) -> Call:
        """The client's call with its stages and all results; that of another client is not found."""
        turns = selectinload(Call.turns)
        return self._owned(
            client_id,
            call_id,
            selectinload(Call.stage_runs),
            turns.undefer(CallTurn.words) if words else turns,
            joinedload(Call.summary),
            selectinload(Call.analyses).options(
                joinedload(AnalysisItem.job),
                joinedload(AnalysisItem.batch),
                selectinload(AnalysisItem.results),
            ),
        )

    def progress(self, client_id: UUID, call_id: UUID) -> Call:
        """As `owned`, with its stages alone."""
        return self._owned(client_id, call_id, selectinload(Call.stage_runs))

    def _owned(self, client_id: UUID, call_id: UUID, *options: ExecutableOption) -> Call:
        found = self._session.scalar(
            select(Call).where(Call.id == call_id, Call.client_id == client_id).options(*options)
        )
        if found is None:
            raise CallNotFoundError
        return found

    def lock_owned(self, client_id: UUID, call_id: UUID) -> Call:
        """As `lock_or_none`, of this client."""
        call = self.lock_or_none(call_id)
        if call is None or call.client_id != client_id:
            raise CallNotFoundError
        return call

    def page(
        self, client_id: UUID, filters: CallFilter, *, after: UUID | None, limit: int
    ) -> Sequence[Call]:
        """Up to `limit` calls of the client, newest first, beginning behind the call `after`."""
        query = select(Call).where(Call.client_id == client_id, *filters.conditions())
        last = self._owned(client_id, after) if after is not None else None
        return self._page(query, after=last, limit=limit)

    def page_of_all(self, filters: CallFilter, *, after: UUID | None, limit: int) -> Sequence[Call]:
        """As `page`, every client's: for operators."""
        query = select(Call).where(*filters.conditions())
        last = self.get(after) if after is not None else None
        return self._page(query, after=last, limit=limit)

    def _page(self, query: Select[Call], *, after: Call | None, limit: int) -> Sequence[Call]:
        if after is not None:
            key = tuple_(after.created_at, after.id)
            query = query.where(tuple_(Call.created_at, Call.id) < key)
        query = query.order_by(Call.created_at.desc(), Call.id.desc()).limit(limit)
        return self._session.scalars(query).all()

    def durations(self, limit: int) -> Sequence[float]:
        """Seconds of audio of the latest calls that were completed, every client's."""
        found = self._session.scalars(
            select(Call.duration_s)
            .where(Call.status == JobStatus.COMPLETED)
            .order_by(Call.created_at.desc())
            .limit(limit)
        )
        return [seconds for seconds in found if seconds is not None]

    def these(self, call_ids: Collection[UUID]) -> Mapping[UUID, Call]:
        found = self._session.scalars(select(Call).where(Call.id.in_(call_ids)))
        return {call.id: call for call in found}

    def delete(self, call_id: UUID) -> None:
        """Delete the row and all that hangs on it, the jobs of its shadows and of its ends too."""
        shadows = select(ShadowRun.id).where(ShadowRun.call_id == call_id)
        self._session.execute(delete(Job).where(Job.id.in_(shadows)))
        endings = select(CallEnding.id).where(CallEnding.call_id == call_id)
        # One that has not ended finds the call gone; a worker that holds it may wait for the call's row.
        ended = (StageStatus.DONE, StageStatus.FAILED, StageStatus.CANCELLED)
        self._session.execute(delete(Job).where(Job.id.in_(endings), Job.status.in_(ended)))
        self._session.execute(delete(Call).where(Call.id == call_id))
        announce(self._session, call_id)

    def lock_or_none(self, call_id: UUID) -> Call | None:
        """The call, locked until the transaction ends. Every change of a call or its stages starts so."""
        return self._session.get(Call, call_id, with_for_update=True, populate_existing=True)

    def advance(
        self, call: Call, *, ready: Mapping[Stage, str], status: JobStatus, relaxed: bool
    ) -> None:
        """Queue the `ready` stages, each for its variant, and set the call's status, in one round trip;
        tell who watches it.

        `relaxed` lets the commit return before it is on the disk.
        """
        self._session.execute(
            _ADVANCE,
            {
                "call_id": call.id,
                "ready": [stage.value for stage in ready],
                "variants": list(ready.values()),
                "status": status.value,
                "finished": status in FINISHED,
                "relaxed": relaxed,
                "channel": CHANGES,
            },
        )
        set_committed_value(call, "status", status)
