"""The tables of batch analysis: batches, their runs, consultations and results."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload, selectinload, undefer

from callytics.db.jobs import Jobs
from callytics.db.models import (
    AnalysisBatch,
    AnalysisItem,
    AnalysisResult,
    AnalysisRun,
    BatchNumber,
    Client,
    Job,
    ShadowRun,
)
from callytics.domain.batching import BatchStatus, batch_name
from callytics.domain.stages import StageStatus
from callytics.errors import BatchNotFoundError, CallNotFoundError

OPEN = (StageStatus.WAITING, StageStatus.QUEUED, StageStatus.RUNNING)


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchFilter:
    """Which batches are listed; None leaves a condition out."""

    statuses: tuple[BatchStatus, ...] = ()
    created_after: datetime | None = None
    moved_since: datetime | None = None
    """Ended then or later, or, if they have not ended, opened."""
    of_files: bool = False
    """Only those that were made of a file."""

    def conditions(self) -> list[ColumnElement[bool]]:
        conditions = [or_(*map(_has_status, self.statuses))] if self.statuses else []
        if self.created_after is not None:
            conditions.append(AnalysisBatch.created_at > self.created_after)
        if self.of_files:
            conditions.append(AnalysisBatch.input_file_id.is_not(None))
        if self.moved_since is not None:
            moved = func.coalesce(AnalysisBatch.completed_at, AnalysisBatch.created_at)
            conditions.append(moved >= self.moved_since)
        return conditions


_begun = exists().where(
    AnalysisItem.batch_id == AnalysisBatch.id,
    Job.id == AnalysisItem.id,
    Job.status.not_in((StageStatus.WAITING, StageStatus.QUEUED)),
)


_moves = exists().where(
    AnalysisItem.batch_id == AnalysisBatch.id,
    Job.id == AnalysisItem.id,
    Job.status.in_(OPEN),
)


def _has_status(status: BatchStatus) -> ColumnElement[bool]:
    """A row says `queued` until its batch has ended: whether one runs, its consultations say."""
    if status is BatchStatus.RUNNING:
        return and_(AnalysisBatch.status == BatchStatus.QUEUED, _begun)
    if status is BatchStatus.QUEUED:
        return and_(AnalysisBatch.status == BatchStatus.QUEUED, ~_begun)
    return AnalysisBatch.status == status


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchesStanding:
    """How many are open, how long ago the first of them should have closed, and since when a run goes on
    that is not over; 0 where there is none.
    """

    open: int
    overdue_s: float
    running_s: float


class Batches:
    def __init__(self, session: Session) -> None:
        self._session = session

    def serialise(self, client_id: UUID) -> None:
        """Let no other transaction put consultations of this client into batches until this one ends."""
        key = func.hashtextextended(f"batches:{client_id}", 0)
        self._session.execute(select(func.pg_advisory_xact_lock(key)))

    def lock_open(self, client_id: UUID, callback_url: str | None) -> AnalysisBatch | None:
        """The open batch of this client and address, locked."""
        return self._session.scalar(
            select(AnalysisBatch)
            .where(
                AnalysisBatch.client_id == client_id,
                func.coalesce(AnalysisBatch.callback_url, "") == (callback_url or ""),
                AnalysisBatch.closed_at.is_(None),
            )
            .with_for_update()
            .execution_options(populate_existing=True)
        )

    def open(
        self,
        client_id: UUID,
        callback_url: str | None,
        *,
        capacity: int,
        window: timedelta,
        closed: bool = False,
    ) -> AnalysisBatch:
        """A new batch, with the next number of the day; `closed` to all but who opens it."""
        now: datetime = self._session.scalars(select(func.clock_timestamp())).one()
        day: str = self._session.scalars(
            select(func.to_char(func.timezone("UTC", now), "YYYYMMDD"))
        ).one()
        number = self._session.scalars(
            insert(BatchNumber)
            .values(day=day, last=1)
            .on_conflict_do_update(index_elements=["day"], set_={"last": BatchNumber.last + 1})
            .returning(BatchNumber.last)
        ).one()
        batch = AnalysisBatch(
            name=batch_name(day, number),
            client_id=client_id,
            callback_url=callback_url,
            capacity=capacity,
            created_at=now,
            closes_at=now + window,
            closed_at=now if closed else None,
        )
        self._session.add(batch)
        self._session.flush()
        return batch

    def lock_due(self) -> AnalysisBatch | None:
        """An open batch whose time is over and that nobody else is closing, locked."""
        return self._session.scalar(
            select(AnalysisBatch)
            .where(
                AnalysisBatch.closed_at.is_(None),
                AnalysisBatch.closes_at <= func.clock_timestamp(),
            )
            .order_by(AnalysisBatch.closes_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )

    def last_closing(self, names: Collection[str]) -> datetime | None:
        """When the last of these closes at the latest; None if all of them have."""
        return self._session.scalar(
            select(func.max(AnalysisBatch.closes_at)).where(
                AnalysisBatch.name.in_(names), AnalysisBatch.closed_at.is_(None)
            )
        )

    def latest_size(self) -> int:
        """Consultations in the batch that was closed last; 0 before the first."""
        latest = (
            select(AnalysisBatch.size)
            .where(AnalysisBatch.closed_at.is_not(None))
            .order_by(AnalysisBatch.closed_at.desc())
            .limit(1)
        )
        return self._session.scalar(latest) or 0

    def standing(self) -> BatchesStanding:
        now, oldest = func.clock_timestamp(), func.min(AnalysisRun.started_at)
        overdue = func.greatest(0, func.extract("epoch", now - func.min(AnalysisBatch.closes_at)))
        is_open = self._session.execute(
            select(func.count().label("found"), func.coalesce(overdue, 0).label("overdue_s")).where(
                AnalysisBatch.closed_at.is_(None)
            )
        ).one()
        running_s = self._session.scalar(
            select(func.extract("epoch", now - oldest))
            .join(
                AnalysisBatch,
                and_(
                    AnalysisBatch.id == AnalysisRun.batch_id,
                    AnalysisBatch.run_no == AnalysisRun.run_no,
                ),
            )
            .where(AnalysisBatch.status == BatchStatus.QUEUED, AnalysisBatch.closed_at.is_not(None))
        )
        return BatchesStanding(
            open=is_open.found, overdue_s=float(is_open.overdue_s), running_s=float(running_s or 0)
        )

    def open_size(self) -> int:
        """Consultations in batches that have not closed."""
        return (
            self._session.scalar(
                select(func.sum(AnalysisBatch.size)).where(AnalysisBatch.closed_at.is_(None))
            )
            or 0
        )

    def unsettled(self, limit: int) -> Sequence[UUID]:
        """Closed batches whose consultations have all ended, though they have not."""
        return self._session.scalars(
            select(AnalysisBatch.id)
            .where(
                AnalysisBatch.status == BatchStatus.QUEUED,
                AnalysisBatch.closed_at.is_not(None),
                ~_moves,
            )
            .limit(limit)
        ).all()

    def lock(self, batch_id: UUID) -> AnalysisBatch | None:
        """The batch, locked. Whoever changes a batch and its jobs locks it before them."""
        return self._session.get(
            AnalysisBatch, batch_id, with_for_update=True, populate_existing=True
        )

    def lock_all(self, batch_ids: Collection[UUID]) -> None:
        """As `lock`, one after the other by id."""
        self._session.execute(
            select(AnalysisBatch.id)
            .where(AnalysisBatch.id.in_(batch_ids))
            .order_by(AnalysisBatch.id)
            .with_for_update()
        )

    def lock_named(self, client_id: UUID | None, name: str) -> AnalysisBatch:
        """As `lock`, by name; of this client, or, for the operator, of any."""
        batch = self._session.scalar(
            self._named(client_id, name).with_for_update().execution_options(populate_existing=True)
        )
        if batch is None:
            raise BatchNotFoundError
        return batch

    def get(self, client_id: UUID | None, name: str) -> AnalysisBatch:
        """The batch with its runs; raises BatchNotFoundError."""
        batch = self._session.scalar(
            self._named(client_id, name).options(selectinload(AnalysisBatch.runs))
        )
        if batch is None:
            raise BatchNotFoundError
        return batch

    def _named(self, client_id: UUID | None, name: str) -> Select[AnalysisBatch]:
        found = select(AnalysisBatch).where(AnalysisBatch.name == name)
        return found if client_id is None else found.where(AnalysisBatch.client_id == client_id)

    def page(
        self, client_id: UUID | None, filters: BatchFilter, *, after: str | None, limit: int
    ) -> Sequence[AnalysisBatch]:
        """Up to `limit` batches, newest first, beginning behind the batch `after`, with their runs."""
        query = (
            select(AnalysisBatch)
            .where(*filters.conditions())
            .options(selectinload(AnalysisBatch.runs))
        )
        if client_id is not None:
            query = query.where(AnalysisBatch.client_id == client_id)
        if after is not None:
            last = self.get(client_id, after)
            place = tuple_(AnalysisBatch.created_at, AnalysisBatch.id)
            query = query.where(place < tuple_(last.created_at, last.id))
        newest = (AnalysisBatch.created_at.desc(), AnalysisBatch.id.desc())
        return self._session.scalars(query.order_by(*newest).limit(limit)).all()

    def counts(
        self, batch_ids: Collection[UUID], *, latest_run: bool = False
    ) -> Mapping[UUID, Mapping[StageStatus, int]]:
        """Of each batch, how many consultations, all or those of its latest run, are where."""
        of_run = [AnalysisItem.run_no == AnalysisBatch.run_no] if latest_run else []
        rows = self._session.execute(
            select(AnalysisItem.batch_id, Job.status, func.count())
            .join(Job, Job.id == AnalysisItem.id)
            .join(AnalysisBatch, AnalysisBatch.id == AnalysisItem.batch_id)
            .where(AnalysisItem.batch_id.in_(batch_ids), *of_run)
            .group_by(AnalysisItem.batch_id, Job.status)
        )
        found: dict[UUID, dict[StageStatus, int]] = {batch_id: {} for batch_id in batch_ids}
        for batch_id, status, count in rows:
            found[batch_id][status] = count
        return found

    def analysed(self, batch_ids: Collection[UUID]) -> Mapping[UUID, int]:
        """Of each batch, how many consultations some run has analysed."""
        found = exists().where(
            AnalysisResult.item_id == AnalysisItem.id, AnalysisResult.analysis.is_not(None)
        )
        rows = self._session.execute(
            select(AnalysisItem.batch_id, func.count().filter(found).label("analysed"))
            .where(AnalysisItem.batch_id.in_(batch_ids))
            .group_by(AnalysisItem.batch_id)
        )
        return {row.batch_id: row.analysed for row in rows}

    def of_file(self, client_id: UUID, file_id: UUID) -> Sequence[AnalysisBatch]:
        """The batches that were made of this file and have not ended."""
        return self._session.scalars(
            select(AnalysisBatch).where(
                AnalysisBatch.client_id == client_id,
                AnalysisBatch.input_file_id == file_id,
                AnalysisBatch.status == BatchStatus.QUEUED,
            )
        ).all()

    def named(self, names: Collection[str]) -> Sequence[AnalysisBatch]:
        return self._session.scalars(
            select(AnalysisBatch).where(AnalysisBatch.name.in_(names))
        ).all()

    def names(self, batch_ids: Collection[UUID]) -> Mapping[UUID, str]:
        rows = self._session.execute(
            select(AnalysisBatch.id, AnalysisBatch.name).where(AnalysisBatch.id.in_(batch_ids))
        )
        return {row.id: row.name for row in rows}

    def client_names(self, client_ids: Collection[UUID]) -> Mapping[UUID, str]:
        rows = self._session.execute(
            select(Client.id, Client.name).where(Client.id.in_(client_ids))
        )
        return {row.id: row.name for row in rows}


class AnalysisItems:
    def __init__(self, session: Session) -> None:
        self._session = session

    def unfinished(
        self, client_id: UUID, consultation_ids: Collection[str]
    ) -> Sequence[AnalysisItem]:
        """Sent consultations of these ids that have not been analysed yet, with their batches."""
        return self._session.scalars(
            select(AnalysisItem)
            .join(Job, Job.id == AnalysisItem.id)
            .options(joinedload(AnalysisItem.batch))
            .where(
                AnalysisItem.client_id == client_id,
                AnalysisItem.consultation_id.in_(consultation_ids),
                AnalysisItem.call_id.is_(None),
                Job.status.in_(OPEN),
            )
        ).all()

    def waits_for_call(self, call_id: UUID) -> bool:
        """Whether an analysis of this call has not begun yet."""
        return bool(
            self._session.scalar(
                select(
                    exists().where(
                        AnalysisItem.call_id == call_id,
                        Job.id == AnalysisItem.id,
                        Job.status.in_((StageStatus.WAITING, StageStatus.QUEUED)),
                    )
                )
            )
        )

    def last_of_batch(self, item_id: UUID) -> UUID | None:
        """The consultation's batch, if nothing of it moves any more."""
        batch_id = select(AnalysisItem.batch_id).where(AnalysisItem.id == item_id).scalar_subquery()
        return self._session.scalar(
            select(AnalysisBatch.id).where(AnalysisBatch.id == batch_id, ~_moves)
        )

    def get(self, item_id: UUID) -> AnalysisItem:
        """The consultation with its text."""
        return self._session.scalars(
            select(AnalysisItem)
            .where(AnalysisItem.id == item_id)
            .options(undefer(AnalysisItem.conversation))
        ).one()

    def ids(self, batch_id: UUID) -> Sequence[UUID]:
        """Of a batch's consultations, without those that were purged."""
        return self._session.scalars(
            select(AnalysisItem.id).where(
                AnalysisItem.batch_id == batch_id, AnalysisItem.content_hash != ""
            )
        ).all()

    def of(
        self, batch_id: UUID, *, after: int | None = None, limit: int | None = None
    ) -> Sequence[AnalysisItem]:
        """A batch's consultations in order, with their jobs and all their results."""
        query = (
            select(AnalysisItem)
            .where(AnalysisItem.batch_id == batch_id)
            .options(joinedload(AnalysisItem.job), selectinload(AnalysisItem.results))
            .order_by(AnalysisItem.position)
            .execution_options(populate_existing=True)
        )
        if after is not None:
            query = query.where(AnalysisItem.position > after)
        return self._session.scalars(query.limit(limit)).all()


class AnalysisRuns:
    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, batch_id: UUID, run_no: int) -> AnalysisRun:
        return self._session.get_one(AnalysisRun, (batch_id, run_no))


class AnalysisResults:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, item_id: UUID, run_no: int, **values: Any) -> None:
        """Store what a run found of a consultation; what stands there already stays."""
        self._session.execute(
            insert(AnalysisResult)
            .values(item_id=item_id, run_no=run_no, **values)
            .on_conflict_do_nothing()
        )

    def rate(self, models: Collection[str], latest: int) -> float | None:
        """Seconds that a consultation took on average, of the `latest` ones of these models."""
        recent = (
            select(AnalysisResult.seconds)
            .where(AnalysisResult.model.in_(models), AnalysisResult.seconds.is_not(None))
            .order_by(AnalysisResult.created_at.desc())
            .limit(latest)
            .subquery()
        )
        found = self._session.scalar(select(func.avg(recent.c.seconds)))
        return float(found) if found is not None else None

    def forget_call(self, call_id: UUID) -> None:
        """Drop what was found of a call that is deleted, by shadows too: there is no such analysis now."""
        items = select(AnalysisItem.id).where(AnalysisItem.call_id == call_id)
        # Who records one at this very moment does so before this, or finds the call gone.
        Jobs(self._session).lock_all(self._session.scalars(items).all())
        shadows = select(ShadowRun.id).where(ShadowRun.job_id.in_(items))
        self._session.execute(delete(Job).where(Job.id.in_(shadows)))
        self._session.execute(delete(AnalysisResult).where(AnalysisResult.item_id.in_(items)))
        self._session.execute(
            update(Job)
            .where(Job.id.in_(items), Job.status == StageStatus.DONE)
            .values(status=StageStatus.FAILED, problem=CallNotFoundError().as_problem())
        )
