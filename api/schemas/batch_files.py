"""Files of consultations, and batches of them, as clients of OpenAI's Batch API know them.

Source of the forms: OpenAI API reference, "Files" and "Batch"
(https://platform.openai.com/docs/api-reference/batch).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, ValidationError
from pydantic import field_validator as validates
from pydantic_core import ErrorDetails

from api.errors import faults_of, invalid
from api.schemas.base import StrictSchema, Text
from api.schemas.consultation import BATCH_NAME, ConsultationId, Spoken, says_something
from api.schemas.requests import small_json
from callytics.db.models import AnalysisBatch, AnalysisItem, BatchFile
from callytics.domain.batching import BATCH_FINISHED, BatchStatus
from callytics.domain.stages import StageStatus
from callytics.errors import ConsultationDoubledError, InvalidRequestError
from callytics.services.batch_results import best_of, problem_of
from callytics.services.batch_views import ItemView
from callytics.services.batches import Consultation, doubled
from callytics.services.schema import Schema
from callytics.services.upkeep import BATCH_FILE_KEPT
from callytics.settings import BatchSettings

ENDPOINT = "/api/v1/consultation/batch-analysis"
"""The one thing that the lines of a file can ask for."""

MOST_FAULTS = 20
"""Faults of a file that are told at once."""


class LineBody(StrictSchema):
    conversation_text: Spoken
    """What was said, best with a label and a line a turn (`고객: ...`, `상담사: ...`)."""

    metadata: dict[Text, JsonValue] = Field(default_factory=dict)
    """The client's own notes, given back with the result; at most 16 KiB of JSON."""

    _said = validates("conversation_text")(says_something)
    _small = validates("metadata")(small_json)


class BatchLine(StrictSchema):
    """A line of a file: one consultation."""

    custom_id: ConsultationId
    """The client's own name for the consultation."""

    method: Literal["POST"]
    url: Literal["/api/v1/consultation/batch-analysis"]
    body: LineBody


def read_lines(content: str, limits: BatchSettings) -> list[Consultation]:
    """The consultations of a file, one a line; empty lines are left out.

    Raises InvalidRequestError, which names lines and fields and repeats no value, and
    ConsultationDoubledError.
    """
    most = limits.max_consultations
    # Counted before it is cut: millions of lines would take gigabytes.
    few = content.count("\n") <= 2 * most
    lines = enumerate(content.removeprefix("\ufeff").split("\n"), 1) if few else ()
    numbered = [(number, line) for number, line in lines if line.strip()]
    if not few or len(numbered) > most:
        raise InvalidRequestError(
            f"Send at most {most} consultations in one file.", max_consultations=most
        )
    if not numbered:
        raise InvalidRequestError("The file has no lines.")
    found: list[Consultation] = []
    faults: list[ErrorDetails] = []
    for number, line in numbered:
        try:
            one = BatchLine.model_validate_json(line)
        except ValidationError as error:
            faults += _placed(error, number)
            if len(faults) >= MOST_FAULTS:
                faults[MOST_FAULTS - 1 :] = [_not_looked_at(number)]
                break
            continue
        if len(one.body.conversation_text) > limits.max_chars:
            faults.append(_too_long(number, limits.max_chars))
        found.append(
            Consultation(
                consultation_id=one.custom_id,
                conversation=one.body.conversation_text,
                metadata=one.body.metadata,
            )
        )
    if faults:
        raise invalid(faults[:MOST_FAULTS])
    if twice := doubled([one.consultation_id for one in found]):
        raise ConsultationDoubledError(consultation_ids=twice[:MOST_FAULTS])
    return found


def _placed(error: ValidationError, number: int) -> Iterator[ErrorDetails]:
    for fault in faults_of(error):
        if fault["type"] == "json_invalid":
            fault["type"], fault["msg"] = "value_error", "This line is not valid JSON"
        fault["loc"] = ("line", number, *fault["loc"])
        yield fault


def _not_looked_at(number: int) -> ErrorDetails:
    return {
        "type": "value_error",
        "loc": ("line", number),
        "msg": "There may be more faults: from this line on none is told",
        "input": None,
    }


def _too_long(number: int, limit: int) -> ErrorDetails:
    return {
        "type": "string_too_long",
        "loc": ("line", number, "body", "conversation_text"),
        "msg": f"String should have at most {limit} characters",
        "input": None,
    }


class FileObject(Schema):
    id: str
    object: Literal["file"] = "file"

    bytes: int
    created_at: int
    """Seconds since 1970, as all times of this form."""

    expires_at: int | None = None
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["processed"] = "processed"

    @classmethod
    def of(cls, file: BatchFile) -> Self:
        return cls(
            id=f"file-{file.id.hex}",
            bytes=file.size,
            created_at=seconds(file.created_at),
            expires_at=seconds(file.created_at + BATCH_FILE_KEPT),
            filename=file.filename,
            purpose="batch",
        )

    @classmethod
    def of_result(cls, file_id: str, batch: AnalysisBatch, lines: str) -> Self:
        return cls(
            id=file_id,
            bytes=len(lines.encode()),
            created_at=seconds(batch.completed_at or batch.created_at),
            filename=f"{file_id.removeprefix('file-')}.jsonl",
            purpose="batch_output",
        )


class FileDeleted(Schema):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


Note = Annotated[Text, Field(max_length=2048)]


class NewFileBatch(StrictSchema):
    input_file_id: str = Field(max_length=64)
    endpoint: Literal["/api/v1/consultation/batch-analysis"]

    completion_window: Literal["24h"] = "24h"
    """Given back as it is: a batch begins as soon as the ones before it are done."""

    metadata: dict[Text, Note] | None = Field(default=None, max_length=16)
    """The client's own notes. `callback_url`, an https address, gets the batch when it is done."""

    _small = validates("metadata")(lambda notes: notes and small_json(notes))


class RequestCounts(Schema):
    total: int
    completed: int
    failed: int


class FileBatch(Schema):
    id: str
    object: Literal["batch"] = "batch"
    endpoint: str = ENDPOINT
    errors: None = None
    """A file with faults is refused when it is sent."""

    input_file_id: str
    completion_window: Literal["24h"] = "24h"
    status: Literal["in_progress", "completed", "cancelled"]

    output_file_id: str | None
    """The results, a line each, once the batch has ended and if there are any."""

    error_file_id: str | None
    """What could not be analysed, a line each."""

    created_at: int
    in_progress_at: int | None
    completed_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    metadata: dict[str, Any] | None

    @classmethod
    def of(cls, batch: AnalysisBatch, done: int) -> Self:
        """`done` of its consultations were analysed, by whichever run."""
        ended = seconds(batch.completed_at) if batch.completed_at else None
        over, cancelled = batch.status in BATCH_FINISHED, batch.status is BatchStatus.CANCELLED
        return cls(
            id=batch.name,
            input_file_id=f"file-{batch.input_file_id.hex}" if batch.input_file_id else "",
            status="cancelled" if cancelled else "completed" if over else "in_progress",
            output_file_id=output_id(batch.name) if over and done else None,
            error_file_id=errors_id(batch.name) if over and done < batch.size else None,
            created_at=seconds(batch.created_at),
            in_progress_at=seconds(batch.closed_at) if batch.closed_at else None,
            completed_at=None if cancelled else ended,
            cancelled_at=ended if cancelled else None,
            request_counts=RequestCounts(
                total=batch.size, completed=done, failed=batch.size - done if over else 0
            ),
            metadata=batch.details,
        )


class FileBatchQuery(StrictSchema):
    after: str | None = Field(default=None, pattern=BATCH_NAME)
    """Begin behind this batch: the `last_id` of the page before."""

    limit: int = Field(default=20, ge=1, le=100)


class FileBatchPage(Schema):
    object: Literal["list"] = "list"
    data: list[FileBatch]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, batches: list[FileBatch], *, has_more: bool) -> Self:
        return cls(
            data=batches,
            first_id=batches[0].id if batches else None,
            last_id=batches[-1].id if batches else None,
            has_more=has_more,
        )


class LineResponse(Schema):
    status_code: Literal[200] = 200
    request_id: str
    body: ItemView


class LineError(Schema):
    code: str
    message: str


class OutputLine(Schema):
    """A line of an output file, or of an error file."""

    id: str
    custom_id: str
    response: LineResponse | None
    error: LineError | None

    @classmethod
    def of(cls, item: AnalysisItem) -> Self:
        response = error = None
        if best_of(item) is None:
            problem = problem_of(item)
            error = LineError(code=problem["code"], message=problem["detail"])
        else:
            # A later run may have failed: the result stands.
            body = ItemView.of(item).model_copy(update={"status": StageStatus.DONE})
            response = LineResponse(request_id=item.id.hex, body=body)
        return cls(
            id=f"batch_req_{item.id.hex}",
            custom_id=item.consultation_id,
            response=response,
            error=error,
        )


def output_lines(items: Sequence[AnalysisItem], *, failed: bool) -> str:
    """The output file of a batch's consultations, or, of those that `failed`, the error file."""
    shown = (OutputLine.of(item) for item in items if (best_of(item) is None) is failed)
    return "".join(f"{line.model_dump_json().translate(LINE_ENDS)}\n" for line in shown)


LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}
"""What JSON lets stand and some readers take for the end of a line."""


def output_id(batch: str) -> str:
    return f"file-{batch}-output"


def errors_id(batch: str) -> str:
    return f"file-{batch}-errors"


def seconds(time: datetime) -> int:
    return int(time.timestamp())
