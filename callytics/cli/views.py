"""Rows as `--json` prints them: the API's names for the same things, and whose they are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from callytics.db.batches import Batches
from callytics.db.deliveries import Deliveries
from callytics.db.models import (
    AnalysisBatch,
    AnalysisItem,
    AnalysisResult,
    AnalysisRun,
    Delivery,
    DeliveryAttempt,
    Endpoint,
)
from callytics.domain.batching import shown_status
from callytics.domain.delivery import STATUS_OF
from callytics.domain.stages import StageStatus
from callytics.services.batch_results import best_of, problem_of

Json = dict[str, Any]

ANSWER_CHARS = 200
"""Of what an endpoint answered."""

_FAILED = (StageStatus.FAILED, StageStatus.CANCELLED)


def page(views: Sequence[Json], id_name: str, *, has_more: bool) -> Json:
    return {
        "object": "list",
        "data": list(views),
        "first_id": views[0][id_name] if views else None,
        "last_id": views[-1][id_name] if views else None,
        "has_more": has_more,
    }


# --- batches -------------------------------------------------------------------------------------


def batches(session: Session, found: Sequence[AnalysisBatch]) -> list[Json]:
    """With their runs loaded."""
    repository = Batches(session)
    ids = [batch.id for batch in found]
    counts = repository.counts(ids)
    clients = repository.client_names([batch.client_id for batch in found])
    told = Deliveries(session).latest_of_batches(ids)
    return [
        {
            "batch_id": batch.name,
            "client_id": clients[batch.client_id],
            "status": shown_status(batch.status, counts[batch.id]).value,
            "total_consultations": batch.size,
            "counts": {state.value: counts[batch.id].get(state, 0) for state in StageStatus},
            "callback_url": batch.callback_url,
            "callback_status": _status(told.get(batch.id)),
            "run": batch.run_no,
            "runs": [_run(run) for run in batch.runs],
            "created_at": _time(batch.created_at),
            "closes_at": _time(batch.closes_at),
            "closed_at": _time(batch.closed_at),
            "completed_at": _time(batch.completed_at),
        }
        for batch in found
    ]


def _status(told: Delivery | None) -> str | None:
    return STATUS_OF[told.job.status].value if told is not None else None


def _run(run: AnalysisRun) -> Json:
    return {
        "run": run.run_no,
        "model": run.model,
        "prompt_version": run.prompt_version,
        "consultations": run.items,
        "started_at": _time(run.started_at),
        "completed_at": _time(run.completed_at),
    }


@dataclass(kw_only=True, slots=True)
class _Found:
    """What a run came to."""

    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    prompt_tokens: int = 0
    output_tokens: int = 0
    revisions: set[str] = field(default_factory=set)

    def add(self, result: AnalysisResult) -> None:
        self.done += result.analysis is not None
        self.failed += result.analysis is None
        self.seconds += result.seconds or 0.0
        self.prompt_tokens += result.prompt_tokens or 0
        self.output_tokens += result.output_tokens or 0
        self.revisions |= {result.revision} if result.revision else set()


def with_provenance(view: Json, items: Iterable[AnalysisItem]) -> Json:
    """A batch whose runs also say what they came to and took, by the results of its `items`."""
    found: dict[int, _Found] = {run["run"]: _Found() for run in view["runs"]}
    for item in items:
        for result in item.results:
            found[result.run_no].add(result)
    runs = [{**run, **_provenance(found[run["run"]])} for run in view["runs"]]
    return {**view, "runs": runs}


def _provenance(found: _Found) -> Json:
    return {
        "done": found.done,
        "failed": found.failed,
        "processing_time": round(found.seconds, 2),
        "prompt_tokens": found.prompt_tokens,
        "output_tokens": found.output_tokens,
        "revisions": sorted(found.revisions),
    }


def failures(items: Iterable[AnalysisItem]) -> list[Json]:
    """The consultations that their latest run failed with, and whether an earlier result stands."""
    return [
        {
            "consultation_id": item.consultation_id,
            "position": item.position,
            "run": item.run_no,
            "attempts": item.job.attempt,
            "result_run": best.run_no if (best := best_of(item)) else None,
            "error": dict(problem_of(item)),
        }
        for item in items
        if item.job.status in _FAILED
    ]


def item(row: AnalysisItem) -> Json:
    """What was found of a consultation; never what was said in it."""
    best = best_of(row)
    found = best.analysis if best is not None and best.analysis is not None else {}
    parts = ("summary", "keywords", "titles", "checks", "evidence")
    return {
        "consultation_id": row.consultation_id,
        "position": row.position,
        "status": row.job.status.value,
        "run": row.run_no,
        "attempts": row.job.attempt,
        "call_id": _text(row.call_id),
        "metadata": row.details,
        **{name: found.get(name) for name in parts},
        "quality_score": best.quality_score if best else None,
        "processing_time": best.seconds if best else None,
        "model": best.model if best else None,
        "revision": best.revision if best else None,
        "prompt_version": best.prompt_version if best else None,
        "prompt_tokens": best.prompt_tokens if best else None,
        "output_tokens": best.output_tokens if best else None,
        "result_run": best.run_no if best else None,
        "error": dict(problem_of(row)) if best is None and row.job.status in _FAILED else None,
    }


# --- callbacks -----------------------------------------------------------------------------------


def deliveries(session: Session, found: Sequence[Delivery]) -> list[Json]:
    """With job and endpoint loaded."""
    repository = Batches(session)
    clients = repository.client_names([one.client_id for one in found])
    names = repository.names([one.batch_id for one in found if one.batch_id])
    return [
        {
            "delivery_id": str(one.id),
            "client_id": clients[one.client_id],
            "event": one.event.value,
            "status": STATUS_OF[one.job.status].value,
            "endpoint_id": str(one.endpoint_id),
            "url": one.endpoint.url,
            "batch_id": names[one.batch_id] if one.batch_id else None,
            "run": one.run_no,
            "call_id": _text(one.call_id),
            "supersedes": _text(one.supersedes),
            "tries": one.tries,
            "replays": one.replays,
            "created_at": _time(one.created_at),
            "delivered_at": _time(one.delivered_at),
            "next_attempt_at": _time(
                one.job.next_attempt_at if one.job.status is StageStatus.QUEUED else None
            ),
            "error": one.job.problem,
        }
        for one in found
    ]


def attempt(row: DeliveryAttempt) -> Json:
    return {
        "attempt": row.attempt,
        "started_at": _time(row.started_at),
        "seconds": round(row.seconds, 3),
        "status": row.status,
        "fault": row.problem,
        "verdict": row.verdict,
        "answer": row.answer.decode(errors="replace")[:ANSWER_CHARS] if row.answer else None,
    }


def endpoint(row: Endpoint, clients: Mapping[UUID, str]) -> Json:
    return {
        "endpoint_id": str(row.id),
        "client_id": clients[row.client_id],
        "url": row.url,
        "failures": row.failures,
        "paused_until": _time(row.paused_until),
        "disabled_at": _time(row.disabled_at),
        "disabled_reason": row.disabled_reason,
        "last_success_at": _time(row.last_success_at),
        "last_failure_at": _time(row.last_failure_at),
    }


def _time(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat() if value is not None else None


def _text(value: UUID | None) -> str | None:
    return str(value) if value is not None else None
