"""What a client does with its calls after they were taken in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy import delete as delete_rows
from sqlalchemy.orm import Session

from callytics.db.audio_purges import AudioPurges
from callytics.db.batches import AnalysisResults
from callytics.db.calls import CallFilter, Calls
from callytics.db.deliveries import Deliveries
from callytics.db.models import Call, Summary
from callytics.db.stage_runs import StageRuns
from callytics.db.turns import Turns
from callytics.domain.job import FINISHED
from callytics.domain.stages import Stage, StageStatus, downstream
from callytics.domain.transcript import Role
from callytics.errors import (
    CallFinishedError,
    CallPurgedError,
    CallRunningError,
    InvalidRequestError,
    StageNotInCallError,
    TranscriptNotReadyError,
)
from callytics.ports import AudioStore, call_folder
from callytics.services import speakers
from callytics.services.stage import AnyHint, advance

log = structlog.get_logger(__name__)

HEARING = frozenset({Stage.PREPROCESS, Stage.DIARIZE, Stage.TRANSCRIBE})
"""The stages that read audio."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    calls: Sequence[Call]
    has_more: bool


def page(
    session: Session, client_id: UUID, filters: CallFilter, *, after: UUID | None, limit: int
) -> Page:
    """Up to `limit` calls of the client, newest first, beginning behind the call `after`."""
    found = Calls(session).page(client_id, filters, after=after, limit=limit + 1)
    return Page(calls=found[:limit], has_more=len(found) > limit)


def cancel(session: Session, client_id: UUID, call_id: UUID) -> None:
    """End the call: what waits is not begun, what runs is abandoned, what is done stays."""
    call = Calls(session).lock_owned(client_id, call_id)
    if call.status in FINISHED:
        raise CallFinishedError
    StageRuns(session).cancel(call.id)
    advance(session, call)


def rerun(session: Session, client_id: UUID, call_id: UUID, start: Stage) -> Sequence[AnyHint]:
    """Do `start` and all that rests on it again; the hints to send.

    Stages that are not done for another reason (failed, cancelled) are tried again with them, so that a
    re-run always leads to a complete call.
    """
    call = lock_finished(session, client_id, call_id)
    if start.value not in call.stages:
        raise StageNotInCallError
    runs = StageRuns(session)
    statuses = runs.statuses(call.id)
    again = set(downstream(start, statuses))
    again.update(stage for stage, status in statuses.items() if status is not StageStatus.DONE)
    if call.text_purged_at or (call.audio_purged_at and again & HEARING):
        raise CallPurgedError
    runs.reset(call.id, again)
    return advance(session, call)


def correct_speakers(
    session: Session, client_id: UUID, call_id: UUID, roles: Mapping[str, Role] | None
) -> Sequence[AnyHint]:
    """Give the speakers `roles`, or, if None, agent and customer each other's; the hints to send.

    Roles, metrics and sentiment of each role are right at once; the summary, whose words name the
    roles, is dropped and made again.
    """
    call = lock_finished(session, client_id, call_id)
    if call.text_purged_at:
        raise CallPurgedError
    found = {turn.speaker: turn.role for turn in Turns(session).of(call.id)}
    if not found:
        raise TranscriptNotReadyError
    wanted = _swapped(found) if roles is None else roles
    if not wanted or not wanted.keys() <= found.keys():
        raise InvalidRequestError("Name speakers that the call has.", speakers=sorted(found))
    speakers.correct(session, call, wanted)
    session.execute(delete_rows(Summary).where(Summary.call_id == call.id))
    runs = StageRuns(session)
    if runs.status(call.id, Stage.SUMMARIZE) is not StageStatus.DONE:
        return []
    runs.reset(call.id, [Stage.SUMMARIZE])
    return advance(session, call)


def _swapped(roles: Mapping[str, Role]) -> Mapping[str, Role]:
    other = {Role.AGENT: Role.CUSTOMER, Role.CUSTOMER: Role.AGENT}
    return {speaker: other[role] for speaker, role in roles.items() if role in other}


def lock_finished(session: Session, client_id: UUID, call_id: UUID) -> Call:
    """The call, locked, once nothing of it moves any more."""
    call = Calls(session).lock_owned(client_id, call_id)
    if call.status not in FINISHED:
        raise CallRunningError
    return call


def delete(session: Session, client_id: UUID, call_id: UUID) -> None:
    """Delete the call's rows, whatever its state; after the commit `delete_audio`."""
    call = Calls(session).lock_owned(client_id, call_id)
    AnalysisResults(session).forget_call(call.id)
    Deliveries(session).forget_call(call.id)
    AudioPurges(session).add(call_folder(call.id))
    Calls(session).delete(call.id)


def delete_audio(store: AudioStore, call_id: UUID) -> None:
    """Delete the call's audio now.

    Upkeep does it once more in an hour: this may fail, and a stage that has not noticed yet, of a call
    that was cancelled a moment ago too, may still write.
    """
    try:
        store.delete_prefix(call_folder(call_id))
    except Exception as error:
        log.warning("audio_not_deleted_yet", error=type(error).__name__)
