"""A call as clients submit and see it."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic import field_validator as validates

from api.schemas.base import Schema, StrictSchema, Text
from callytics.db.calls import CallFilter
from callytics.db.models import Call, CallTurn, StageRun, Summary
from callytics.domain.job import JobStatus, Priority
from callytics.domain.stages import EVERY_STAGE, Stage, StageStatus
from callytics.domain.transcript import Role
from callytics.errors import UnknownStageError
from callytics.services.intake import CallOptions

MAX_METADATA_BYTES = 16 * 1024


def _known_stage(name: object) -> object:
    if isinstance(name, str) and name not in EVERY_STAGE:
        raise UnknownStageError(known=list(EVERY_STAGE))
    return name


StageName = Annotated[Stage, BeforeValidator(_known_stage)]


class Channels(StrictSchema):
    agent: int = Field(ge=0, le=15)
    """Number of the channel that the agent is on, from 0."""

    customer: int = Field(ge=0, le=15)
    """Number of the channel that the customer is on, from 0."""

    @model_validator(mode="after")
    def _two_channels(self) -> Self:
        if self.agent == self.customer:
            raise ValueError("agent and customer must be on different channels")
        return self


class Options(StrictSchema):
    """What may be asked for beside the audio."""

    consultation_id: Text | None = Field(default=None, min_length=1, max_length=128)
    """The client's own name for the consultation."""

    callback_url: Text | None = Field(default=None, min_length=1, max_length=2048)
    """https address that is told when the call's analysis is done."""

    priority: Priority = Priority.NORMAL
    """Who goes first where calls wait."""

    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    """ISO 639 code of what is spoken; found by the model if not given."""

    hotwords: list[Annotated[Text, Field(min_length=1, max_length=64)]] = Field(
        default=[], max_length=100
    )
    """Names and terms that the recogniser should expect."""

    channels: Channels | None = None
    """Who is on which channel of a stereo recording."""

    stages: list[StageName] | None = Field(default=None, min_length=1)
    """Only these stages and what they need; everything if not given."""

    metadata: dict[Text, JsonValue] = Field(default_factory=dict)
    """The client's own notes, given back with the call; at most 16 KiB of JSON."""

    @validates("metadata")
    @classmethod
    def _small(cls, metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
        try:
            text = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
            size = len(text.encode())
        except ValueError as error:  # NaN, infinities, half characters
            raise ValueError("must be JSON that every parser reads") from error
        if size > MAX_METADATA_BYTES:
            raise ValueError(f"must not be longer than {MAX_METADATA_BYTES} bytes of JSON")
        if "\\u0000" in text.replace("\\\\", ""):
            raise ValueError("must not contain the character U+0000")
        return metadata

    def as_options(self) -> CallOptions:
        return CallOptions(
            consultation_id=self.consultation_id,
            callback_url=self.callback_url,
            priority=self.priority,
            language=self.language,
            hotwords=tuple(self.hotwords),
            channels=self.channels.model_dump() if self.channels else None,
            stages=tuple(self.stages or EVERY_STAGE),
            metadata=self.metadata,
        )


class NewCall(Options):
    """A call whose audio the server gets itself: exactly one of `audio_url` and `audio_path`."""

    audio_url: Text | None = Field(default=None, min_length=1, max_length=2048)
    """http or https address of the recording; public addresses only, unless the operator allows the host."""

    audio_path: Text | None = Field(default=None, min_length=1, max_length=4096)
    """Path of the recording on the server, below one of its audio roots."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.audio_url is None) == (self.audio_path is None):
            raise ValueError("give exactly one of audio_url and audio_path")
        return self


class Submitted(Schema):
    call_id: UUID
    status: JobStatus = JobStatus.QUEUED

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
    model: str
    seconds: float

    @classmethod
    def of(cls, summary: Summary) -> Self:
        return cls(text=summary.text, model=summary.model, seconds=summary.seconds)


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
    """Of the whole call, and of each role."""

    metrics: dict[str, Any] | None
    """Talk time and share of each role, silence, interruptions, speed."""

    summary: SummaryView | None
    stages: list[StageView]
    created_at: datetime
    completed_at: datetime | None
    priority: Priority
    metadata: dict[str, Any]

    @classmethod
    def of(cls, call: Call, *, words: bool = False) -> Self:
        """From a call with its stages, turns and summary loaded."""
        return cls(
            call_id=call.id,
            consultation_id=call.consultation_id,
            status=call.status,
            duration_s=call.duration_s,
            language=call.detected_language or call.language,
            channels=call.channels,
            turns=[TurnView.of(turn, words=words) for turn in call.turns],
            sentiment=call.sentiment,
            metrics=call.metrics,
            summary=SummaryView.of(call.summary) if call.summary else None,
            stages=stages_of(call),
            created_at=call.created_at,
            completed_at=call.completed_at,
            priority=call.priority,
            metadata=call.details,
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


class CallQuery(StrictSchema):
    status: JobStatus | None = None
    priority: Priority | None = None
    consultation_id: Text | None = Field(default=None, min_length=1, max_length=128)

    created_after: AwareDatetime | None = None
    """With its offset from UTC: `2025-09-13T00:00:00+09:00`."""

    created_before: AwareDatetime | None = None
    """With its offset from UTC."""

    after: UUID | None = None
    """Begin behind this call: the `last_id` of the page before."""

    limit: int = Field(default=20, ge=1, le=100)

    def as_filter(self) -> CallFilter:
        return CallFilter(**self.model_dump(exclude={"after", "limit"}))


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


class Rerun(StrictSchema):
    start: StageName = Field(alias="from")
    """The first stage to run again; all that rests on it follows."""


class SpeakerChange(StrictSchema):
    """Exactly one of the two."""

    swap: Literal[True] | None = None
    """Agent becomes customer, customer becomes agent."""

    roles: dict[Annotated[Text, Field(min_length=1, max_length=32)], Role] | None = Field(
        default=None, min_length=1
    )
    """Speaker, as the turns name it, to role."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.swap is None) == (self.roles is None):
            raise ValueError("give exactly one of swap and roles")
        return self


class StatusEvent(Schema):
    """The data of a `status` event."""

    call_id: UUID
    status: JobStatus
    completed_at: datetime | None
