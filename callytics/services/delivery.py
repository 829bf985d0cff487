"""Callbacks: enqueued with what they tell of, tried until they are taken or given up, replayed.

A delivery is at least once under one id, with the same bytes each time. Locks are taken in the order
job, delivery, endpoint, so that no two transactions wait for each other.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any
from uuid import UUID

import structlog
from cryptography.fernet import MultiFernet
from opentelemetry.trace import SpanKind
from sqlalchemy.orm import Session

from callytics import tracing
from callytics.db.deliveries import Deliveries
from callytics.db.endpoints import Endpoints
from callytics.db.jobs import Jobs
from callytics.db.models import (
    AnalysisBatch,
    AnalysisItem,
    AnalysisRun,
    Client,
    Delivery,
    DeliveryAttempt,
    Endpoint,
    Job,
)
from callytics.domain.addresses import callback_url_fault
from callytics.domain.delivery import (
    AnalysedConsultation,
    Event,
    FailedConsultation,
    Judgement,
    Verdict,
    batch_payload,
    headers,
    judge,
    pause_s,
)
from callytics.domain.job import Priority
from callytics.domain.jobs import JobKind
from callytics.domain.stages import StageStatus
from callytics.errors import (
    DeliveryDeadError,
    DeliveryFailedError,
    DeliveryNotFoundError,
    DeliveryOpenError,
    EndpointDisabledError,
    InvalidRequestError,
)
from callytics.ports import CallbackAnswer, CallbackClient, Progress
from callytics.services import keys
from callytics.services.batch_results import best_of, problem_of, told
from callytics.services.job_work import End, JobHint, NotNow
from callytics.settings import CallbackSettings

log = structlog.get_logger(__name__)

SLOT_WAIT = timedelta(seconds=60)
"""Whose endpoint is busy is called up when it is free; after that time it looks for itself."""

NO_SECRET_WAIT = timedelta(minutes=10)
"""A client that is disabled, or whose secret cannot be read, may be given its callbacks yet."""


def check_callback_url(url: str, settings: CallbackSettings) -> None:
    """Raise InvalidRequestError if `url` can never be called back. No name is looked up here."""
    fault = callback_url_fault(url, settings.allowed_hosts)
    if fault is not None:
        raise InvalidRequestError(f"`callback_url` {fault}.")


def enqueue(
    session: Session,
    *,
    client_id: UUID,
    url: str,
    event: Event,
    key: str,
    body: bytes,
    batch_id: UUID | None = None,
    run_no: int | None = None,
    call_id: UUID | None = None,
    supersedes: UUID | None = None,
    priority: Priority = Priority.NORMAL,
) -> JobHint:
    """Have `body` delivered, once for each `key`; what the broker is to be told after the commit."""
    deliveries = Deliveries(session)
    known = deliveries.with_key(key)
    if known is not None:
        return JobHint.of(known.job)
    job = Jobs(session).add(JobKind.DELIVERY, priority=priority)
    added = deliveries.add(
        job,
        client_id=client_id,
        endpoint_id=Endpoints(session).obtain(client_id, url),
        event=event,
        key=key,
        body=body,
        batch_id=batch_id,
        run_no=run_no,
        call_id=call_id,
        supersedes=supersedes,
    )
    if added:
        return JobHint.of(job)
    # A twin of this transaction was quicker by a moment; by now its row is there.
    session.delete(job)
    session.flush()
    known = deliveries.with_key(key)
    assert known is not None  # noqa: S101
    return JobHint.of(known.job)


def latest_of_batch(session: Session, batch_id: UUID) -> UUID | None:
    """The delivery that told of the latest run of the batch."""
    return Deliveries(session).latest_of_batch(batch_id)


def latest_of_call(session: Session, call_id: UUID) -> UUID | None:
    """The delivery that told of the call's latest end."""
    return Deliveries(session).latest_of_call(call_id)


def batch_body(
    batch: AnalysisBatch,
    run: AnalysisRun,
    items: Sequence[AnalysisItem],
    *,
    supersedes: UUID | None = None,
) -> bytes:
    """What is told of an ended run: every consultation of the batch, with its best result or its problem.

    Each item comes with its job and results. The time is the run's, from its start to its end.
    """
    every = [_told(item) for item in items]
    completed_at = run.completed_at or datetime.now(UTC)
    return batch_payload(
        batch_id=batch.name,
        results=[one for one in every if isinstance(one, AnalysedConsultation)],
        errors=[one for one in every if isinstance(one, FailedConsultation)],
        total_seconds=(completed_at - run.started_at).total_seconds(),
        completed_at=completed_at,
        status=batch.status.value,
        run=run.run_no,
        supersedes=supersedes,
    )


def _told(item: AnalysisItem) -> AnalysedConsultation | FailedConsultation:
    found = best_of(item)
    if found is None or found.analysis is None:
        problem = problem_of(item)
        return FailedConsultation(
            consultation_id=item.consultation_id, code=problem["code"], detail=problem["detail"]
        )
    return AnalysedConsultation(
        consultation_id=item.consultation_id,
        **told(found.analysis),
        quality_score=found.quality_score or 0.0,
        seconds=found.seconds or 0.0,
        evidence=found.analysis.get("evidence") if item.with_evidence else None,
    )


# --- replay --------------------------------------------------------------------------------------

_OPEN = (StageStatus.WAITING, StageStatus.QUEUED, StageStatus.RUNNING)


def replay(session: Session, client_id: UUID | None, delivery_id: UUID) -> JobHint:
    """Deliver the same bytes under the same id once more, from the start of the schedule.

    Its endpoint is switched on again, if it was off. `client_id` None: anybody's delivery.
    Raises DeliveryNotFoundError, DeliveryOpenError.
    """
    jobs = Jobs(session)
    job = jobs.lock(delivery_id)
    if job is None or job.kind is not JobKind.DELIVERY:
        raise DeliveryNotFoundError
    Deliveries(session).owned(client_id, delivery_id)
    if job.status in _OPEN:
        raise DeliveryOpenError
    return _begin_again(session, [job])[0]


def replay_dead(
    session: Session, client_id: UUID | None = None, *, since: datetime | None = None
) -> Sequence[JobHint]:
    """Replay all that was given up at `since` or later (None: ever)."""
    dead = Deliveries(session).dead_since(since, client_id=client_id)
    locked = Jobs(session).lock_all(dead)
    return _begin_again(session, [job for job in locked if job.status is StageStatus.FAILED])


def _begin_again(session: Session, jobs: Sequence[Job]) -> Sequence[JobHint]:
    ids = [job.id for job in jobs]
    deliveries = Deliveries(session)
    Jobs(session).queue(ids, again=True)
    deliveries.rewind(ids)
    Endpoints(session).revive(deliveries.endpoints_of(ids))
    log.info("deliveries_replayed", count=len(ids))
    return [JobHint.of(job) for job in jobs]


# --- one attempt ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outgoing:
    url: str
    delivery_id: UUID
    event: Event
    body: bytes
    client_id: str
    secrets: Sequence[str]
    tries: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answered:
    answer: CallbackAnswer
    sent: bytes


class DeliveryWork:
    """One attempt at a callback; its endpoint's row says whether it may be made now."""

    kind = JobKind.DELIVERY

    def __init__(
        self,
        client: CallbackClient,
        cipher: MultiFernet,
        settings: CallbackSettings,
        *,
        clock: Callable[[], float] = time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`clock` gives seconds since 1970, `jitter` a share (0..1)."""
        self._client = client
        self._cipher = cipher
        self._settings = settings
        self._clock = clock
        self._jitter = jitter

    def read(self, session: Session, job: Job) -> _Outgoing | NotNow | None:
        """What to send; None if nothing is to be sent to that endpoint any more."""
        delivery = Deliveries(session).to_send(job.id)
        endpoint, pause = Endpoints(session).lock(delivery.endpoint_id)
        if endpoint.disabled_at is not None:
            return None
        if pause is not None:
            return NotNow(delay=pause)
        if self._free_slots(session, endpoint, job) < 1:
            return NotNow(delay=SLOT_WAIT)
        secrets = keys.live_secrets(session, self._cipher, delivery.client_id)
        if not secrets:
            log.warning("delivery_not_signed", client_id=str(delivery.client_id))
            return NotNow(delay=NO_SECRET_WAIT)
        return _Outgoing(
            url=endpoint.url,
            delivery_id=delivery.id,
            event=delivery.event,
            body=delivery.body,
            client_id=session.get_one(Client, delivery.client_id).name,
            secrets=secrets,
            tries=delivery.tries,
        )

    def compute(
        self,
        inputs: _Outgoing | None,
        progress: Progress,  # noqa: ARG002 (it takes seconds)
    ) -> _Answered | None:
        if inputs is None:
            return None
        signed = headers(
            delivery_id=inputs.delivery_id,
            event=inputs.event,
            body=inputs.body,
            client_id=inputs.client_id,
            secrets=inputs.secrets,
            tries=inputs.tries,
            now_s=self._clock(),
        )
        with tracing.span("callback", kind=SpanKind.CLIENT, tries=inputs.tries) as opened:
            answer = self._client.post(
                inputs.url, headers={**signed, **tracing.headers()}, body=inputs.body
            )
            if answer.status is not None:
                opened.set_attribute("http.response.status_code", answer.status)
            if answer.fault is not None:
                tracing.fail(answer.fault.value)
        return _Answered(answer=answer, sent=inputs.body)

    def write(self, session: Session, job: Job, done: _Answered | None) -> End:
        delivery = Deliveries(session).lock(job.id)
        endpoint, _pause = Endpoints(session).lock(delivery.endpoint_id)
        if done is None:
            return End(status=StageStatus.FAILED, problem=EndpointDisabledError())
        found = done.answer
        tries = delivery.tries + 1
        judged = judge(
            status=found.status,
            fault=found.fault,
            tries=tries,
            refusals=delivery.refusals,
            retry_after=found.retry_after,
            now=datetime.fromtimestamp(self._clock(), UTC),
            jitter=self._jitter(),
        )
        self._note_attempt(session, job, delivery, done, judged)
        self._note_health(session, endpoint, judged)
        waiting = self._call_up(session, endpoint, job, judged)
        return _end(found, judged, tries=tries, hints=waiting)

    def _note_attempt(
        self,
        session: Session,
        job: Job,
        delivery: Delivery,
        done: _Answered,
        judged: Judgement,
    ) -> None:
        deliveries, found = Deliveries(session), done.answer
        # Of what was purged while it was on its way, the answer may repeat something.
        as_sent = delivery.body == done.sent
        deliveries.note_attempt(
            DeliveryAttempt(
                delivery_id=delivery.id,
                attempt=job.attempt,
                started_at=job.started_at,
                seconds=found.seconds,
                status=found.status,
                problem=judged.fault,
                answer=found.body if as_sent else None,
                verdict=judged.verdict,
            )
        )
        deliveries.note(
            delivery,
            due_after=_seconds(judged.wait_s),
            delivered=judged.verdict is Verdict.DELIVERED,
            refused=judged.refused,
        )
        log.info(
            "callback_answered",
            delivery_id=str(delivery.id),
            endpoint_id=str(delivery.endpoint_id),
            call_id=str(delivery.call_id) if delivery.call_id else None,
            status=found.status,
            fault=judged.fault,
            verdict=judged.verdict.value,
            seconds=round(found.seconds, 3),
        )

    def _note_health(self, session: Session, endpoint: Endpoint, judged: Judgement) -> None:
        endpoints = Endpoints(session)
        if judged.fault is None:
            endpoints.note_success(endpoint.id)
            return
        failing_s = pause_s(
            endpoint.failures + 1,
            pause_after=self._settings.pause_after,
            first_s=self._settings.pause_s,
        )
        quiet_s = max(failing_s or 0.0, judged.quiet_s)
        endpoints.note_failure(
            endpoint.id,
            pause=_seconds(quiet_s or None),
            disabled_reason=judged.fault if judged.disables else None,
        )
        if failing_s is not None:
            log.warning("endpoint_paused", endpoint_id=str(endpoint.id), seconds=round(quiet_s))

    def _call_up(
        self, session: Session, endpoint: Endpoint, job: Job, judged: Judgement
    ) -> Sequence[JobHint]:
        """Whoever waits for this endpoint, as far as it is free now."""
        now, pause = Endpoints(session).lock(endpoint.id)
        if pause is not None or judged.disables:
            return []
        free = self._free_slots(session, now, job)
        return [JobHint.of(other) for other in Deliveries(session).call_up(endpoint.origin, free)]

    def _free_slots(self, session: Session, endpoint: Endpoint, job: Job) -> int:
        """Attempts that may be made at the endpoint, `job`'s own included. One that failed is probed
        by one delivery at a time.
        """
        failing = endpoint.failures >= self._settings.pause_after
        slots = 1 if failing else self._settings.concurrency_per_endpoint
        return slots - Deliveries(session).running_at(endpoint.origin, but=job.id)


def _end(found: CallbackAnswer, judged: Judgement, *, tries: int, hints: Sequence[JobHint]) -> End:
    if judged.fault is None:
        return End(hints=hints)
    seen: dict[str, Any] = {"reason": judged.fault.value, "status": found.status, "tries": tries}
    if judged.verdict is Verdict.RETRY:
        return End(
            status=StageStatus.FAILED,
            problem=DeliveryFailedError(**seen),
            retry_after=_seconds(judged.wait_s),
            hints=hints,
        )
    problem = EndpointDisabledError(**seen) if judged.disables else DeliveryDeadError(**seen)
    return End(status=StageStatus.FAILED, problem=problem, hints=hints)


def _seconds(value: float | None) -> timedelta | None:
    return timedelta(seconds=value) if value is not None else None
