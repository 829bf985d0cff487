"""What clients are shown of calls."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import SerializerFunctionWrapHandler, model_serializer

from callytics.db.models import Call, CallTurn, StageRun, Summary
from callytics.db.turns import turn_of
from callytics.domain.communication import Communication, assess
from callytics.domain.job import JobStatus, Priority
from callytics.domain.metrics import RoleMetrics
from callytics.domain.sentiment_words import words_of
from callytics.domain.serial import from_json, to_json
from callytics.domain.stages import EVERY_STAGE, Stage, StageStatus
from callytics.domain.transcript import Role, Turn
from callytics.services.batch_results import best_of, problem_of, told
from callytics.services.schema import Schema


class Submitted(Schema):
    call_id: UUID
    status: JobStatus

    status_url: str
    """GET: the call's state and results."""

    events_url: str
    """GET: its progress as server-sent events."""


class StageView(Schema):
    """Where one stage of a call stands. Times are of its latest attempt."""

    name: Stage
    status: StageStatus
    attempts: int
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None

    wait_s: float | None
    """From queued to started."""

    run_s: float | None
    """From started to finished."""

    model: str | None
    revision: str | None
    device: str | None
    worker: str | None

    variant: str
    """Which version of the stage's model it was, or is to be, done with."""

    progress: float | None
    """Share that is done, 0 to 1, where the stage tells it."""

    problem: dict[str, Any] | None
    """Why the latest attempt failed: `code` and `detail`."""

    @classmethod
    def of(cls, run: StageRun) -> Self:
        # A stage that waits for another attempt keeps the times of the one that failed.
        started = run.started_at if run.status is not StageStatus.QUEUED else None
        finished = run.finished_at if started else None
        return cls(
            name=run.stage,
            status=run.status,
            attempts=run.attempt,
            queued_at=run.queued_at,
            started_at=started,
            finished_at=finished,
            wait_s=_seconds_between(run.queued_at, started),
            run_s=_seconds_between(started, finished),
            model=run.model,
            revision=run.revision,
            device=run.device,
            worker=run.worker,
            variant=run.variant,
            progress=run.progress,
            problem=run.problem,
        )


def _seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    return round((end - start).total_seconds(), 3) if start and end else None


class SentimentView(Schema):
    label: str
    """negative, neutral or positive"""

    score: float
    """The model's probability of the label."""


class SentenceView(Schema):
    text: str
    sentiment: SentimentView | None = None


class WordView(Schema):
    text: str
    start_s: float
    end_s: float
    confidence: float


class TurnView(Schema):
    """What one speaker says until another one does; times in seconds from the start of the audio."""

    index: int
    start_s: float
    end_s: float
    speaker: str
    role: Role
    role_confidence: float
    text: str
    sentences: list[SentenceView]
    sentiment: SentimentView | None

    words: list[WordView] | None = None
    """Only on request (`?words=true`)."""

    @model_serializer(mode="wrap")
    def _without_unasked_words(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        shown: dict[str, Any] = handler(self)
        if self.words is None:
            del shown["words"]
        return shown

    @classmethod
    def of(cls, turn: CallTurn, *, words: bool) -> Self:
        return cls.model_validate(
            {
                "index": turn.index,
                "start_s": turn.start_s,
                "end_s": turn.end_s,
                "speaker": turn.speaker,
                "role": turn.role,
                "role_confidence": turn.role_confidence,
                "text": turn.text,
                "sentences": turn.sentences,
                "sentiment": turn.sentiment,
                "words": turn.words if words else None,
            }
        )


class SummaryView(Schema):
    text: str

    provider: str | None
    """Who answered; null where nobody was asked."""

    model: str
    seconds: float

    @classmethod
    def of(cls, summary: Summary) -> Self:
        return cls(
            text=summary.text,
            provider=summary.provider,
            model=summary.model,
            seconds=summary.seconds,
        )


class AnalysisView(Schema):
    """The full analysis of a call, made in a batch."""

    batch_id: str
    status: StageStatus
    summary: dict[str, str] | None = None
    keywords: list[str] | None = None
    titles: dict[str, str] | None = None
    quality_score: float | None = None
    provider: str | None = None
    model: str | None = None

    error: dict[str, Any] | None = None
    """Why there is none: `code` and `detail`."""

    @classmethod
    def latest(cls, call: Call) -> Self | None:
        item = max(call.analyses, key=lambda one: one.job.created_at, default=None)
        if item is None:
            return None
        found = best_of(item)
        if found is None or found.analysis is None:
            ended = item.job.status in (StageStatus.FAILED, StageStatus.CANCELLED)
            error = dict(problem_of(item)) if ended else None
            return cls(batch_id=item.batch.name, status=item.job.status, error=error)
        return cls(
            batch_id=item.batch.name,
            status=item.job.status,
            **told(found.analysis),
            quality_score=found.quality_score,
            provider=found.provider,
            model=found.model,
        )


class CallResult(Schema):
    """A call: where it stands, and its results as far as they have come."""

    call_id: UUID
    consultation_id: str | None
    status: JobStatus
    duration_s: float | None

    language: str | None
    """As asked for, or as found."""

    channels: dict[str, int] | None
    turns: list[TurnView]

    sentiment: dict[str, Any] | None
    """Of the whole call, and of each role; `words` that carry it, with where they occur."""

    metrics: dict[str, Any] | None
    """Talk time and share of each role, silence, interruptions, speed."""

    communication: Communication | None
    """How agent and customer speak with each other, once there are metrics."""

    summary: SummaryView | None

    stages: list[StageView]
    created_at: datetime
    completed_at: datetime | None
    priority: Priority
    metadata: dict[str, Any]

    analysis: AnalysisView | None
    """Where it was asked for (`analyse`), once the call is completed."""

    audio_purged_at: datetime | None = None
    """When its recording was deleted, where the rest was kept."""

    text_purged_at: datetime | None = None
    """When its turns, summary and metadata were deleted, where the rest was kept."""

    @classmethod
    def of(cls, call: Call, *, words: bool = False) -> Self:
        """From a call with its stages and results loaded.

        Words and communication are found anew each time, so they fit the roles that a person corrected.
        """
        turns = [turn_of(turn, words=False) for turn in call.turns]
        return cls(
            call_id=call.id,
            consultation_id=call.consultation_id,
            status=call.status,
            duration_s=call.duration_s,
            language=call.detected_language or call.language,
            channels=call.channels,
            turns=[TurnView.of(turn, words=words) for turn in call.turns],
            sentiment=_with_words(call.sentiment, turns),
            metrics=call.metrics,
            communication=_communication(turns, call.metrics),
            summary=SummaryView.of(call.summary) if call.summary else None,
            stages=stages_of(call),
            created_at=call.created_at,
            completed_at=call.completed_at,
            priority=call.priority,
            metadata=call.details,
            analysis=AnalysisView.latest(call),
            audio_purged_at=call.audio_purged_at,
            text_purged_at=call.text_purged_at,
        )


def _with_words(
    sentiment: Mapping[str, Any] | None, turns: Sequence[Turn]
) -> dict[str, Any] | None:
    return {**sentiment, "words": to_json(words_of(turns))} if sentiment else None


def _communication(
    turns: Sequence[Turn], metrics: Mapping[str, Any] | None
) -> Communication | None:
    if metrics is None:
        return None
    return assess(
        turns, {Role(name): from_json(RoleMetrics, one) for name, one in metrics["roles"].items()}
    )


def stages_of(call: Call) -> list[StageView]:
    """In the order of the pipeline."""
    runs = sorted(call.stage_runs, key=lambda run: EVERY_STAGE.index(run.stage))
    return [StageView.of(run) for run in runs]


class Transcript(Schema):
    """What was said, without the rest of the result."""

    call_id: UUID
    duration_s: float | None
    language: str | None
    turns: list[TurnView]

    @classmethod
    def of(cls, call: Call) -> Self:
        return cls(
            call_id=call.id,
            duration_s=call.duration_s,
            language=call.detected_language or call.language,
            turns=[TurnView.of(turn, words=False) for turn in call.turns],
        )


class CallSummary(Schema):
    """A call as a list shows it."""

    call_id: UUID
    consultation_id: str | None
    status: JobStatus
    priority: Priority
    duration_s: float | None
    language: str | None
    created_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, call: Call) -> Self:
        return cls(
            call_id=call.id,
            consultation_id=call.consultation_id,
            status=call.status,
            priority=call.priority,
            duration_s=call.duration_s,
            language=call.detected_language or call.language,
            created_at=call.created_at,
            completed_at=call.completed_at,
        )


class CallPage(Schema):
    object: Literal["list"] = "list"
    data: list[CallSummary]
    first_id: UUID | None

    last_id: UUID | None
    """Goes into `after` for the next page."""

    has_more: bool

    @classmethod
    def of(cls, calls: Sequence[Call], *, has_more: bool) -> Self:
        return cls(
            data=[CallSummary.of(call) for call in calls],
            first_id=calls[0].id if calls else None,
            last_id=calls[-1].id if calls else None,
            has_more=has_more,
        )


class StatusEvent(Schema):
    """The data of a `status` event."""

    call_id: UUID
    status: JobStatus
    completed_at: datetime | None
