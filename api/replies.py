"""Answers that more than one endpoint gives."""

from uuid import UUID

from fastapi import Request, Response

from api.context import ApiContext
from callytics.domain.job import JobStatus
from callytics.services.call_result import Submitted
from callytics.services.schema import Schema


def as_json(value: Schema, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`value` as it is: FastAPI would validate a long transcript a second time."""
    return Response(value.model_dump_json(), status, headers=headers, media_type="application/json")


def as_file(text: str, media_type: str, *, name: str) -> Response:
    return Response(
        text,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
        media_type=media_type,
    )


def base_url(request: Request, context: ApiContext) -> str:
    """Where this API is reached, without a slash at the end."""
    return (context.settings.api.public_url or str(request.base_url)).rstrip("/")


def in_work(
    request: Request, context: ApiContext, call_id: UUID, status: JobStatus = JobStatus.QUEUED
) -> Response:
    """202: where the call is seen and followed."""
    url = f"{base_url(request, context)}/api/v1/calls/{call_id}"
    body = Submitted(call_id=call_id, status=status, status_url=url, events_url=f"{url}/events")
    return as_json(body, 202, {"Location": url})
