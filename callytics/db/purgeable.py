"""What a purge finds: queries for the ids of what is old enough, and of what belongs to a consultation."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, func, or_, select

from callytics.db.models import (
    AnalysisBatch,
    AnalysisItem,
    BatchFile,
    Call,
    CallEnding,
    Conversation,
    Delivery,
    Diagnosis,
    IdempotencyKey,
    Job,
    QuickSummary,
)
from callytics.domain.batching import BATCH_FINISHED
from callytics.domain.job import FINISHED
from callytics.domain.retention import Scope
from callytics.domain.stages import StageStatus

OPEN = (StageStatus.WAITING, StageStatus.QUEUED, StageStatus.RUNNING)

Ids = Select[*tuple[Any, ...]]
"""A query for the ids of what is to be taken. Its columns are its order, the last of them is the id."""


def is_busy() -> ColumnElement[bool]:
    """A call that has not ended, or that something begun still needs."""
    needs = (
        exists().where(table.call_id == Call.id, Job.id == table.id, Job.status.in_(OPEN))
        for table in (AnalysisItem, CallEnding, Delivery)
    )
    return or_(Call.status.not_in(FINISHED), *needs)


def _was_not_purged(scope: Scope) -> list[ColumnElement[bool]]:
    columns = {Scope.AUDIO: Call.audio_purged_at, Scope.TEXT: Call.text_purged_at}
    return [columns[scope].is_(None)] if scope in columns else []


def is_open() -> ColumnElement[bool]:
    """A batch that has not ended, or whose end is still to be told."""
    told = exists().where(
        Delivery.batch_id == AnalysisBatch.id, Job.id == Delivery.id, Job.status.in_(OPEN)
    )
    return or_(AnalysisBatch.status.not_in(BATCH_FINISHED), told)


def old_calls(scope: Scope, before: datetime) -> Ids:
    """The oldest first: where more come than a round takes, none waits for ever."""
    conditions = (Call.created_at < before, *_was_not_purged(scope))
    return select(Call.created_at, Call.id).where(*conditions, ~is_busy())


def busy_calls(scope: Scope, before: datetime) -> Ids:
    conditions = (Call.created_at < before, *_was_not_purged(scope))
    return select(Call.created_at, Call.id).where(*conditions, is_busy())


def old_batches(before: datetime) -> Ids:
    """`closed_at` says it again for its index."""
    return select(AnalysisBatch.id).where(
        AnalysisBatch.closed_at < before, AnalysisBatch.completed_at < before, ~is_open()
    )


def old_quick_summaries(before: datetime) -> Ids:
    return _ended(select(QuickSummary.id).where(QuickSummary.received_at < before), QuickSummary.id)


def old_diagnoses(before: datetime) -> Ids:
    return _ended(select(Diagnosis.id).where(Diagnosis.received_at < before), Diagnosis.id)


def _ended(query: Ids, job_id: Any) -> Ids:
    return query.join(Job, Job.id == job_id).where(Job.status.not_in(OPEN))


def old_conversations(before: datetime) -> Ids:
    return select(Conversation.id).where(Conversation.changed_at < before)


def old_batch_files(before: datetime) -> Ids:
    return select(BatchFile.id).where(BatchFile.created_at < before)


def _of(table: Any, consultation_id: str, client_id: UUID | None) -> list[ColumnElement[bool]]:
    owner = [] if client_id is None else [table.client_id == client_id]
    return [table.consultation_id == consultation_id, *owner]


def calls_of(scope: Scope, consultation_id: str, client_id: UUID | None) -> Ids:
    named = _of(Call, consultation_id, client_id)
    return select(Call.id).where(*named, *_was_not_purged(scope))


def batches_of(consultation_id: str, client_id: UUID | None) -> Ids:
    named = _of(AnalysisItem, consultation_id, client_id)
    return select(AnalysisItem.batch_id).where(*named).distinct()


def quick_summaries_of(consultation_id: str, client_id: UUID | None) -> Ids:
    return select(QuickSummary.id).where(*_of(QuickSummary, consultation_id, client_id))


def conversations_of(consultation_id: str, client_id: UUID | None) -> Ids:
    return select(Conversation.id).where(*_of(Conversation, consultation_id, client_id))


def batch_files_of(consultation_id: str, client_id: UUID | None) -> Ids:
    r"""Those in which it may stand: by itself, as a part of another id, or escaped (`\/`, `\uac00`)."""
    owner = [] if client_id is None else [BatchFile.client_id == client_id]
    stands, escaped = (func.strpos(BatchFile.content, part) > 0 for part in (consultation_id, "\\"))
    return select(BatchFile.id).where(or_(stands, escaped), *owner)


def keys_of(consultation_id: str, client_id: UUID | None) -> Ids:
    """The clients that have keys in which it stands, be it as a part of another id."""
    owner = [] if client_id is None else [IdempotencyKey.client_id == client_id]
    return select(IdempotencyKey.client_id).where(stands_in_key(consultation_id), *owner).distinct()


def stands_in_key(consultation_id: str) -> ColumnElement[bool]:
    return func.strpos(IdempotencyKey.key, consultation_id) > 0
