"""The `quick_summaries` table, and the conversations that go on (`conversations`, `spoken_turns`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Interval, bindparam, case, delete, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session, joinedload, selectinload

from callytics.db.engine import RELAX, insist
from callytics.db.heartbeats import FRESH_FOR
from callytics.db.jobs import insertion
from callytics.db.models import Conversation, Job, QuickSummary, ShadowRun
from callytics.domain.job import Priority
from callytics.domain.jobs import JOBS, JobKind
from callytics.domain.providers import OWN
from callytics.domain.routes import Lane
from callytics.errors import ConversationNotFoundError, QuickSummaryNotFoundError

# Statements of the request that an agent waits for are made once: putting one together takes as long as
# running it.

_SUMMARY = QuickSummary.__table__.c

_STANDING = text("""
    WITH asked_first AS (
        SELECT coalesce(
            (SELECT providers[1] FROM provider_choices WHERE task = 'slm' AND :heeds_choice),
            :first
        ) AS name
    )
    SELECT
        (
            SELECT id
            FROM asked_first, quick_summaries AS earlier JOIN jobs AS its USING (id)
            WHERE earlier.client_id = :client_id AND earlier.content_hash = :content_hash
              AND earlier.received_at > clock_timestamp() - CAST(:within AS interval)
              -- Since it was asked it may have moved to another variant.
              AND its.variant = :variant
              AND (
                  its.status = 'running'
                  OR its.status = 'queued' AND its.priority = ANY(:no_later)
                  OR its.status = 'done'
                  AND coalesce(earlier.provider, asked_first.name) = asked_first.name
                  AND CASE WHEN asked_first.name = ANY(:own) THEN EXISTS (
                      SELECT FROM worker_heartbeats
                      WHERE beat_at > clock_timestamp() - CAST(:fresh_for AS interval)
                        AND :lane = ANY(queues)
                        AND models -> 'summarize' ->> 'model' = earlier.model
                        AND models -> 'summarize' ->> 'revision' = earlier.revision
                  ) ELSE earlier.model = CAST(:models AS jsonb) ->> asked_first.name END
              )
            ORDER BY earlier.received_at DESC
            LIMIT 1
        ) AS same,
        count(*) AS waiting,
        count(*) FILTER (WHERE status = 'running' OR priority = ANY(:no_later)) AS before,
        (
            SELECT avg(seconds) FROM (
                SELECT seconds FROM quick_summaries
                -- Late ones have all the time that they want: they say nothing of those in time.
                WHERE seconds > 0 AND ahead = :ahead AND NOT late
                ORDER BY received_at DESC
                LIMIT :recent
            ) AS latest
        ) AS seconds
    FROM jobs
    WHERE kind = 'quick_summary' AND status IN ('queued', 'running')
""").bindparams(bindparam("models", type_=JSONB))

_ADD = (
    insert(QuickSummary.__table__)  # type: ignore[arg-type]
    .values(
        id=bindparam("summary_id"),
        client_id=bindparam("client"),
        consultation_id=bindparam("consultation"),
        conversation=bindparam("said"),
        ahead=bindparam("sent_ahead"),
        content_hash=bindparam("content"),
        received_at=func.clock_timestamp() - bindparam("waited", type_=Interval),
        deadline_at=func.clock_timestamp() + bindparam("left", type_=Interval),
        late=bindparam("is_late"),
    )
    .add_cte(
        insertion(
            JobKind.QUICK_SUMMARY,
            id=bindparam("summary_id"),
            priority=bindparam("its_priority"),
            variant=bindparam("its_variant"),
        ).cte("job")
    )
    .returning(case((_SUMMARY.late.is_(False), RELAX)))
)

_TO_MAKE = select(
    _SUMMARY.conversation,
    _SUMMARY.ahead,
    _SUMMARY.late,
    func.extract("epoch", _SUMMARY.deadline_at - func.clock_timestamp()).label("left_s"),
).where(_SUMMARY.id == bindparam("id"))

_STORE = (
    update(QuickSummary.__table__)  # type: ignore[arg-type]
    .where(_SUMMARY.id == bindparam("summary_id"))
    .returning(RELAX)
)

_OWNED = (
    select(QuickSummary)
    .where(QuickSummary.id == bindparam("id"), QuickSummary.client_id == bindparam("client_id"))
    .options(joinedload(QuickSummary.job))
)

_BEFORE = {
    Priority.HIGH: (Priority.HIGH,),
    Priority.NORMAL: (Priority.HIGH, Priority.NORMAL),
    Priority.LOW: tuple(Priority),
}
"""Which priorities go no later than one."""

RECENT = 20
"""The latest answers that an expectation rests on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What a new request finds: an earlier one with the same content, how many wait or run in all, how
    many of them go before it, and the seconds that a summary took lately (None: none was made yet).
    """

    same: UUID | None
    waiting: int
    before: int
    seconds: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ToMake:
    """A request, and the seconds that are left of its budget (below 0: over)."""

    conversation: str
    ahead: bool
    late: bool
    left_s: float


class QuickSummaries:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        summary_id: UUID,
        client_id: UUID,
        consultation_id: str,
        conversation: str,
        *,
        content_hash: str,
        priority: Priority,
        variant: str,
        ahead: bool,
        late: bool,
        waited: timedelta,
        left: timedelta,
    ) -> None:
        """A new request with its job, queued, in one round trip.

        One that is not `late` need not survive a crash of PostgreSQL: nothing was promised yet, and who
        asked gets no answer either.
        """
        self._session.execute(
            _ADD,
            {
                "summary_id": summary_id,
                "client": client_id,
                "consultation": consultation_id,
                "said": conversation,
                "sent_ahead": ahead,
                "content": content_hash,
                "waited": waited,
                "left": left,
                "is_late": late,
                "its_priority": priority,
                "its_variant": variant,
            },
        )

    def to_make(self, summary_id: UUID) -> ToMake:
        row = self._session.execute(_TO_MAKE, {"id": summary_id}).one()
        return ToMake(
            conversation=row.conversation, ahead=row.ahead, late=row.late, left_s=float(row.left_s)
        )

    def give_way(self, summary_id: UUID) -> None:
        """It is late; its client is told where to fetch it, so the commit waits for the disk."""
        self._session.execute(
            update(QuickSummary).where(QuickSummary.id == summary_id).values(late=True)
        )
        insist(self._session)

    def fresh(self, within: timedelta) -> bool:
        """Whether a request has come within this time that was, and still is, to be answered in time."""
        received = QuickSummary.received_at > func.clock_timestamp() - within
        found = self._session.scalar(select(exists().where(received, QuickSummary.late.is_(False))))
        return bool(found)

    def store(self, summary_id: UUID, **answer: Any) -> None:
        """The answer; what a crash of PostgreSQL undoes is made again."""
        self._session.execute(_STORE, {"summary_id": summary_id, **answer})

    def owned(self, client_id: UUID, summary_id: UUID) -> QuickSummary:
        found = self._session.scalar(_OWNED, {"id": summary_id, "client_id": client_id})
        if found is None:
            raise QuickSummaryNotFoundError
        return found

    def standing(
        self,
        client_id: UUID,
        content_hash: str,
        *,
        priority: Priority,
        variant: str,
        models: Mapping[str, str],
        first: str,
        heeds_choice: bool,
        ahead: bool,
        within: timedelta,
    ) -> Standing:
        """What a request of this `priority`, for this `variant`, would find, and how long one like it takes.

        An earlier one with the same content, of the same variant, counts if it is answered, or will be no
        later. An answer counts if it is that of the provider who is asked first now (`first`, unless somebody
        chose another and the variant `heeds_choice`): a hosted one's by the model that it has in `models`,
        an engine's own by the model and revision that a living worker of the variant has.
        """
        row = self._session.execute(
            _STANDING,
            {
                "client_id": client_id,
                "content_hash": content_hash,
                "within": within,
                "no_later": [*map(str, _BEFORE[priority])],
                "variant": variant,
                "lane": str(Lane(JOBS[JobKind.QUICK_SUMMARY].queue, variant)),
                "models": dict(models),
                "first": first,
                "heeds_choice": heeds_choice,
                "own": list(OWN),
                "fresh_for": FRESH_FOR,
                "ahead": ahead,
                "recent": RECENT,
            },
        ).one()
        return Standing(same=row.same, waiting=row.waiting, before=row.before, seconds=row.seconds)

    def forget(self, older_than: timedelta) -> None:
        """Drop requests, and with them what was said and their shadows, that nobody will ask for again."""
        old = select(QuickSummary.id).where(
            QuickSummary.received_at < func.clock_timestamp() - older_than
        )
        shadows = select(ShadowRun.id).where(ShadowRun.job_id.in_(old))
        self._session.execute(delete(Job).where(or_(Job.id.in_(old), Job.id.in_(shadows))))


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
