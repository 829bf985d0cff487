"""What is shown of batches, over HTTP and on the command line."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from callytics.db.models import AnalysisBatch, AnalysisItem, AnalysisRun
from callytics.domain.batching import BatchStatus, shown_status
from callytics.domain.stages import StageStatus
from callytics.services.batch_results import best_of, problem_of, told
from callytics.services.schema import Schema


class RunView(Schema):
    """One run over a batch, and what it was done with."""

    run: int
    model: str
    prompt_version: str
    consultations: int
    """How many it analysed."""

    started_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, run: AnalysisRun) -> Self:
        return cls(
            run=run.run_no,
            model=run.model,
            prompt_version=run.prompt_version,
            consultations=run.items,
            started_at=run.started_at,
            completed_at=run.completed_at,
        )


class BatchView(Schema):
    batch_id: str
    status: BatchStatus
    total_consultations: int

    counts: dict[StageStatus, int]
    """How many consultations stand where."""

    callback_url: str | None
    run: int
    runs: list[RunView]
    created_at: datetime

    closes_at: datetime
    """When it closes at the latest."""

    closed_at: datetime | None
    completed_at: datetime | None

    @classmethod
    def of(cls, batch: AnalysisBatch, counts: Mapping[StageStatus, int]) -> Self:
        return cls(
            batch_id=batch.name,
            status=shown_status(batch.status, counts),
            total_consultations=batch.size,
            counts={state: counts.get(state, 0) for state in StageStatus},
            callback_url=batch.callback_url,
            run=batch.run_no,
            runs=[RunView.of(run) for run in batch.runs],
            created_at=batch.created_at,
            closes_at=batch.closes_at,
            closed_at=batch.closed_at,
            completed_at=batch.completed_at,
        )


class ItemView(Schema):
    """A consultation of a batch; what was found is that of the latest run that succeeded."""

    consultation_id: str
    position: int
    status: StageStatus

    run: int
    """The latest run that analyses it."""

    attempts: int
    call_id: UUID | None
    metadata: dict[str, Any]
    summary: dict[str, str] | None = None
    keywords: list[str] | None = None
    titles: dict[str, str] | None = None
    quality_score: float | None = None

    checks: list[dict[str, Any]] | None = None
    """What the quality score is made of: each named check, its share of 1, its weight."""

    evidence: dict[str, Any] | None = None
    """The turns and characters of the conversation that each part and keyword rests on."""

    processing_time: float | None = None
    """Seconds that the model took."""

    provider: str | None = None
    model: str | None = None
    revision: str | None = None
    prompt_version: str | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None

    result_run: int | None = None
    """The run that the result is of."""

    error: dict[str, Any] | None = None
    """Why there is no result: `code` and `detail`."""

    @classmethod
    def of(cls, item: AnalysisItem) -> Self:
        shown: dict[str, Any] = {
            "consultation_id": item.consultation_id,
            "position": item.position,
            "status": item.job.status,
            "run": item.run_no,
            "attempts": item.job.attempt,
            "call_id": item.call_id,
            "metadata": item.details,
        }
        found = best_of(item)
        if found is not None and found.analysis is not None:
            shown |= told(found.analysis)
            shown |= {name: found.analysis.get(name) for name in ("checks", "evidence")}
            shown |= {
                "quality_score": found.quality_score,
                "processing_time": found.seconds,
                "provider": found.provider,
                "model": found.model,
                "revision": found.revision,
                "prompt_version": found.prompt_version,
                "prompt_tokens": found.prompt_tokens,
                "output_tokens": found.output_tokens,
                "result_run": found.run_no,
            }
        elif item.job.status in (StageStatus.FAILED, StageStatus.CANCELLED):
            shown["error"] = problem_of(item)
        return cls(**shown)
