"""What clients ask of calls."""

import json
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BeforeValidator, Field, JsonValue, model_validator
from pydantic import field_validator as validates

from api.schemas.base import StrictSchema, Text
from callytics.db.calls import CallFilter
from callytics.domain.job import JobStatus, Priority
from callytics.domain.stages import EVERY_STAGE, Stage
from callytics.domain.transcript import Role
from callytics.errors import UnknownStageError
from callytics.services.intake import CallOptions

MAX_METADATA_BYTES = 16 * 1024


def _known_stage(name: object) -> object:
    if isinstance(name, str) and name not in EVERY_STAGE:
        raise UnknownStageError(known=list(EVERY_STAGE))
    return name


StageName = Annotated[Stage, BeforeValidator(_known_stage)]


def small_json(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """`metadata`, if it is short, and JSON that PostgreSQL and every parser can hold."""
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

    analyse: bool = False
    """Whether the call joins a batch for the full analysis when it is completed. Then the callback is
    the batch's; the call is told of by itself only if it fails."""

    metadata: dict[Text, JsonValue] = Field(default_factory=dict)
    """The client's own notes, given back with the call; at most 16 KiB of JSON."""

    _small = validates("metadata")(small_json)

    def as_options(self) -> CallOptions:
        return CallOptions(
            consultation_id=self.consultation_id,
            callback_url=self.callback_url,
            priority=self.priority,
            language=self.language,
            hotwords=tuple(self.hotwords),
            channels=self.channels.model_dump() if self.channels else None,
            stages=tuple(self.stages or EVERY_STAGE),
            analyse=self.analyse,
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
