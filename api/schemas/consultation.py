"""What clients ask of consultations, and what they are shown of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, FailFast, Field, JsonValue
from pydantic import field_validator as validates

from api.schemas.base import StrictSchema, Text
from api.schemas.requests import small_json
from callytics.db.batches import BatchFilter
from callytics.db.models import AnalysisItem, QuickSummary
from callytics.domain.batching import BatchStatus
from callytics.domain.excerpt import Line
from callytics.domain.job import Priority
from callytics.domain.stages import StageStatus
from callytics.domain.transcript import Role
from callytics.services.batch_views import BatchView, ItemView
from callytics.services.batches import BatchRequest, Consultation
from callytics.services.schema import Schema

ConsultationId = Annotated[Text, Field(min_length=1, max_length=128)]
Spoken = Annotated[Text, Field(min_length=1)]


BATCH_NAME = r"^[A-Za-z0-9-]{1,32}$"
"""What the id of a batch may look like."""


def says_something(text: str) -> str:
    if not text.strip():
        raise ValueError("must hold something that was said")
    return text


class SignedBody(StrictSchema):
    bound_key: str | None = Field(default=None, max_length=512)
    """The bound key, where it is not sent as the header `X-Bound-Key`."""


class QuickSummaryRequest(SignedBody):
    consultation_id: ConsultationId
    """The client's own name for the consultation."""

    conversation_text: Text | None = Field(default=None, min_length=1)
    """What was said, best with a label and a line a turn (`고객: ...`, `상담사: ...`). Left out: the turns
    that were sent before under this consultation."""

    priority: Priority = Priority.NORMAL
    """`high` goes before everything that waits."""

    _said = validates("conversation_text")(lambda text: text and says_something(text))


class QuickSummaryResult(Schema):
    consultation_id: str

    summary: str | None
    """One or two sentences; null while the status is not `success`."""

    processing_time: float
    """Seconds from the arrival of the request to the answer."""

    model_used: str | None

    provider: str | None = None
    """Who answered; null while nobody did, or where nobody was asked."""

    status: Literal["success", "processing", "failed"]

    summary_id: UUID

    cached: bool = False
    """Whether an earlier answer to the same conversation is given again."""

    source: str | None = None
    """`model`; `mended` where one half of it is a quotation, since the model's did not pass the checks;
    `quotes` where both are; `nothing` where nothing but greetings was said."""

    summary_url: str | None = None
    """GET: the summary, once it is made. Given while the status is `processing`."""

    error: dict[str, Any] | None = None
    """Why there is no summary: `code` and `detail`."""

    @classmethod
    def of(cls, row: QuickSummary, *, seconds: float, cached: bool = False, url: str = "") -> Self:
        status = _QUICK_STATUS.get(row.job.status, "processing")
        return cls(
            consultation_id=row.consultation_id,
            summary=row.text,
            processing_time=round(seconds, 3),
            model_used=row.model,
            provider=row.provider,
            status=status,
            summary_id=row.id,
            cached=cached,
            source=row.checks["source"] if row.checks else None,
            summary_url=url if status == "processing" else None,
            error=row.job.problem if status == "failed" else None,
        )


_QUICK_STATUS: Mapping[StageStatus, Literal["success", "processing", "failed"]] = {
    StageStatus.DONE: "success",
    StageStatus.FAILED: "failed",
    StageStatus.CANCELLED: "failed",
}


class SpokenTurnIn(StrictSchema):
    role: Role = Role.UNKNOWN
    text: Text = Field(min_length=1, max_length=20_000)

    _said = validates("text")(says_something)


class NewTurns(SignedBody):
    turns: list[SpokenTurnIn] = Field(min_length=1, max_length=200)
    """What was said since the last request, in order."""

    start: int | None = Field(default=None, ge=0, le=2**31 - 1)
    """Place of the first of these turns in the conversation, from 0. With it the request may be sent
    again: turns that are there already are left alone."""

    def lines(self) -> list[Line]:
        return [Line(role=turn.role, text=turn.text) for turn in self.turns]


class TurnsTaken(Schema):
    consultation_id: str

    turns: int
    """How many the conversation has now."""


class NewConsultation(StrictSchema):
    consultation_id: ConsultationId
    """The client's own name for the consultation."""

    conversation_text: Spoken
    """What was said, best with a label and a line a turn (`고객: ...`, `상담사: ...`)."""

    metadata: dict[Text, JsonValue] = Field(default_factory=dict)
    """The client's own notes, given back with the item; at most 16 KiB of JSON."""

    _said = validates("conversation_text")(says_something)
    _small = validates("metadata")(small_json)


class BatchAnalysisRequest(SignedBody):
    consultations: Annotated[list[NewConsultation], FailFast()] = Field(min_length=1)
    """1,000 at most, unless the operator allows more. Of several faulty ones the first is named."""

    callback_url: Text | None = Field(default=None, min_length=1, max_length=2048)
    """https address that gets each batch when it is done; without it the results are fetched."""

    priority: Priority = Priority.NORMAL
    """Who goes first where closed batches wait."""

    include: list[Literal["evidence"]] = Field(default=[], max_length=1)
    """`evidence`: the callback also says which turns each part rests on."""

    def as_request(self, client_id: UUID, idempotency_key: str | None) -> BatchRequest:
        return BatchRequest(
            client_id=client_id,
            consultations=[
                Consultation(
                    consultation_id=one.consultation_id,
                    conversation=one.conversation_text,
                    metadata=one.metadata,
                    with_evidence="evidence" in self.include,
                )
                for one in self.consultations
            ],
            callback_url=self.callback_url,
            priority=self.priority,
            idempotency_key=idempotency_key,
        )


class BatchShare(Schema):
    batch_id: str
    consultations: int
    """How many of the request's consultations are in this batch."""

    status_url: str


class BatchSubmitted(Schema):
    batch_id: str
    """The first of the batches that the consultations are in."""

    total_consultations: int
    """Consultations of the request."""

    estimated_completion: datetime
    """When the last of its batches will be done, by what consultations took lately."""

    status: BatchStatus

    batches: list[BatchShare]
    """Every batch that they are in: a batch takes 20, and may have had others of yours."""


class BatchQuery(StrictSchema):
    status: list[BatchStatus] = Field(default=[], max_length=6)
    """Only these; may be repeated."""

    created_after: AwareDatetime | None = None
    """With its offset from UTC: `2025-09-13T00:00:00+09:00`."""

    after: str | None = Field(default=None, pattern=BATCH_NAME)
    """Begin behind this batch: the `last_id` of the page before."""

    limit: int = Field(default=20, ge=1, le=100)

    def as_filter(self) -> BatchFilter:
        return BatchFilter(statuses=tuple(self.status), created_after=self.created_after)


class ItemQuery(StrictSchema):
    after: int | None = Field(default=None, ge=0, le=2**31 - 1)
    """Begin behind the item of this position: the `last_id` of the page before."""

    limit: int = Field(default=20, ge=1, le=100)


class BatchPage(Schema):
    object: Literal["list"] = "list"
    data: list[BatchView]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, batches: list[BatchView], *, has_more: bool) -> Self:
        return cls(
            data=batches,
            first_id=batches[0].batch_id if batches else None,
            last_id=batches[-1].batch_id if batches else None,
            has_more=has_more,
        )


class ItemPage(Schema):
    object: Literal["list"] = "list"
    data: list[ItemView]
    first_id: int | None
    last_id: int | None
    has_more: bool

    @classmethod
    def of(cls, items: Sequence[AnalysisItem], *, has_more: bool) -> Self:
        shown = [ItemView.of(item) for item in items]
        return cls(
            data=shown,
            first_id=shown[0].position if shown else None,
            last_id=shown[-1].position if shown else None,
            has_more=has_more,
        )


class BatchRerun(StrictSchema):
    only_failed: bool = True
    """Only consultations without a result; false: all of them."""

    model: Text | None = Field(default=None, min_length=1, max_length=128)
    """Another model, by the name that the chat server knows it by."""

    dry_run: bool = False
    """Only say what would be done."""


class BatchRerunStarted(Schema):
    batch_id: str
    run: int

    consultations: int
    """How many are analysed again."""

    kept: int
    """How many results stay as they are."""

    dry_run: bool
    status_url: str
