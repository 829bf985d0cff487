"""The `quick_summaries` table, and the conversations that go on (`conversations`, `spoken_turns`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload, selectinload, undefer

from callytics.db.heartbeats import FRESH_FOR
from callytics.db.models import Conversation, Job, QuickSummary, WorkerHeartbeat
from callytics.domain.job import Priority
from callytics.domain.jobs import JobKind
from callytics.domain.stages import StageStatus
from callytics.errors import ConversationNotFoundError, QuickSummaryNotFoundError

_BEFORE = {
    Priority.HIGH: (Priority.HIGH,),
    Priority.NORMAL: (Priority.HIGH, Priority.NORMAL),
    Priority.LOW: tuple(Priority),
}
"""Which priorities go no later than one."""

RECENT = 20
"""The latest answers that an expectation rests on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What stands before a new request: how many wait or run in all, how many of them go before it, and
    the seconds that a summary took lately (None: none was made yet).
    """

    waiting: int
    ahead: int
    seconds: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A summary that was finished: seconds from the request's arrival to its end."""

    seconds: float
    late: bool


class QuickSummaries:
    def __init__(self, session: Session) -> None:
        self._session = session

    def to_make(self, summary_id: UUID) -> tuple[QuickSummary, float]:
        """The request with what was said, and the seconds that are left of its budget (below 0: over)."""
        left = func.extract("epoch", QuickSummary.deadline_at - func.clock_timestamp())
        row, left_s = self._session.execute(
            select(QuickSummary, left)
            .where(QuickSummary.id == summary_id)
            .options(undefer(QuickSummary.conversation))
        ).one()
        return row, float(left_s)

    def fresh(self, within: timedelta) -> bool:
        """Whether a request has come within this time that was, and still is, to be answered in time."""
        received = QuickSummary.received_at > func.clock_timestamp() - within
        found = self._session.scalar(select(exists().where(received, QuickSummary.late.is_(False))))
        return bool(found)

    def store(self, summary_id: UUID, **answer: Any) -> None:
        self._session.execute(
            update(QuickSummary).where(QuickSummary.id == summary_id).values(**answer)
        )

    def owned(self, client_id: UUID, summary_id: UUID) -> QuickSummary:
        found = self._session.scalar(
            select(QuickSummary)
            .where(QuickSummary.id == summary_id, QuickSummary.client_id == client_id)
            .options(joinedload(QuickSummary.job))
        )
        if found is None:
            raise QuickSummaryNotFoundError
        return found

    def same(
        self,
        client_id: UUID,
        content_hash: str,
        *,
        priority: Priority,
        model: str,
        within: timedelta,
    ) -> QuickSummary | None:
        """A request of this client with the same content that is answered, or will be no later.

        An answer counts if a worker that lives now would give it with the same revision of the model.
        """
        revision = WorkerHeartbeat.models["summarize"]["revision"].astext
        current = exists().where(
            WorkerHeartbeat.beat_at > func.clock_timestamp() - FRESH_FOR,
            revision == QuickSummary.revision,
        )
        unfinished = (Job.status == StageStatus.RUNNING) | (
            (Job.status == StageStatus.QUEUED) & Job.priority.in_(_BEFORE[priority])
        )
        answered = (Job.status == StageStatus.DONE) & (QuickSummary.model == model) & current
        return self._session.scalar(
            select(QuickSummary)
            .join(Job, Job.id == QuickSummary.id)
            .where(
                QuickSummary.client_id == client_id,
                QuickSummary.content_hash == content_hash,
                QuickSummary.received_at > func.clock_timestamp() - within,
                unfinished | answered,
            )
            .options(joinedload(QuickSummary.job))
            .order_by(QuickSummary.received_at.desc())
            .limit(1)
        )

    def load(self, priority: Priority, *, ahead: bool) -> Load:
        """What a request of this `priority` would find before it, and how long one like it takes."""
        before = (Job.status == StageStatus.RUNNING) | Job.priority.in_(_BEFORE[priority])
        recent = (
            select(QuickSummary.seconds)
            # Late ones have all the time that they want: they say nothing of those in time.
            .where(
                QuickSummary.seconds > 0,
                QuickSummary.ahead == ahead,
                QuickSummary.late.is_(False),
            )
            .order_by(QuickSummary.received_at.desc())
            .limit(RECENT)
            .subquery()
        )
        seconds = select(func.avg(recent.c.seconds)).scalar_subquery()
        row = self._session.execute(
            select(
                func.count().label("waiting"),
                func.count().filter(before).label("ahead"),
                seconds.label("seconds"),
            ).where(
                Job.kind == JobKind.QUICK_SUMMARY,
                Job.status.in_((StageStatus.QUEUED, StageStatus.RUNNING)),
            )
        ).one()
        return Load(waiting=row.waiting, ahead=row.ahead, seconds=row.seconds)

    def answered(self, since: datetime, until: datetime) -> Sequence[Answered]:
        """What ended in this time."""
        rows = self._session.execute(
            select(
                func.extract("epoch", Job.finished_at - QuickSummary.received_at).label("seconds"),
                QuickSummary.late,
            )
            .join(Job, Job.id == QuickSummary.id)
            .where(
                Job.status.in_((StageStatus.DONE, StageStatus.FAILED)),
                Job.finished_at > since,
                Job.finished_at <= until,
            )
        )
        return [Answered(seconds=float(row.seconds), late=row.late) for row in rows]

    def forget(self, older_than: timedelta) -> None:
        """Drop requests, and with them what was said, that nobody will ask for again."""
        old = select(QuickSummary.id).where(
            QuickSummary.received_at < func.clock_timestamp() - older_than
        )
        self._session.execute(delete(Job).where(Job.id.in_(old)))


class Conversations:
    def __init__(self, session: Session) -> None:
        self._session = session

    def lock_or_begin(self, client_id: UUID, consultation_id: str) -> Conversation:
        """The conversation, locked, with its turns so far."""
        self._session.execute(
            insert(Conversation)
            .values(client_id=client_id, consultation_id=consultation_id)
            .on_conflict_do_update(
                index_elements=["client_id", "consultation_id"],
                set_={"changed_at": func.clock_timestamp()},
            )
        )
        return self.find(client_id, consultation_id)

    def find(self, client_id: UUID, consultation_id: str) -> Conversation:
        """The conversation with its turns; raises ConversationNotFoundError."""
        found = self._session.scalar(
            select(Conversation)
            .where(
                Conversation.client_id == client_id,
                Conversation.consultation_id == consultation_id,
            )
            .options(selectinload(Conversation.turns))
        )
        if found is None:
            raise ConversationNotFoundError
        return found

    def get(self, conversation_id: UUID) -> Conversation | None:
        return self._session.scalar(
            select(Conversation)
            .where(Conversation.id == conversation_id)
            .options(selectinload(Conversation.turns))
        )

    def forget(self, older_than: timedelta) -> None:
        """Drop conversations that ended long ago."""
        self._session.execute(
            delete(Conversation).where(
                Conversation.changed_at < func.clock_timestamp() - older_than
            )
        )
