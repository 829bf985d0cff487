"""Batches of consultations: filled, closed, settled, cancelled, run again.

A batch of one client and callback address is open from its first consultation until it is full or its
time is over. Closing, settling and all else that changes a batch locks its row before its jobs; a
worker that records a consultation locks its job alone, so no two ever wait for each other.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.batches import AnalysisItems, AnalysisResults, AnalysisRuns, Batches
from callytics.db.changes import announce
from callytics.db.engine import unit_of_work
from callytics.db.idempotency import IdempotencyKeys
from callytics.db.jobs import Jobs
from callytics.db.models import AnalysisBatch, AnalysisItem, AnalysisRun, Call, Job
from callytics.db.ticks import Ticks
from callytics.domain.analysis import ANALYSIS_PROMPT_VERSION
from callytics.domain.batching import BATCH_FINISHED, BatchStatus, batch_status
from callytics.domain.delivery import Event
from callytics.domain.job import Priority
from callytics.domain.jobs import JOBS, JobKind
from callytics.domain.stages import StageStatus
from callytics.errors import (
    BatchFinishedError,
    BatchRunningError,
    ConsultationDoubledError,
    ConsultationWaitingError,
    IdempotencyKeyReusedError,
    NothingToRerunError,
)
from callytics.services import delivery, providers
from callytics.services.batch_results import best_of
from callytics.services.job_work import JobHint
from callytics.settings import BatchSettings, ModelSettings, Settings

log = structlog.get_logger(__name__)

MEASURED = 100
"""The latest consultations that an estimate rests on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Consultation:
    """What is to be analysed: a text, or the turns of a call."""

    consultation_id: str
    conversation: str | None = None
    call_id: UUID | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    with_evidence: bool = False

    @property
    def content_hash(self) -> str:
        return hashlib.sha256((self.conversation or str(self.call_id)).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRequest:
    """Consultations that a client sent together. `callback_url` is checked by the caller."""

    client_id: UUID
    consultations: Sequence[Consultation]
    callback_url: str | None = None
    priority: Priority = Priority.NORMAL
    idempotency_key: str | None = None
    file_id: UUID | None = None
    """The file that they came in."""
    notes: Mapping[str, str] | None = None
    """The client's own notes on the batch."""

    def fingerprint(self) -> str:
        """SHA-256 over all that the client sent."""
        sent = [
            self.callback_url,
            self.priority,
            [asdict(one) for one in self.consultations],
            *([self.file_id, self.notes] if self.file_id else []),
        ]
        return hashlib.sha256(json.dumps(sent, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """Which batches the consultations are in: name -> how many of them; and what the broker is told."""

    batches: Mapping[str, int]
    estimated_completion: datetime
    hints: Sequence[JobHint] = ()


def submit(sessions: sessionmaker[Session], request: BatchRequest, settings: Settings) -> Placed:
    """Put the consultations into batches, all of them or, on an error, none.

    One that is already waiting with the same text is not taken twice. Raises ConsultationDoubledError,
    ConsultationWaitingError, IdempotencyKeyReusedError.
    """
    if twice := doubled([one.consultation_id for one in request.consultations]):
        raise ConsultationDoubledError(consultation_ids=twice[:20])
    with unit_of_work(sessions) as session:
        Batches(session).serialise(request.client_id)
        earlier = _earlier(session, request, settings)
        if earlier is not None:
            return earlier
        waiting = _already_waiting(session, request)
        new = [one for one in request.consultations if one.consultation_id not in waiting]
        filler = _Filler(session, request.client_id, request.callback_url, settings)
        placed = filler.add(new, request.priority)
        for name in waiting.values():
            placed[name] = placed.get(name, 0) + 1
        done = Placed(
            batches=placed,
            estimated_completion=estimate(
                session, settings, closing=Batches(session).last_closing(placed)
            ),
            hints=filler.hints,
        )
        _remember(session, request, placed, done.estimated_completion)
        return done


def submit_file(
    sessions: sessionmaker[Session], request: BatchRequest, settings: Settings, file_id: UUID
) -> tuple[str, Sequence[JobHint]]:
    """Make the consultations of a file a batch of their own, closed at once; its name and the hints to send.

    Asked again before that batch has ended, it is the same one. Raises ConsultationWaitingError where one of
    them waits elsewhere, IdempotencyKeyReusedError.
    """
    with unit_of_work(sessions) as session:
        Batches(session).serialise(request.client_id)
        earlier = _earlier(session, request, settings)
        if earlier is not None:
            return next(iter(earlier.batches)), []
        for same in Batches(session).of_file(request.client_id, file_id):
            if (same.callback_url, same.details) == (request.callback_url, request.notes):
                return same.name, []
        sent = [one.consultation_id for one in request.consultations]
        if waiting := AnalysisItems(session).unfinished(request.client_id, sent):
            raise ConsultationWaitingError(
                "A consultation of this file waits for its analysis in another batch.",
                consultation_id=waiting[0].consultation_id,
                batch_id=waiting[0].batch.name,
            )
        filler = _Filler(session, request.client_id, request.callback_url, settings)
        batch = filler.add_whole(request.consultations, request.priority)
        batch.input_file_id = file_id
        batch.details = None if request.notes is None else dict(request.notes)
        if request.idempotency_key is not None:
            _remember(session, request, {batch.name: batch.size}, estimate(session, settings))
        return batch.name, filler.hints


def join(session: Session, call: Call, settings: Settings) -> Sequence[JobHint]:
    """Put a completed call among those that wait for their analysis, once; the hints to send."""
    Batches(session).serialise(call.client_id)
    if AnalysisItems(session).waits_for_call(call.id):
        return []
    filler = _Filler(session, call.client_id, call.callback_url, settings)
    one = Consultation(
        consultation_id=call.consultation_id or str(call.id),
        call_id=call.id,
        metadata=call.details,
    )
    filler.add([one], call.priority)
    return filler.hints


def close_due(sessions: sessionmaker[Session], settings: Settings) -> Sequence[JobHint]:
    """Close the batches whose time is over, settle those whose end nobody noticed; the hints to send.

    Any number of processes may do this at once: each batch is closed by one of them.
    """
    hints: list[JobHint] = []
    while True:
        with unit_of_work(sessions) as session:
            batch = Batches(session).lock_due()
            if batch is None:
                break
            hints += _close(session, batch, settings.models.analyse)
    with unit_of_work(sessions) as session:
        left = Batches(session).unsettled(limit=MEASURED)
        Ticks(session).note("close_batches")
    for batch_id in left:
        hints += settle(sessions, batch_id)
    return hints


def settle(sessions: sessionmaker[Session], batch_id: UUID) -> Sequence[JobHint]:
    """End the batch's run, once, if nothing of it moves any more, and have it delivered."""
    with unit_of_work(sessions) as session:
        batch = Batches(session).lock(batch_id)
        if batch is None or batch.closed_at is None or batch.status in BATCH_FINISHED:
            return []
        items = AnalysisItems(session).of(batch.id)
        if any(item.job.status in (StageStatus.QUEUED, StageStatus.RUNNING) for item in items):
            return []
        _note_failures(session, batch, items)
        run = AnalysisRuns(session).get(batch.id, batch.run_no)
        now: datetime = session.scalars(select(func.clock_timestamp())).one()
        batch.status = batch_status([_standing(item) for item in items])
        batch.completed_at = run.completed_at = now
        session.flush()
        announce(session, batch.id)
        log.info(
            "batch_completed",
            batch=batch.name,
            run=batch.run_no,
            status=batch.status.value,
            items=batch.size,
            seconds=round((now - run.started_at).total_seconds(), 3),
        )
        hint = _deliver(session, batch, run, items)
        return [hint] if hint else []


def cancel(session: Session, client_id: UUID | None, name: str) -> AnalysisBatch:
    """End the batch: what waits is not begun, what runs is abandoned, what is done stays. No callback."""
    batch = Batches(session).lock_named(client_id, name)
    if batch.status in BATCH_FINISHED:
        raise BatchFinishedError
    jobs = Jobs(session)
    jobs.cancel([job.id for job in jobs.lock_all(AnalysisItems(session).ids(batch.id))])
    now: datetime = session.scalars(select(func.clock_timestamp())).one()
    if batch.closed_at is None:
        batch.closed_at = now
    batch.status, batch.completed_at = BatchStatus.CANCELLED, now
    session.flush()
    announce(session, batch.id)
    return batch


@dataclass(frozen=True, kw_only=True, slots=True)
class Rerun:
    """Which consultations are run again: those without a result, or, with `everything`, all."""

    everything: bool = False
    model: str | None = None
    """Another model than the configured one; its server must serve it."""
    dry: bool = False
    """Only count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RerunPlan:
    batch: str
    run_no: int
    items: int
    kept: int
    """Consultations whose result stays as it is."""
    hints: Sequence[JobHint] = ()


def rerun(
    session: Session, client_id: UUID | None, name: str, wanted: Rerun, settings: Settings
) -> RerunPlan:
    """Begin another run over an ended batch. What succeeded stays until something better replaces it.

    Raises BatchRunningError, NothingToRerunError.
    """
    batch = Batches(session).lock_named(client_id, name)
    if batch.status not in BATCH_FINISHED:
        raise BatchRunningError
    items = AnalysisItems(session).of(batch.id)
    again = [
        item
        for item in items
        if not item.is_purged and (wanted.everything or best_of(item) is None)
    ]
    if not again:
        raise NothingToRerunError
    run_no = batch.run_no + 1
    plan = RerunPlan(
        batch=batch.name, run_no=run_no, items=len(again), kept=len(items) - len(again)
    )
    if wanted.dry:
        return plan
    jobs = Jobs(session)
    locked = jobs.lock_all([item.id for item in again])
    batch.status, batch.completed_at, batch.run_no = BatchStatus.QUEUED, None, run_no
    for item in again:
        item.run_no = run_no
    _begin_run(session, batch, len(again), settings.models.analyse, wanted.model)
    jobs.queue([job.id for job in locked], again=True)
    announce(session, batch.id)
    hints = [JobHint.of(job) for job in locked]
    return RerunPlan(batch=plan.batch, run_no=run_no, items=plan.items, kept=plan.kept, hints=hints)


def estimate(session: Session, settings: Settings, *, closing: datetime | None = None) -> datetime:
    """When what is now put into the queue will be done: after `closing`, if given, and all that waits.

    It rests on the seconds of the latest consultations; before there are any, on a setting.
    """
    models = set(providers.model_names("mlm", settings).values())
    rate_s = AnalysisResults(session).rate(models, MEASURED)
    seconds = settings.batch.first_item_s if rate_s is None else rate_s
    waiting = sum(entry.count for entry in Jobs(session).open() if entry.kind is JobKind.ANALYSIS)
    here = Batches(session).open_size()
    concurrency = settings.worker(JOBS[JobKind.ANALYSIS].queue).concurrency
    now: datetime = session.scalars(select(func.clock_timestamp())).one()
    begins = max(now, closing) if closing else now
    return begins + timedelta(seconds=seconds * max(1.0, (waiting + here) / concurrency))


class _Filler:
    """Puts consultations of one client and address into its open batch; opens the next when it is full."""

    def __init__(
        self, session: Session, client_id: UUID, callback_url: str | None, settings: Settings
    ) -> None:
        self._session = session
        self._client_id = client_id
        self._url = callback_url
        self._settings: BatchSettings = settings.batch
        self._model = settings.models.analyse
        self.hints: list[JobHint] = []

    def add(self, consultations: Sequence[Consultation], priority: Priority) -> dict[str, int]:
        """The names of the batches that were filled, and how many of these each of them took."""
        placed: dict[str, int] = {}
        left = list(consultations)
        while left:
            batch = self._open_batch()
            room = batch.capacity - batch.size
            taken, left = left[:room], left[room:]
            self._put(batch, taken, priority)
            placed[batch.name] = len(taken)
            if batch.size == batch.capacity:
                self.hints += _close(self._session, batch, self._model)
        return placed

    def add_whole(self, consultations: Sequence[Consultation], priority: Priority) -> AnalysisBatch:
        """A batch of these alone, however many they are, closed at once."""
        batch = Batches(self._session).open(
            self._client_id,
            self._url,
            capacity=len(consultations),
            window=timedelta(0),
            closed=True,
        )
        self._put(batch, consultations, priority)
        self.hints += _close(self._session, batch, self._model)
        return batch

    def _open_batch(self) -> AnalysisBatch:
        batches = Batches(self._session)
        return batches.lock_open(self._client_id, self._url) or batches.open(
            self._client_id,
            self._url,
            capacity=self._settings.size,
            window=timedelta(seconds=self._settings.window_s),
        )

    def _put(
        self, batch: AnalysisBatch, consultations: Sequence[Consultation], priority: Priority
    ) -> None:
        ids = [uuid4() for _ in consultations]
        spec = JOBS[JobKind.ANALYSIS]
        self._session.add_all(
            Job(id=id_, kind=spec.kind, priority=priority, attempt_limit=spec.max_attempts)
            for id_ in ids
        )
        self._session.flush()
        self._session.add_all(
            AnalysisItem(
                id=id_,
                batch_id=batch.id,
                position=batch.size + index,
                client_id=self._client_id,
                consultation_id=one.consultation_id,
                call_id=one.call_id,
                conversation=one.conversation,
                content_hash=one.content_hash,
                with_evidence=one.with_evidence,
                details=dict(one.metadata),
            )
            for index, (id_, one) in enumerate(zip(ids, consultations, strict=True))
        )
        batch.size += len(consultations)
        self._session.flush()


def _close(session: Session, batch: AnalysisBatch, model: ModelSettings) -> list[JobHint]:
    """Freeze the batch and queue its consultations. Its row is locked."""
    batch.closed_at = session.scalars(select(func.clock_timestamp())).one()
    jobs = Jobs(session)
    locked = jobs.lock_all(AnalysisItems(session).ids(batch.id))
    _begin_run(session, batch, len(locked), model)
    jobs.queue([job.id for job in locked])
    announce(session, batch.id)
    log.info("batch_closed", batch=batch.name, items=batch.size)
    return [JobHint.of(job) for job in locked]


def _begin_run(
    session: Session,
    batch: AnalysisBatch,
    items: int,
    settings: ModelSettings,
    model: str | None = None,
) -> None:
    session.add(
        AnalysisRun(
            batch_id=batch.id,
            run_no=batch.run_no,
            model=model or settings.model,
            prompt_version=ANALYSIS_PROMPT_VERSION,
            options=dict(settings.options),
            items=items,
        )
    )
    session.flush()


def _note_failures(session: Session, batch: AnalysisBatch, items: Sequence[AnalysisItem]) -> None:
    """Give each consultation that failed in this run a row that says why."""
    for item in items:
        if item.run_no == batch.run_no and item.job.status is StageStatus.FAILED:
            AnalysisResults(session).put(
                item.id, item.run_no, problem=item.job.problem, attempts=item.job.attempt
            )


def _standing(item: AnalysisItem) -> StageStatus:
    """Where a consultation stands for its batch: an earlier result counts though the latest run failed."""
    return StageStatus.DONE if best_of(item) else item.job.status


def _deliver(
    session: Session, batch: AnalysisBatch, run: AnalysisRun, items: Sequence[AnalysisItem]
) -> JobHint | None:
    if batch.callback_url is None or run.completed_at is None:
        return None
    earlier = delivery.latest_of_batch(session, batch.id)
    return delivery.enqueue(
        session,
        client_id=batch.client_id,
        url=batch.callback_url,
        event=Event.BATCH_COMPLETED,
        key=f"batch:{batch.id}:{batch.run_no}",
        body=delivery.batch_body(batch, run, items, supersedes=earlier),
        batch_id=batch.id,
        run_no=batch.run_no,
        supersedes=earlier,
    )


def doubled(ids: Sequence[str]) -> list[str]:
    """Those that are named more than once."""
    return [one for one, times in Counter(ids).items() if times > 1]


def _already_waiting(session: Session, request: BatchRequest) -> dict[str, str]:
    """Of the request's consultations those that wait with the same text for the same address: id -> name
    of the batch.
    """
    sent = {one.consultation_id: one for one in request.consultations}
    found: dict[str, str] = {}
    items = AnalysisItems(session)
    waiting = items.unfinished(request.client_id, sent)
    if waiting:
        # Batches before what is in them, as everywhere; what was purged until then waits no more.
        Batches(session).lock_all({item.batch_id for item in waiting})
        waiting = items.unfinished(request.client_id, sent)
    for item in waiting:
        one, batch = sent[item.consultation_id], item.batch
        same = item.content_hash == one.content_hash
        if not (same and batch.callback_url == request.callback_url):
            raise ConsultationWaitingError(
                consultation_id=item.consultation_id, batch_id=batch.name
            )
        item.with_evidence = item.with_evidence or one.with_evidence
        found[item.consultation_id] = batch.name
    return found


def _remember(
    session: Session, request: BatchRequest, placed: Mapping[str, int], estimated: datetime
) -> None:
    """Tie the request's Idempotency-Key, if it has one, to its answer."""
    if request.idempotency_key is None:
        return
    answer = {"batches": dict(placed), "estimate": estimated.isoformat()}
    claimed = IdempotencyKeys(session).claim(
        request.client_id, request.idempotency_key, request.fingerprint(), answer=answer
    )
    if not claimed:  # by a call that was submitted under it at this very moment
        raise IdempotencyKeyReusedError


def _earlier(session: Session, request: BatchRequest, settings: Settings) -> Placed | None:
    """What this Idempotency-Key was answered with."""
    if request.idempotency_key is None:
        return None
    ttl = timedelta(hours=settings.api.idempotency_ttl_h)
    known = IdempotencyKeys(session).find(request.client_id, request.idempotency_key, ttl)
    if known is None:
        return None
    if known.request_hash != request.fingerprint() or known.answer is None:
        raise IdempotencyKeyReusedError
    return Placed(
        batches=known.answer["batches"],
        estimated_completion=datetime.fromisoformat(known.answer["estimate"]),
    )
