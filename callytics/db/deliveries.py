"""The `deliveries` and `delivery_attempts` tables."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session, joinedload, selectinload, undefer

from callytics.db.models import Delivery, DeliveryAttempt, Endpoint, Job
from callytics.domain.delivery import STATUS_OF, DeliveryStatus
from callytics.domain.jobs import JobKind
from callytics.domain.stages import StageStatus
from callytics.errors import DeliveryNotFoundError


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryFilter:
    """Which deliveries are listed; None leaves a condition out."""

    status: DeliveryStatus | None = None
    batch_id: UUID | None = None
    call_id: UUID | None = None
    created_after: datetime | None = None
    moved_since: datetime | None = None
    """Tried last then or later, or, if they were never tried, made."""

    def conditions(self) -> list[ColumnElement[bool]]:
        equal = {Delivery.batch_id: self.batch_id, Delivery.call_id: self.call_id}
        conditions = [column == value for column, value in equal.items() if value is not None]
        if self.status is not None:
            states = [state for state, status in STATUS_OF.items() if status is self.status]
            conditions.append(Job.status.in_(states))
        if self.created_after is not None:
            conditions.append(Delivery.created_at > self.created_after)
        if self.moved_since is not None:
            moved = func.coalesce(Job.finished_at, Delivery.created_at)
            conditions.append(moved >= self.moved_since)
        return conditions


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveriesStanding:
    """How many are neither delivered nor given up, how old the oldest of them is, how many are given up."""

    pending: int
    oldest_s: float
    dead: int


class Deliveries:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, job: Job, **columns: Any) -> bool:
        """The row of `job`'s delivery; False if there is one with this `key` already."""
        added = self._session.scalar(
            insert(Delivery)
            .values(id=job.id, **columns)
            .on_conflict_do_nothing(index_elements=["key"])
            .returning(Delivery.id)
        )
        return added is not None

    def with_key(self, key: str) -> Delivery | None:
        return self._session.scalar(_with_job().where(Delivery.key == key))

    def to_send(self, delivery_id: UUID) -> Delivery:
        """The delivery with its body."""
        return self._session.get_one(Delivery, delivery_id, options=[undefer(Delivery.body)])

    def lock(self, delivery_id: UUID) -> Delivery:
        """The delivery with its body, which no purge changes until the transaction ends."""
        return self._session.get_one(
            Delivery,
            delivery_id,
            options=[undefer(Delivery.body)],
            with_for_update=True,
            populate_existing=True,
        )

    def owned(self, client_id: UUID | None, delivery_id: UUID) -> Delivery:
        """The client's delivery (None: anybody's), with its job, endpoint and attempts."""
        query = _with_job().where(Delivery.id == delivery_id, *_of(client_id))
        found = self._session.scalar(query.options(selectinload(Delivery.attempts)))
        if found is None:
            raise DeliveryNotFoundError
        return found

    def page(
        self, client_id: UUID | None, filters: DeliveryFilter, *, after: UUID | None, limit: int
    ) -> Sequence[Delivery]:
        """Up to `limit` deliveries, newest first, beginning behind `after`; with job and endpoint."""
        query = _with_job().where(*_of(client_id), *filters.conditions())
        if after is not None:
            last = self.owned(client_id, after)
            query = query.where(
                tuple_(Delivery.created_at, Delivery.id) < tuple_(last.created_at, last.id)
            )
        query = query.order_by(Delivery.created_at.desc(), Delivery.id.desc()).limit(limit)
        return self._session.scalars(query).all()

    def these(self, delivery_ids: Collection[UUID]) -> Sequence[Delivery]:
        """Newest first; with job and endpoint."""
        newest = (Delivery.created_at.desc(), Delivery.id.desc())
        query = _with_job().where(Delivery.id.in_(delivery_ids)).order_by(*newest)
        return self._session.scalars(query).all()

    def of_batch(self, batch_id: UUID) -> Sequence[Delivery]:
        """Every delivery of a batch, oldest first; with job, endpoint and attempts."""
        return self._session.scalars(
            _with_job()
            .where(Delivery.batch_id == batch_id)
            .order_by(Delivery.run_no, Delivery.created_at)
            .options(selectinload(Delivery.attempts))
        ).all()

    def latest_of_batch(self, batch_id: UUID) -> UUID | None:
        return self._latest(Delivery.batch_id == batch_id)

    def latest_of_batches(self, batch_ids: Collection[UUID]) -> Mapping[UUID, Delivery]:
        """Batch -> the delivery that told of its latest run, with job and endpoint."""
        rows = self._session.scalars(
            _with_job()
            .where(Delivery.batch_id.in_(batch_ids))
            .ext(distinct_on(Delivery.batch_id))
            .order_by(Delivery.batch_id, Delivery.created_at.desc())
        )
        return {row.batch_id: row for row in rows if row.batch_id is not None}

    def latest_of_call(self, call_id: UUID) -> UUID | None:
        return self._latest(Delivery.call_id == call_id)

    def _latest(self, condition: ColumnElement[bool]) -> UUID | None:
        return self._session.scalar(
            select(Delivery.id).where(condition).order_by(Delivery.created_at.desc()).limit(1)
        )

    def dead_since(self, since: datetime | None, *, client_id: UUID | None) -> Sequence[UUID]:
        """What was given up at `since` or later."""
        recent = [Job.finished_at >= since] if since is not None else []
        return self._session.scalars(
            select(Delivery.id)
            .join(Delivery.job)
            .where(Job.status == StageStatus.FAILED, *recent, *_of(client_id))
        ).all()

    def standing(self) -> DeliveriesStanding:
        age = func.extract("epoch", func.clock_timestamp() - func.min(Job.created_at))
        is_delivery = Job.kind == JobKind.DELIVERY
        pending = self._session.execute(
            select(func.count().label("found"), func.coalesce(age, 0).label("oldest_s")).where(
                is_delivery, Job.status.in_((StageStatus.QUEUED, StageStatus.RUNNING))
            )
        ).one()
        dead = select(func.count()).where(is_delivery, Job.status == StageStatus.FAILED)
        return DeliveriesStanding(
            pending=pending.found,
            oldest_s=float(pending.oldest_s),
            dead=self._session.scalars(dead).one(),
        )

    def running_at(self, origin: str, *, but: UUID) -> int:
        """Attempts that are on their way to the origin now, beside that of the delivery `but`."""
        query = (
            select(func.count())
            .select_from(Delivery)
            .join(Delivery.job)
            .join(Delivery.endpoint)
            .where(
                Endpoint.origin == origin,
                Delivery.id != but,
                Job.status == StageStatus.RUNNING,
                # Nobody knows how long a dead worker's attempt would go on: its lease does.
                Job.lease_until > func.clock_timestamp(),
            )
        )
        return self._session.scalars(query).one()

    def call_up(self, origin: str, limit: int) -> Sequence[Job]:
        """Deliveries that were put off although their schedule has them due, at most `limit`: now told
        to the broker, which the caller does.
        """
        now = func.clock_timestamp()
        jobs = self._session.scalars(
            select(Job)
            .join(Delivery, Delivery.id == Job.id)
            .join(Delivery.endpoint)
            .where(
                Endpoint.origin == origin,
                Endpoint.disabled_at.is_(None),
                func.coalesce(Endpoint.paused_until <= now, True),
                Job.status == StageStatus.QUEUED,
                Job.next_attempt_at > now,
                func.coalesce(Delivery.due_at <= now, True),
            )
            .order_by(Job.queued_at, Job.id)
            .limit(limit)
            .with_for_update(of=Job, skip_locked=True)
            .execution_options(populate_existing=True)
        ).all()
        self._session.execute(
            update(Job)
            .where(Job.id.in_([job.id for job in jobs]))
            .values(next_attempt_at=None, hinted_at=now, hints=1)
        )
        return jobs

    def note(
        self, delivery: Delivery, *, due_after: timedelta | None, delivered: bool, refused: bool
    ) -> None:
        """One attempt more, after which the delivery is due again, delivered, or neither."""
        now = func.clock_timestamp()
        self._session.execute(
            update(Delivery)
            .where(Delivery.id == delivery.id)
            .values(
                tries=Delivery.tries + 1,
                refusals=Delivery.refusals + int(refused),
                due_at=now + due_after if due_after is not None else None,
                delivered_at=now if delivered else Delivery.delivered_at,
            )
        )

    def note_attempt(self, attempt: DeliveryAttempt) -> None:
        self._session.add(attempt)
        self._session.flush()

    def rewind(self, delivery_ids: Sequence[UUID]) -> None:
        """Begin the schedule anew."""
        self._session.execute(
            update(Delivery)
            .where(Delivery.id.in_(delivery_ids))
            .values(tries=0, refusals=0, due_at=None, replays=Delivery.replays + 1)
        )

    def forget_call(self, call_id: UUID) -> None:
        """Drop the callbacks that tell of a call that is deleted, whether they have been delivered or not."""
        told = select(Delivery.id).where(Delivery.call_id == call_id)
        self._session.execute(delete(Job).where(Job.id.in_(told)))

    def endpoints_of(self, delivery_ids: Sequence[UUID]) -> set[UUID]:
        return set(
            self._session.scalars(select(Delivery.endpoint_id).where(Delivery.id.in_(delivery_ids)))
        )


def _with_job() -> Select[Delivery]:
    return (
        select(Delivery)
        .join(Delivery.job)
        .options(joinedload(Delivery.job), joinedload(Delivery.endpoint))
        .execution_options(populate_existing=True)
    )


def _of(client_id: UUID | None) -> list[ColumnElement[bool]]:
    return [] if client_id is None else [Delivery.client_id == client_id]
