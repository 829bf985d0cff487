"""What a skin lesion may be: asked with a photo, a description or both, answered by a job."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import examples, openapi
from api.context import ApiContext
from api.deps import (
    TEXT_AUTH_ERRORS,
    Context,
    IdempotencyKey,
    TextReader,
    TextWriter,
    media_type,
    read_json,
)
from api.multipart import Form, read_form
from api.replies import as_json, base_url
from api.schemas.diagnosis import DiagnosisFields, DiagnosisJob, DiagnosisTaken, NewDiagnosis
from api.submission import FORM_BYTES, JSON_ERRORS, read_fields
from callytics.adapters.images import optimise
from callytics.db.diagnoses import Diagnoses
from callytics.db.engine import unit_of_work
from callytics.db.models import Diagnosis
from callytics.domain.image import PlainImage
from callytics.errors import (
    DamagedImageError,
    DiagnosisEmptyError,
    DiagnosisNotFoundError,
    DiagnosisTextTooLongError,
    EmptyImageError,
    IdempotencyKeyReusedError,
    ImageDiagnosisOffError,
    ImageTooLargeError,
    ImageTooManyPixelsError,
    InvalidRequestError,
    NotImageError,
    UnsupportedMediaTypeError,
)
from callytics.services import diagnosis_jobs
from callytics.services.diagnosis_jobs import DiagnosisRequest, Taken

PREFIX = "/diagnose"
IMAGE_FIELDS = frozenset({"image"})

router = APIRouter(prefix=PREFIX, tags=["diagnosis"], responses=openapi.problems(*TEXT_AUTH_ERRORS))


async def _job_id(job_id: Annotated[str, Path(description="The job's id.")]) -> UUID:
    try:
        return UUID(job_id)
    except ValueError as error:
        raise DiagnosisNotFoundError from error


@router.post(
    "/skin-lesion-async",
    status_code=202,
    summary="Have a skin lesion judged",
    response_model=DiagnosisTaken,
    responses={
        202: openapi.example(examples.DIAGNOSIS_TAKEN, "Taken in; `Location` is the `status_url`"),
        **openapi.problems(
            *TEXT_AUTH_ERRORS,
            *JSON_ERRORS,
            DiagnosisEmptyError,
            DiagnosisTextTooLongError,
            EmptyImageError,
            NotImageError,
            DamagedImageError,
            ImageTooLargeError,
            ImageTooManyPixelsError,
            ImageDiagnosisOffError,
            IdempotencyKeyReusedError,
        ),
    },
    openapi_extra=openapi.diagnosis_body(),
)
async def submit(
    request: Request,
    context: Context,
    client_id: TextWriter,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Send a photo as `image`, a description as `text`, or both, as a form or as JSON; look at the
    `status_url` for the answer. The same content within half an hour has the same job (`cached`).

    Of the photo only a copy of at most 512 by 512 pixels without its metadata is kept, for a day.
    """
    fields, content = await _read(request, context)
    image: PlainImage | None = None
    if content is not None:
        settings = context.settings.diagnosis
        image = await to_thread.run_sync(optimise, content, settings, limiter=context.decoding)
    asked = DiagnosisRequest(
        client_id=client_id,
        text=fields.text,
        image=image,
        language=fields.language,
        idempotency_key=idempotency_key,
    )
    return await run_in_threadpool(_submit, request, context, asked)


@router.get(
    "/jobs/{job_id}",
    summary="Where a diagnosis stands",
    responses={
        200: openapi.example(examples.DIAGNOSIS_JOB),
        **openapi.problems(*TEXT_AUTH_ERRORS, DiagnosisNotFoundError),
    },
)
def show(
    context: Context, client_id: TextReader, job_id: Annotated[UUID, Depends(_job_id)]
) -> DiagnosisJob:
    """The diagnosis once the status is `done`; the `problem` where it is `failed`. Kept for a day."""
    return DiagnosisJob.of(_look(context, client_id, job_id))


async def _read(request: Request, context: ApiContext) -> tuple[DiagnosisFields, bytes | None]:
    """What is asked, and the image as it was sent."""
    max_bytes = context.settings.diagnosis.max_image_bytes
    kind = media_type(request)
    if kind == "multipart/form-data":
        request.state.body_limit = max_bytes + FORM_BYTES
        return await _read_form(request, max_bytes)
    if kind == "application/json":
        request.state.body_limit = max_bytes * 4 // 3 + FORM_BYTES  # as base64 has it
        # In a thread: a photo in JSON takes a while to be read.
        return await run_in_threadpool(_from_json, await request.body())
    raise UnsupportedMediaTypeError("Send multipart/form-data or application/json.")


def _from_json(body: bytes) -> tuple[DiagnosisFields, bytes | None]:
    asked = read_json(NewDiagnosis, body)
    return asked, asked.image_bytes()


async def _read_form(request: Request, max_bytes: int) -> tuple[DiagnosisFields, bytes | None]:
    async def receive(chunks: AsyncIterator[bytes]) -> bytes:
        content = bytearray()
        async for chunk in chunks:
            content += chunk
            if len(content) > max_bytes:
                raise ImageTooLargeError(max_bytes=max_bytes)
        return bytes(content)

    form: Form[bytes] = Form()
    await read_form(request, receive, form, file_fields=IMAGE_FIELDS)
    for name, sent in form.fields.items():
        if len(sent) > 1:
            raise InvalidRequestError(f"The field `{name}` may be sent once.")
    fields = read_fields(DiagnosisFields, {name: sent[0] for name, sent in form.fields.items()})
    # What a browser sends where no file was chosen.
    nothing = form.file == b"" and not form.filename
    return fields, None if nothing else form.file


def _submit(request: Request, context: ApiContext, asked: DiagnosisRequest) -> Response:
    taken: Taken = diagnosis_jobs.submit(context.sessions, asked, context.settings)
    context.send(taken.hints)  # a crash before this line is the sweeper's business
    context.metrics.count_cached("diagnosis", hit=taken.cached)
    row = _look(context, asked.client_id, taken.job_id)
    url = f"{base_url(request, context)}{PREFIX}/jobs/{taken.job_id}"
    body = DiagnosisTaken(
        job_id=taken.job_id, status=row.job.status, status_url=url, cached=taken.cached
    )
    return as_json(body, 202, {"Location": url})


def _look(context: ApiContext, client_id: UUID, job_id: UUID) -> Diagnosis:
    with unit_of_work(context.sessions) as session:
        return Diagnoses(session).owned(client_id, job_id)
