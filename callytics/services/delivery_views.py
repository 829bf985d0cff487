"""What is shown of callbacks, over HTTP and on the command line."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from callytics.db.models import Delivery, DeliveryAttempt, Endpoint
from callytics.domain.delivery import STATUS_OF, DeliveryStatus, Event
from callytics.domain.stages import StageStatus
from callytics.services.schema import Schema


class AttemptView(Schema):
    """One request to the endpoint."""

    attempt: int
    started_at: datetime
    seconds: float

    status: int | None
    """The HTTP status; null where no answer came."""

    fault: str | None
    """Why it was no success."""

    verdict: str
    """`delivered`, `retry` or `dead`."""

    answer: str | None
    """The first 2 kB of what came back."""

    @classmethod
    def of(cls, attempt: DeliveryAttempt) -> Self:
        answer = attempt.answer
        return cls(
            attempt=attempt.attempt,
            started_at=attempt.started_at,
            seconds=attempt.seconds,
            status=attempt.status,
            fault=attempt.problem,
            verdict=attempt.verdict,
            answer=answer.decode(errors="replace") if answer is not None else None,
        )


class DeliveryView(Schema):
    delivery_id: UUID
    """The `webhook-id` of every attempt."""

    event: Event
    status: DeliveryStatus
    url: str
    batch_id: str | None
    run: int | None
    call_id: UUID | None

    supersedes: UUID | None
    """The earlier delivery that told of the same."""

    tries: int
    """Attempts since it was made, or last replayed."""

    replays: int
    created_at: datetime
    delivered_at: datetime | None

    next_attempt_at: datetime | None
    """When it is tried again at the earliest."""

    error: dict[str, Any] | None
    """What was wrong with the last attempt."""

    @classmethod
    def of(cls, delivery: Delivery, *, batch: str | None) -> Self:
        job = delivery.job
        waits = job.status is StageStatus.QUEUED
        return cls(
            delivery_id=delivery.id,
            event=delivery.event,
            status=STATUS_OF[job.status],
            url=delivery.endpoint.url,
            batch_id=batch,
            run=delivery.run_no,
            call_id=delivery.call_id,
            supersedes=delivery.supersedes,
            tries=delivery.tries,
            replays=delivery.replays,
            created_at=delivery.created_at,
            delivered_at=delivery.delivered_at,
            next_attempt_at=job.next_attempt_at if waits else None,
            error=job.problem,
        )


class DeliveryDetail(DeliveryView):
    attempts: list[AttemptView]

    @classmethod
    def of(cls, delivery: Delivery, *, batch: str | None) -> Self:
        shown = DeliveryView.of(delivery, batch=batch)
        attempts = [AttemptView.of(attempt) for attempt in delivery.attempts]
        return cls(**shown.model_dump(), attempts=attempts)


class EndpointView(Schema):
    """A callback address, and how it has been doing."""

    endpoint_id: UUID
    url: str

    failures: int
    """Attempts in a row that failed."""

    paused_until: datetime | None
    """Its deliveries wait until then; the first one after that probes it."""

    disabled_at: datetime | None
    """Since when nothing is sent to it; a replay switches it on again."""

    disabled_reason: str | None
    last_success_at: datetime | None
    last_failure_at: datetime | None

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        names = set(cls.model_fields) - {"endpoint_id"}
        return cls(endpoint_id=endpoint.id, **{name: getattr(endpoint, name) for name in names})
