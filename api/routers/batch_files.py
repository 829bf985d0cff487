"""Batches out of files, for clients of OpenAI's Batch API: files sent, batches made of them, results read."""

import re
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session

from api import examples, openapi
from api.context import ApiContext
from api.deps import (
    AUTH_ERRORS,
    BearerReader,
    BearerWriter,
    Context,
    IdempotencyKey,
    json_only,
    media_type,
)
from api.multipart import Form, read_form
from api.schemas.batch_files import (
    FileBatch,
    FileBatchPage,
    FileBatchQuery,
    FileDeleted,
    FileObject,
    NewFileBatch,
    errors_id,
    output_id,
    output_lines,
    read_lines,
)
from api.schemas.consultation import BATCH_NAME
from api.submission import FORM_BYTES, JSON_ERRORS
from callytics.db.batch_files import BatchFiles
from callytics.db.batches import AnalysisItems, Batches, BatchFilter
from callytics.db.engine import unit_of_work
from callytics.db.models import AnalysisBatch
from callytics.domain.batching import BATCH_FINISHED
from callytics.errors import (
    BatchFileNotFoundError,
    BatchFinishedError,
    BatchNotFoundError,
    ConsultationDoubledError,
    ConsultationWaitingError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    MalformedRequestError,
    UnsupportedMediaTypeError,
)
from callytics.services import batches
from callytics.services.batches import BatchRequest
from callytics.services.delivery import check_callback_url

router = APIRouter(prefix="/v1", tags=["files"], responses=openapi.problems(*AUTH_ERRORS))

BatchId = Annotated[str, Path(description="The batch's id.", pattern=BATCH_NAME)]
FileId = Annotated[str, Path(description="The file's id: `file-...`.", max_length=64)]

JSON_LINES = "application/jsonl"


@router.post(
    "/files",
    summary="Send a file of consultations",
    responses={
        200: openapi.example(examples.FILE),
        **openapi.problems(*AUTH_ERRORS, *JSON_ERRORS, ConsultationDoubledError),
    },
    openapi_extra=openapi.file_form(examples.FILE_LINE),
)
async def send_file(request: Request, context: Context, client_id: BearerWriter) -> FileObject:
    """The form's `purpose` is `batch`, its `file` a consultation a line, as JSON. A file with faults is
    refused, and the answer names lines and fields. Files are kept for a day.
    """
    if media_type(request) != "multipart/form-data":
        raise UnsupportedMediaTypeError("Send multipart/form-data.")
    request.state.body_limit = context.settings.batch.max_request_bytes + FORM_BYTES
    form: Form[bytes] = Form()
    await read_form(request, _whole, form)
    if form.fields.get("purpose") != ["batch"]:
        raise InvalidRequestError("The field `purpose` must be `batch`.")
    if form.file is None:
        raise InvalidRequestError("Send the consultations as the field `file`.")
    # In a thread: a file of many consultations takes a while to be read.
    return await run_in_threadpool(_keep, context, client_id, form.filename, form.file)


async def _whole(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


def _keep(context: ApiContext, client_id: UUID, filename: str, content: bytes) -> FileObject:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedRequestError("The file is not UTF-8 text.") from error
    if "\0" in text:
        raise MalformedRequestError("The file must not contain the character U+0000.")
    read_lines(text, context.settings.batch)
    name = filename.replace("\0", "")[:255] or "batch.jsonl"
    with unit_of_work(context.sessions) as session:
        return FileObject.of(BatchFiles(session).add(client_id, name, text))


@router.get(
    "/files/{file_id}",
    summary="What is known of a file",
    responses=openapi.problems(*AUTH_ERRORS, BatchFileNotFoundError),
)
def show_file(context: Context, client_id: BearerReader, file_id: FileId) -> FileObject:
    with unit_of_work(context.sessions) as session:
        if (own := _own_id(file_id)) is not None:
            return FileObject.of(BatchFiles(session).get(client_id, own))
        batch, lines = _result(session, client_id, file_id)
        return FileObject.of_result(file_id, batch, lines)


@router.get(
    "/files/{file_id}/content",
    summary="A file's lines",
    response_class=Response,
    responses={
        200: {"content": {JSON_LINES: {}}, "description": "A JSON object a line"},
        **openapi.problems(*AUTH_ERRORS, BatchFileNotFoundError),
    },
)
def read_file(context: Context, client_id: BearerReader, file_id: FileId) -> Response:
    """What was sent, or what came of it: `custom_id` with `response.body`, or with `error`."""
    with unit_of_work(context.sessions) as session:
        if (own := _own_id(file_id)) is not None:
            content = BatchFiles(session).get(client_id, own, with_content=True).content
        else:
            _batch, content = _result(session, client_id, file_id)
    return Response(content, media_type=JSON_LINES)


@router.delete(
    "/files/{file_id}",
    summary="Drop a file",
    responses=openapi.problems(*AUTH_ERRORS, BatchFileNotFoundError),
)
def drop_file(context: Context, client_id: BearerWriter, file_id: FileId) -> FileDeleted:
    """A batch that was made of it goes on."""
    own = _own_id(file_id)
    if own is None:
        raise BatchFileNotFoundError("No file of yours has this id; results stay with their batch.")
    with unit_of_work(context.sessions) as session:
        BatchFiles(session).drop(client_id, own)
    return FileDeleted(id=file_id)


@router.post(
    "/batches",
    summary="Make a batch of a file",
    dependencies=[Depends(json_only)],
    responses={
        200: openapi.example(examples.FILE_BATCH),
        **openapi.problems(
            *AUTH_ERRORS,
            *JSON_ERRORS,
            BatchFileNotFoundError,
            ConsultationDoubledError,
            ConsultationWaitingError,
            IdempotencyKeyReusedError,
        ),
    },
)
def create(
    context: Context,
    client_id: BearerWriter,
    body: Annotated[NewFileBatch, Body(openapi_examples=examples.NEW_FILE_BATCHES)],
    idempotency_key: IdempotencyKey = None,
) -> FileBatch:
    """The file's consultations are a batch of their own, which closes at once. It is one like any other:
    `GET /api/v1/consultation/batches/{id}` and what lies below it know it too.
    """
    file_id = _own_id(body.input_file_id)
    if file_id is None:
        raise BatchFileNotFoundError
    callback_url = (body.metadata or {}).get("callback_url")
    if callback_url is not None:
        check_callback_url(callback_url, context.settings.callbacks)
    with unit_of_work(context.sessions) as session:
        content = BatchFiles(session).get(client_id, file_id, with_content=True).content
    request = BatchRequest(
        client_id=client_id,
        consultations=read_lines(content, context.settings.batch),
        callback_url=callback_url,
        idempotency_key=idempotency_key,
        file_id=file_id,
        notes=body.metadata,
    )
    name, hints = batches.submit_file(context.sessions, request, context.settings, file_id)
    context.send(hints)  # a crash before this line is the sweeper's business
    return _look(context, client_id, name)


@router.get(
    "/batches",
    summary="List batches that were made of files, newest first",
    responses=openapi.problems(*AUTH_ERRORS, BatchNotFoundError, InvalidRequestError),
)
def list_batches(
    context: Context, client_id: BearerReader, query: Annotated[FileBatchQuery, Query()]
) -> FileBatchPage:
    with unit_of_work(context.sessions) as session:
        found = Batches(session).page(
            client_id, BatchFilter(of_files=True), after=query.after, limit=query.limit + 1
        )
        shown = found[: query.limit]
        done = Batches(session).analysed([batch.id for batch in shown])
        views = [FileBatch.of(batch, done[batch.id]) for batch in shown]
        return FileBatchPage.of(views, has_more=len(found) > query.limit)


@router.get(
    "/batches/{batch_id}",
    summary="Where a batch stands",
    responses={
        200: openapi.example(examples.FILE_BATCH),
        **openapi.problems(*AUTH_ERRORS, BatchNotFoundError),
    },
)
def show(context: Context, client_id: BearerReader, batch_id: BatchId) -> FileBatch:
    return _look(context, client_id, batch_id)


@router.post(
    "/batches/{batch_id}/cancel",
    summary="Stop a batch",
    responses=openapi.problems(*AUTH_ERRORS, BatchNotFoundError, BatchFinishedError),
)
def cancel(context: Context, client_id: BearerWriter, batch_id: BatchId) -> FileBatch:
    """What waits is not begun, what runs is abandoned, what is done stays and can be read."""
    _look(context, client_id, batch_id)
    with unit_of_work(context.sessions) as session:
        batches.cancel(session, client_id, batch_id)
    return _look(context, client_id, batch_id)


def _look(context: ApiContext, client_id: UUID, name: str) -> FileBatch:
    with unit_of_work(context.sessions) as session:
        batch = _of_file(Batches(session).get(client_id, name))
        return FileBatch.of(batch, Batches(session).analysed([batch.id])[batch.id])


def _of_file(batch: AnalysisBatch) -> AnalysisBatch:
    if batch.input_file_id is None:
        raise BatchNotFoundError("This batch was not made of a file.")
    return batch


def _own_id(file_id: str) -> UUID | None:
    """The row of a file that was sent; None for the id of a result."""
    found = re.fullmatch("file-([0-9a-f]{32})", file_id)
    return UUID(hex=found[1]) if found else None


def _result(session: Session, client_id: UUID, file_id: str) -> tuple[AnalysisBatch, str]:
    """The ended batch that this file of results is of, and the file's lines."""
    name = file_id.removeprefix("file-").rpartition("-")[0]
    if file_id not in (output_id(name), errors_id(name)):
        raise BatchFileNotFoundError
    try:
        batch = _of_file(Batches(session).get(client_id, name))
    except BatchNotFoundError as error:
        raise BatchFileNotFoundError from error
    if batch.status not in BATCH_FINISHED:
        raise BatchFileNotFoundError("The batch has not ended yet.")
    items = AnalysisItems(session).of(batch.id)
    return batch, output_lines(items, failed=file_id == errors_id(name))
