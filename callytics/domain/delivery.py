"""Callbacks: what they say, how they are signed, when they are tried again, what an answer means."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from callytics.domain import bound_key
from callytics.domain.stages import StageStatus


class Event(StrEnum):
    BATCH_COMPLETED = "batch.completed"
    CALL_COMPLETED = "call.completed"


class DeliveryStatus(StrEnum):
    """A delivery's job, in the words of who waits for the callback."""

    QUEUED = "queued"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up: a dead letter, until it is replayed."""
    CANCELLED = "cancelled"


STATUS_OF: Mapping[StageStatus, DeliveryStatus] = {
    StageStatus.WAITING: DeliveryStatus.QUEUED,
    StageStatus.QUEUED: DeliveryStatus.QUEUED,
    StageStatus.RUNNING: DeliveryStatus.SENDING,
    StageStatus.DONE: DeliveryStatus.DELIVERED,
    StageStatus.FAILED: DeliveryStatus.DEAD,
    StageStatus.CANCELLED: DeliveryStatus.CANCELLED,
}


# --- when ----------------------------------------------------------------------------------------

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 24 * 3600

SCHEDULE_S: tuple[float, ...] = (
    0,
    5,
    5 * MINUTE_S,
    30 * MINUTE_S,
    2 * HOUR_S,
    5 * HOUR_S,
    10 * HOUR_S,
    14 * HOUR_S,
    20 * HOUR_S,
    24 * HOUR_S,
)
"""The wait before each attempt, from the end of the one before: ten attempts in three days."""

REFUSED_TRIES = 3
"""Attempts that an endpoint gets that says no, rather than that it cannot now."""

JITTER = 0.1
"""How much longer than the schedule says a wait may get, as a share, so that not all come at once."""

LONGEST_RETRY_AFTER_S: float = DAY_S
LONGEST_PAUSE_S: float = HOUR_S


def wait_s(tries: int, *, jitter: float = 0.0) -> float | None:
    """Seconds from the end of attempt `tries` to the next; None if it was the last. `jitter`: 0..1."""
    if tries >= len(SCHEDULE_S):
        return None
    return SCHEDULE_S[tries] * (1 + JITTER * jitter)


def pause_s(failures: int, *, pause_after: int, first_s: float) -> float | None:
    """How long an endpoint is left alone after so many failures in a row; None: not at all."""
    if failures < pause_after:
        return None
    doublings = min(failures - pause_after, 20)
    return min(first_s * 2.0**doublings, LONGEST_PAUSE_S)


def retry_after_s(header: str | None, *, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks for, a day at most; None if it says nothing."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        # A number of more digits than that is a day in any case, and int() refuses to read 5,000.
        seconds = float(text[:12])
    else:
        try:
            then = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        seconds = (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


# --- what an answer means ------------------------------------------------------------------------


class Verdict(StrEnum):
    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"


class Fault(StrEnum):
    """Why an attempt was no success."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    UNRESOLVABLE = "unresolvable"
    TLS = "tls"
    CLOSED_HALFWAY = "closed_halfway"
    BAD_ANSWER = "bad_answer"
    """What came was not HTTP."""
    ADDRESS_FORBIDDEN = "address_forbidden"
    """The host has an address that is not public, and the operator does not allow it."""
    NOT_HTTPS = "not_https"
    BAD_URL = "bad_url"
    GONE = "gone"
    REDIRECTED = "redirected"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What follows from an attempt."""

    verdict: Verdict
    fault: Fault | None = None
    wait_s: float | None = None
    """With RETRY: seconds until the next attempt."""
    quiet_s: float = 0.0
    """How long the endpoint asked to be left alone by every delivery."""
    refused: bool = False
    """It met what another try hardly mends."""
    disables: bool = False
    """The endpoint wants no callback any more."""


_TRIED_AGAIN = {
    408: Fault.TIMEOUT,
    425: Fault.THROTTLED,
    429: Fault.THROTTLED,
}
_NAMES_A_TIME = (429, 503)
_FINAL = frozenset(
    {
        Fault.ADDRESS_FORBIDDEN,
        Fault.NOT_HTTPS,
        Fault.BAD_URL,
        Fault.REDIRECTED,
        Fault.REFUSED,
    }
)
"""What another try hardly mends: it gets a few, in case somebody does."""


def judge(
    *,
    status: int | None,
    fault: Fault | None = None,
    tries: int,
    refusals: int = 0,
    retry_after: str | None = None,
    now: datetime,
    jitter: float = 0.0,
) -> Judgement:
    """What follows from attempt number `tries`, which met `status`, or no answer and a `fault`.

    `refusals` counts the attempts before that met what another try hardly mends.
    """
    found = (fault or Fault.UNREACHABLE) if status is None else fault_of(status)
    if found is None:
        return Judgement(verdict=Verdict.DELIVERED)
    if found is Fault.GONE:
        return Judgement(verdict=Verdict.DEAD, fault=found, disables=True)
    named_s = retry_after_s(retry_after, now=now) if status in _NAMES_A_TIME else None
    quiet_s = min(named_s or 0.0, LONGEST_PAUSE_S)
    scheduled_s = wait_s(tries, jitter=jitter)
    refused = found in _FINAL
    if scheduled_s is None or (refused and refusals + 1 >= REFUSED_TRIES):
        return Judgement(verdict=Verdict.DEAD, fault=found, quiet_s=quiet_s)
    return Judgement(
        verdict=Verdict.RETRY,
        fault=found,
        wait_s=max(scheduled_s, named_s or 0.0),
        quiet_s=quiet_s,
        refused=refused,
    )


def fault_of(status: int) -> Fault | None:
    """What is wrong with an answer of this status; None if nothing is."""
    if 200 <= status < 300:  # noqa: PLR2004 (the class of successes)
        return None
    if status == 410:  # noqa: PLR2004 (Gone)
        return Fault.GONE
    by_class = {3: Fault.REDIRECTED, 4: Fault.REFUSED}
    return _TRIED_AGAIN.get(status) or by_class.get(status // 100, Fault.SERVER_ERROR)


# --- who says so ---------------------------------------------------------------------------------

SECRET_PREFIX = "whsec_"  # noqa: S105 (the prefix of every one)


def webhook_secret(secret: str) -> str:
    """A client's secret in the form that Standard Webhooks libraries take."""
    return SECRET_PREFIX + base64.b64encode(secret.encode()).decode()


def webhook_signature(secret: str, delivery_id: str, timestamp_s: int, body: bytes) -> str:
    """`v1,` and base64(HMAC-SHA256(secret, "id.timestamp.body"))"""
    message = f"{delivery_id}.{timestamp_s}.".encode() + body
    digest = hmac.new(secret.encode(), message, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def headers(
    *,
    delivery_id: UUID,
    event: Event,
    body: bytes,
    client_id: str,
    secrets: Sequence[str],
    tries: int,
    now_s: float,
) -> dict[str, str]:
    """The headers of the attempt after `tries` others. `secrets`: the live ones, newest first.

    The webhook signature is made with each secret, which the standard provides for. A bound key has
    room for one: attempts take turns, so that while secrets rotate a receiver that knows only the
    other one refuses a callback once and takes it a few seconds later.
    """
    timestamp_s = int(now_s)
    own_id = str(delivery_id)
    signatures = (webhook_signature(secret, own_id, timestamp_s, body) for secret in secrets)
    return {
        "Content-Type": "application/json",
        "X-Bound-Key": bound_key.make(client_id, secrets[tries % len(secrets)], now_s=now_s),
        "X-Callytics-Event": event.value,
        "webhook-id": own_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signatures),
    }


# --- what it says --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysedConsultation:
    """One entry of a callback's `results`. `evidence` is sent where it is given."""

    consultation_id: str
    summary: Mapping[str, str]
    keywords: Sequence[str]
    titles: Mapping[str, str]
    quality_score: float
    seconds: float
    evidence: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedConsultation:
    """One entry of a callback's `errors`."""

    consultation_id: str
    code: str
    detail: str


def batch_payload(
    *,
    batch_id: str,
    results: Sequence[AnalysedConsultation],
    errors: Sequence[FailedConsultation],
    total_seconds: float,
    completed_at: datetime,
    status: str,
    run: int,
    supersedes: UUID | None = None,
) -> bytes:
    """The body of a batch's callback, word for word as every attempt sends it.

    `supersedes` is the id of the delivery that told of the run before.
    """
    payload: dict[str, Any] = {
        "batch_id": batch_id,
        "results": [_result(one) for one in results],
        "errors": [
            {
                "consultation_id": one.consultation_id,
                "error": {"code": one.code, "detail": one.detail},
            }
            for one in errors
        ],
        "total_processing_time": round(total_seconds, 2),
        "completed_at": timestamp(completed_at),
        "status": status,
        "run": run,
    }
    if supersedes is not None:
        payload["supersedes"] = str(supersedes)
    return to_body(payload)


def _result(one: AnalysedConsultation) -> dict[str, Any]:
    result: dict[str, Any] = {
        "consultation_id": one.consultation_id,
        "summary": dict(one.summary),
        "keywords": list(one.keywords),
        "titles": dict(one.titles),
        "quality_score": round(one.quality_score, 2),
        "processing_time": round(one.seconds, 2),
    }
    if one.evidence is not None:
        result["evidence"] = dict(one.evidence)
    return result


def to_body(payload: Mapping[str, Any]) -> bytes:
    """The JSON of a callback: made once, kept, and never made again."""
    return json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()


def timestamp(moment: datetime) -> str:
    """`2025-09-13T14:28:45Z`"""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
