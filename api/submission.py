"""From a request to a submission: the body read, the audio stored, the address checked."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError
from pydantic_core import from_json

from api.context import ApiContext
from api.deps import B, media_type, read_json
from api.errors import invalid
from api.multipart import Form, read_form
from api.schemas.requests import NewCall, Options
from callytics.adapters.local_audio import read_below_roots
from callytics.errors import (
    AudioPathForbiddenError,
    AudioPathUnreadableError,
    AudioTooLargeError,
    AudioUrlForbiddenError,
    AudioUrlUnreachableError,
    EmptyAudioError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    MalformedRequestError,
    NotAudioError,
    RequestTooLargeError,
    UnknownStageError,
    UnsupportedMediaTypeError,
)
from callytics.services import intake
from callytics.services.intake import StoredAudio, Submission

FORM_BYTES = 2**20
"""What a form may hold beside the recording."""

LISTS = ("hotwords", "stages")
OBJECTS = ("channels", "metadata")

JSON_ERRORS = (
    MalformedRequestError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
    InvalidRequestError,
)
SUBMIT_ERRORS = (
    *JSON_ERRORS,
    UnknownStageError,
    IdempotencyKeyReusedError,
    AudioTooLargeError,
    EmptyAudioError,
    NotAudioError,
    AudioPathForbiddenError,
    AudioPathUnreadableError,
    AudioUrlForbiddenError,
    AudioUrlUnreachableError,
)

Source = StoredAudio | str


async def take_in(
    request: Request, context: ApiContext, client_id: UUID, idempotency_key: str | None
) -> UUID:
    """Make a call of the request's body, and let the workers know; the call's id."""
    return await submit(context, client_id, await _read(request, context), idempotency_key)


async def submit(
    context: ApiContext,
    client_id: UUID,
    content: tuple[Source, Options],
    idempotency_key: str | None,
) -> UUID:
    source, options = content
    submission = Submission(
        client_id=client_id,
        source=source,
        options=options.as_options(),
        idempotency_key=idempotency_key,
    )
    accepted = await run_in_threadpool(
        intake.submit, context.sessions, context.store, submission, context.settings
    )
    await run_in_threadpool(context.send, accepted.hints)
    return accepted.call_id


async def _read(request: Request, context: ApiContext) -> tuple[Source, Options]:
    """The audio, stored or as a checked address, and what is asked for beside it."""
    if media_type(request) == "multipart/form-data":
        return await _read_form(request, context)
    if media_type(request) == "application/json":
        body = read_json(NewCall, await request.body())
        return await get_source(context, body), body
    raise UnsupportedMediaTypeError("Send multipart/form-data or application/json.")


async def get_source(context: ApiContext, call: NewCall) -> Source:
    """The file at `audio_path`, copied into the store; or `audio_url`, checked, to be fetched later."""
    if call.audio_url is not None:
        await run_in_threadpool(context.fetcher.check, call.audio_url)
        return call.audio_url
    audio = context.settings.audio
    chunks = read_below_roots(call.audio_path or "", audio)
    return await run_in_threadpool(
        intake.store_audio, context.store, chunks, max_bytes=audio.max_bytes
    )


async def _read_form(request: Request, context: ApiContext) -> tuple[Source, Options]:
    max_bytes = context.settings.audio.max_bytes
    request.state.body_limit = max_bytes + FORM_BYTES
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes + FORM_BYTES:
        raise AudioTooLargeError(max_bytes=max_bytes)
    form: Form[StoredAudio] = Form()
    try:
        await read_form(
            request,
            lambda chunks: intake.receive_audio(context.store, chunks, max_bytes=max_bytes),
            form,
        )
        if form.file is None:
            raise InvalidRequestError("Send the recording as the field `audio`.")
        return form.file, _options(form)
    except BaseException:
        if form.file is not None:
            await run_in_threadpool(intake.discard, context.store, form.file)
        raise


def _options(form: Form[StoredAudio]) -> Options:
    """The fields in the form that JSON would have had."""
    values: dict[str, Any] = {}
    for name, sent in form.fields.items():
        if name in LISTS:
            items = (item.strip() for text in sent for item in text.split(","))
            values[name] = [item for item in items if item]
        elif len(sent) > 1:
            raise InvalidRequestError(f"The field `{name}` may be sent once.")
        else:
            values[name] = _parsed(name, sent[0]) if name in OBJECTS else sent[0]
    return read_fields(Options, values)


def read_fields(model: type[B], values: Mapping[str, Any]) -> B:
    """A form's fields as `model`; raises InvalidRequestError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid(
            [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        ) from error


def _parsed(name: str, text: str) -> Any:
    try:
        return from_json(text)
    except ValueError as error:
        raise InvalidRequestError(f"The field `{name}` must be JSON.") from error
