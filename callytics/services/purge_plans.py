"""What a purge takes: plans by age and by consultation, and how one row of each kind goes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from callytics.db import purgeable
from callytics.db.audio_purges import AudioPurges
from callytics.db.calls import Calls
from callytics.db.deliveries import Deliveries
from callytics.db.models import BatchFile, Call, Conversation
from callytics.db.purgeable import Ids
from callytics.db.retention import Retention
from callytics.domain.job import FINISHED
from callytics.domain.retention import Scope
from callytics.errors import InvalidRequestError
from callytics.ports import call_folder
from callytics.services import calls


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """Rows of one kind: which there are, and how one of them is taken."""

    name: str
    find: Ids
    take: Callable[[Session, UUID], int]
    """How many of the kind went with what the id stands for."""
    look: Callable[[Session, UUID], int] | None = None
    """How many would, where `find` finds more than there is to take; None: one each."""
    has_audio: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be purged, and what the audit line will say of it."""

    kinds: Sequence[Kind]
    scope: Scope
    reason: str
    before: datetime | None = None
    busy: Ids | None = None
    """Calls that are old enough and are left alone, since they have not ended."""


def by_age(session: Session, scope: Scope, age: timedelta) -> Plan:
    """Everything that came in longer than `age` ago, by the database's clock, and has ended."""
    now: datetime = session.scalars(select(func.clock_timestamp())).one()
    before = now - age
    kinds = [
        Kind(
            name="calls",
            find=purgeable.old_calls(scope, before),
            take=lambda session, call_id: _take_old(session, scope, call_id),
            has_audio=scope is not Scope.TEXT,
        )
    ]
    if scope is not Scope.AUDIO:
        kinds += _old_texts(before)
    busy = purgeable.busy_calls(scope, before)
    return Plan(kinds=kinds, scope=scope, reason="age", before=before, busy=busy)


def _old_texts(before: datetime) -> Sequence[Kind]:
    def drop(table: type[Conversation] | type[BatchFile]) -> Callable[[Session, UUID], bool]:
        return lambda session, row_id: Retention(session).drop(table, row_id)

    return [
        Kind(
            name="batches",
            find=purgeable.old_batches(before),
            take=lambda session, batch_id: Retention(session).drop_batch(batch_id),
        ),
        Kind(
            name="quick_summaries", find=purgeable.old_quick_summaries(before), take=_take_ended_job
        ),
        Kind(name="diagnoses", find=purgeable.old_diagnoses(before), take=_take_ended_job),
        Kind(
            name="conversations", find=purgeable.old_conversations(before), take=drop(Conversation)
        ),
        Kind(name="batch_files", find=purgeable.old_batch_files(before), take=drop(BatchFile)),
    ]


def by_consultation(scope: Scope, consultation_id: str, client_id: UUID | None = None) -> Plan:
    """Everything that is kept of a consultation, in whatever state it is; `client_id` None: anybody's.

    Raises InvalidRequestError for an empty id: it would stand in every key and in every line.
    """
    if not consultation_id.strip():
        raise InvalidRequestError("Name the consultation that is to be purged; its id is empty.")
    named = (consultation_id, client_id)
    # Files first, then calls: nothing that is made of them comes after it was looked for.
    texts = [
        Kind(
            name="batch_files",
            find=purgeable.batch_files_of(*named),
            take=lambda session, file_id: Retention(session).drop_lines(file_id, consultation_id),
            look=lambda session, file_id: Retention(session).has_lines(file_id, consultation_id),
        )
    ]
    others = [
        Kind(
            name="batches",
            find=purgeable.batches_of(*named),
            take=lambda session, batch_id: Retention(session).empty_item(batch_id, consultation_id),
        ),
        Kind(name="quick_summaries", find=purgeable.quick_summaries_of(*named), take=_take_job),
        Kind(
            name="conversations",
            find=purgeable.conversations_of(*named),
            take=lambda session, row_id: Retention(session).drop(Conversation, row_id),
        ),
        Kind(
            name="idempotency_keys",
            find=purgeable.keys_of(*named),
            take=lambda session, owner: Retention(session).drop_keys(owner, consultation_id),
            look=lambda session, owner: len(Retention(session).keys_of(owner, consultation_id)),
        ),
    ]
    heard = Kind(
        name="calls",
        find=purgeable.calls_of(scope, *named),
        take=lambda session, call_id: _take_named(session, scope, call_id),
        has_audio=scope is not Scope.TEXT,
    )
    kinds = [heard] if scope is Scope.AUDIO else [*texts, heard, *others]
    return Plan(kinds=kinds, scope=scope, reason="consultation")


def _take_old(session: Session, scope: Scope, call_id: UUID) -> bool:
    call = Calls(session).lock_or_none(call_id)
    if call is None or Retention(session).is_busy(call_id):
        return False
    return _take_call(session, scope, call)


def _take_named(session: Session, scope: Scope, call_id: UUID) -> bool:
    """In whatever state: what runs is called off first."""
    call = Calls(session).lock_or_none(call_id)
    if call is None:
        return False
    if scope is not Scope.ALL and call.status not in FINISHED:
        calls.cancel(session, call.client_id, call.id)
    return _take_call(session, scope, call)


def _take_call(session: Session, scope: Scope, call: Call) -> bool:
    if scope is Scope.ALL:
        calls.delete(session, call.client_id, call.id)
        return True
    gone = call.audio_purged_at if scope is Scope.AUDIO else call.text_purged_at
    if gone is not None:
        return False
    if scope is Scope.AUDIO:
        AudioPurges(session).add(call_folder(call.id))
        Retention(session).forget_audio(call)
    else:
        Deliveries(session).forget_call(call.id)
        Retention(session).forget_text(call)
    return True


def _take_job(session: Session, job_id: UUID) -> bool:
    return Retention(session).drop_job(job_id)


def _take_ended_job(session: Session, job_id: UUID) -> bool:
    return Retention(session).drop_job(job_id, ended=True)
