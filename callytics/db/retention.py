"""What a purge takes, over the tables that hold conversations: one row and its own at a time."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, String, cast, delete, func, select, tuple_, update
from sqlalchemy.orm import Session, undefer

from callytics.db.jobs import Jobs
from callytics.db.models import (
    AnalysisBatch,
    AnalysisItem,
    AnalysisResult,
    BatchFile,
    Call,
    CallTurn,
    Conversation,
    Delivery,
    DeliveryAttempt,
    IdempotencyKey,
    Job,
    ShadowRun,
    StageRun,
    Summary,
)
from callytics.db.purgeable import OPEN, Ids, is_busy, is_open, stands_in_key
from callytics.domain.retention import body_without, is_made_of, lines_without
from callytics.domain.stages import StageStatus
from callytics.errors import ConsultationPurgedError


class Retention:
    """Takes what one id stands for. Where it says bool: False if there was nothing left to take."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def page(
        self, query: Ids, limit: int | None = None, *, after: Row[Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Up to `limit` rows of the query in its order, behind the row `after`; the id is the last column."""
        order = tuple(query.selected_columns)
        if after is not None:
            query = query.where(tuple_(*order) > tuple_(*after))
        return self._session.execute(query.order_by(*order).limit(limit)).all()

    def count(self, query: Ids) -> int:
        return self._session.scalars(select(func.count()).select_from(query.subquery())).one()

    def is_busy(self, call_id: UUID) -> bool:
        query = select(Call.id).where(Call.id == call_id, is_busy())
        return self._session.scalar(query) is not None

    def forget_audio(self, call: Call) -> None:
        """Of a call that is locked; the store's part is the caller's."""
        call.audio_key = call.audio_url = call.audio_sha256 = None
        call.audio_purged_at = self._session.scalars(select(func.clock_timestamp())).one()
        self._session.flush()

    def forget_text(self, call: Call) -> None:
        """Of a call that is locked: words, summary, and what the client said of it; figures stay."""
        shadows = select(ShadowRun.id).where(ShadowRun.call_id == call.id)
        self._session.execute(delete(Job).where(Job.id.in_(shadows)))
        for table in (CallTurn, Summary):
            self._session.execute(delete(table).where(table.call_id == call.id))
        self._session.execute(
            update(StageRun).where(StageRun.call_id == call.id).values(output=None)
        )
        call.hotwords, call.details = [], {}
        call.text_purged_at = self._session.scalars(select(func.clock_timestamp())).one()
        self._session.flush()

    def drop_batch(self, batch_id: UUID) -> bool:
        """With its consultations, their results, and the callbacks that told of them, if it has ended."""
        locked = self._session.scalar(
            select(AnalysisBatch.id)
            .where(AnalysisBatch.id == batch_id, ~is_open())
            .with_for_update()
        )
        if locked is None:
            return False
        for table in (AnalysisItem, Delivery):
            self._drop_jobs(
                self._session.scalars(select(table.id).where(table.batch_id == batch_id)).all()
            )
        self._session.execute(delete(AnalysisBatch).where(AnalysisBatch.id == batch_id))
        return True

    def drop_job(self, job_id: UUID, *, ended: bool = False) -> bool:
        """A job with its own row and its shadows; `ended`: only if it has."""
        job = Jobs(self._session).lock(job_id)
        if job is None or (ended and job.status in OPEN):
            return False
        self._drop_jobs([job_id])
        return True

    def _drop_jobs(self, ids: Sequence[UUID]) -> None:
        self._drop_shadows(ids)
        self._session.execute(delete(Job).where(Job.id.in_(ids)))

    def _drop_shadows(self, job_ids: Sequence[UUID]) -> None:
        shadows = select(ShadowRun.id).where(ShadowRun.job_id.in_(job_ids))
        self._session.execute(delete(Job).where(Job.id.in_(shadows)))

    def drop(self, table: type[Conversation] | type[BatchFile], row_id: UUID) -> bool:
        gone = self._session.execute(delete(table).where(table.id == row_id).returning(table.id))
        return gone.first() is not None

    def empty_item(self, batch_id: UUID, consultation_id: str) -> bool:
        """Take what a batch holds of a consultation; its place stays, as one that failed, so that counts and
        positions hold. What is in work is called off, callbacks lose it whether they were sent or not.
        """
        self._session.get(AnalysisBatch, batch_id, with_for_update=True)
        items = self._session.scalars(
            select(AnalysisItem.id).where(
                AnalysisItem.batch_id == batch_id, AnalysisItem.consultation_id == consultation_id
            )
        ).all()
        if not items:
            return False
        jobs = Jobs(self._session).lock_all(items)
        self._drop_shadows(items)
        self._session.execute(delete(AnalysisResult).where(AnalysisResult.item_id.in_(items)))
        self._session.execute(
            update(AnalysisItem)
            .where(AnalysisItem.id.in_(items))
            .values(
                consultation_id="purged-" + cast(AnalysisItem.id, String),
                conversation=None,
                call_id=None,
                content_hash="",
                details={},
            )
        )
        for job in jobs:
            self._call_off(job)
        self._redact(batch_id, consultation_id)
        return True

    def _call_off(self, job: Job) -> None:
        """A worker that has it in hand finds that its claim is lost."""
        job.problem = ConsultationPurgedError().as_problem()
        if job.status in OPEN:
            job.status, job.lease_until = StageStatus.FAILED, None
            job.finished_at = self._session.scalars(select(func.clock_timestamp())).one()
        elif job.status is StageStatus.DONE:
            job.status = StageStatus.FAILED  # as of then: its end is counted already
        self._session.flush()

    def _redact(self, batch_id: UUID, consultation_id: str) -> None:
        callbacks = self._session.scalars(
            select(Delivery)
            .where(Delivery.batch_id == batch_id)
            .options(undefer(Delivery.body))
            .order_by(Delivery.id)
            .with_for_update()
        ).all()
        for one in callbacks:
            one.body = body_without(one.body, consultation_id)
        # An endpoint's answer may repeat what it was sent.
        ids = [one.id for one in callbacks]
        self._session.execute(
            update(DeliveryAttempt).where(DeliveryAttempt.delivery_id.in_(ids)).values(answer=None)
        )
        self._session.flush()

    def has_lines(self, file_id: UUID, consultation_id: str) -> bool:
        """Whether `drop_lines` would take any."""
        content = self._session.scalar(select(BatchFile.content).where(BatchFile.id == file_id))
        return content is not None and lines_without(content, consultation_id) != content

    def drop_lines(self, file_id: UUID, consultation_id: str) -> bool:
        """Take a consultation's lines out of a file; the file goes where none is left."""
        file = self._session.scalar(
            select(BatchFile)
            .where(BatchFile.id == file_id)
            .options(undefer(BatchFile.content))
            .with_for_update()
        )
        if file is None:
            return False
        kept = lines_without(file.content, consultation_id)
        if kept == file.content:
            return False
        if not kept.strip():
            return self.drop(BatchFile, file_id)
        file.content, file.size = kept, len(kept.encode())
        self._session.flush()
        return True

    def keys_of(self, client_id: UUID, consultation_id: str) -> Sequence[str]:
        """A client's Idempotency-Keys that are made of a consultation's id."""
        query = select(IdempotencyKey.key).where(
            IdempotencyKey.client_id == client_id, stands_in_key(consultation_id)
        )
        return [key for key in self._session.scalars(query) if is_made_of(key, consultation_id)]

    def drop_keys(self, client_id: UUID, consultation_id: str) -> int:
        """How many there were."""
        keys = self.keys_of(client_id, consultation_id)
        gone = self._session.execute(
            delete(IdempotencyKey)
            .where(IdempotencyKey.client_id == client_id, IdempotencyKey.key.in_(keys))
            .returning(IdempotencyKey.key)
        )
        return len(gone.all())
