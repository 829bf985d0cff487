"""Rows as `--json` prints them: the API's names for the same things, and whose they are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from callytics.db.batches import Batches
from callytics.db.deliveries import Deliveries
from callytics.db.models import (
    AnalysisBatch,
    AnalysisItem,
    AnalysisResult,
    Call,
    Delivery,
    DeliveryAttempt,
    Endpoint,
)
from callytics.domain.delivery import STATUS_OF
from callytics.domain.stages import StageStatus
from callytics.services.batch_results import best_of, problem_of
from callytics.services.batch_views import BatchView, ItemView
from callytics.services.call_result import CallSummary
from callytics.services.delivery_views import AttemptView, DeliveryView, EndpointView
from callytics.services.schema import Schema

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


# --- calls ---------------------------------------------------------------------------------------


def calls(session: Session, found: Sequence[Call]) -> list[Json]:
    clients = Batches(session).client_names([call.client_id for call in found])
    return [{**_json(CallSummary.of(call)), "client_id": clients[call.client_id]} for call in found]


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
            **_json(BatchView.of(batch, counts[batch.id])),
            "client_id": clients[batch.client_id],
            "callback_status": _status(told.get(batch.id)),
        }
        for batch in found
    ]


def _status(told: Delivery | None) -> str | None:
    return STATUS_OF[told.job.status].value if told is not None else None


@dataclass(kw_only=True, slots=True)
class _Found:
    """What a run came to."""

    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    prompt_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    providers: set[str] = field(default_factory=set)
    revisions: set[str] = field(default_factory=set)

    def add(self, result: AnalysisResult) -> None:
        self.done += result.analysis is not None
        self.failed += result.analysis is None
        self.seconds += result.seconds or 0.0
        self.prompt_tokens += result.prompt_tokens or 0
        self.output_tokens += result.output_tokens or 0
        self.cost_usd += result.cost_usd or 0.0
        self.providers |= {result.provider} if result.provider else set()
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
        "cost_usd": found.cost_usd,
        "providers": sorted(found.providers),
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
    return _json(ItemView.of(row))


# --- callbacks -----------------------------------------------------------------------------------


def deliveries(session: Session, found: Sequence[Delivery]) -> list[Json]:
    """With job and endpoint loaded."""
    repository = Batches(session)
    clients = repository.client_names([one.client_id for one in found])
    names = repository.names([one.batch_id for one in found if one.batch_id])
    return [
        {
            **_json(DeliveryView.of(one, batch=names.get(one.batch_id) if one.batch_id else None)),
            "client_id": clients[one.client_id],
            "endpoint_id": str(one.endpoint_id),
        }
        for one in found
    ]


def attempt(row: DeliveryAttempt) -> Json:
    """With the start of the answer alone."""
    view = _json(AttemptView.of(row))
    answer = view["answer"]
    return {**view, "answer": answer[:ANSWER_CHARS] if answer is not None else None}


def endpoint(row: Endpoint, clients: Mapping[UUID, str]) -> Json:
    return {**_json(EndpointView.of(row)), "client_id": clients[row.client_id]}


def _json(view: Schema) -> Json:
    return view.model_dump(mode="json")
