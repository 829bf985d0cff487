"""From errors to problem documents (RFC 9457). HTTP statuses stand here and nowhere else."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from callytics import errors

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "retry_after_s"
"""An error that carries this says when to come back; it becomes the Retry-After header."""

STATUS: Mapping[type[errors.CallyticsError], int] = {
    errors.CallyticsError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidBoundKeyError: HTTPStatus.UNAUTHORIZED,
    errors.InvalidApiKeyError: HTTPStatus.UNAUTHORIZED,
    errors.ForbiddenError: HTTPStatus.FORBIDDEN,
    errors.RateLimitedError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.MalformedRequestError: HTTPStatus.BAD_REQUEST,
    errors.UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.RequestTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.NotFoundError: HTTPStatus.NOT_FOUND,
    errors.MethodNotAllowedError: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.CallNotFoundError: HTTPStatus.NOT_FOUND,
    errors.ClientNotFoundError: HTTPStatus.NOT_FOUND,
    errors.ApiKeyNotFoundError: HTTPStatus.NOT_FOUND,
    errors.ClientExistsError: HTTPStatus.CONFLICT,
    errors.TranscriptNotReadyError: HTTPStatus.CONFLICT,
    errors.CallFinishedError: HTTPStatus.CONFLICT,
    errors.CallRunningError: HTTPStatus.CONFLICT,
    errors.CallCancelledError: HTTPStatus.CONFLICT,
    errors.CallPurgedError: HTTPStatus.GONE,
    errors.StageNotInCallError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.IdempotencyKeyReusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ConsultationWaitingError: HTTPStatus.CONFLICT,
    errors.ConversationNotFoundError: HTTPStatus.NOT_FOUND,
    errors.TurnConflictError: HTTPStatus.CONFLICT,
    errors.QuickSummaryNotFoundError: HTTPStatus.NOT_FOUND,
    errors.TooManyWaitingError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.BatchNotFoundError: HTTPStatus.NOT_FOUND,
    errors.BatchFileNotFoundError: HTTPStatus.NOT_FOUND,
    errors.BatchRunningError: HTTPStatus.CONFLICT,
    errors.BatchFinishedError: HTTPStatus.CONFLICT,
    errors.NothingToRerunError: HTTPStatus.CONFLICT,
    errors.DeliveryNotFoundError: HTTPStatus.NOT_FOUND,
    errors.DeliveryOpenError: HTTPStatus.CONFLICT,
    errors.EndpointNotFoundError: HTTPStatus.NOT_FOUND,
    errors.AudioTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnusableAudioError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotAudioError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.AudioPathForbiddenError: HTTPStatus.FORBIDDEN,
    errors.AudioPathUnreadableError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.AudioUrlUnreachableError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.AudioMissingError: HTTPStatus.GONE,
    errors.ImageDiagnosisOffError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DiagnosisNotFoundError: HTTPStatus.NOT_FOUND,
    errors.DiagnosisTimedOutError: HTTPStatus.GATEWAY_TIMEOUT,
    errors.ImageTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnusableImageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotImageError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.ModelsNotReadyError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ModelUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.AnalysisInvalidError: HTTPStatus.BAD_GATEWAY,
    errors.ConversationEmptyError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.StageTimeoutError: HTTPStatus.GATEWAY_TIMEOUT,
}

DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeoutError)
"""What SQLAlchemy raises where PostgreSQL restarts, or has no connection left."""

_OF_STARLETTE: Mapping[int, type[errors.CallyticsError]] = {
    HTTPStatus.BAD_REQUEST: errors.MalformedRequestError,
    HTTPStatus.NOT_FOUND: errors.NotFoundError,
    HTTPStatus.METHOD_NOT_ALLOWED: errors.MethodNotAllowedError,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: errors.RequestTooLargeError,
}

_SAFE_MESSAGES = frozenset(
    {
        "bool_parsing",
        "dict_type",
        "enum",
        "extra_forbidden",
        "greater_than_equal",
        "int_parsing",
        "int_type",
        "less_than_equal",
        "list_type",
        "literal_error",
        "missing",
        "model_attributes_type",
        "string_pattern_mismatch",
        "string_too_long",
        "string_too_short",
        "string_type",
        "timezone_aware",
        "too_long",
        "too_short",
        "value_error",  # our own words
    }
)
"""Kinds of faults whose text does not quote what was sent."""


def status_of(kind: type[errors.CallyticsError]) -> int:
    """The status of the nearest class of `kind` that the table names."""
    return next(int(STATUS[base]) for base in kind.__mro__ if base in STATUS)


def kind_of(code: str) -> type[errors.CallyticsError]:
    """The class of errors with this code."""
    return next(kind for kind in every_kind() if kind.code == code)


def every_kind(
    root: type[errors.CallyticsError] = errors.CallyticsError,
) -> Iterator[type[errors.CallyticsError]]:
    yield root
    for kind in root.__subclasses__():
        yield from every_kind(kind)


def title_of(kind: type[errors.CallyticsError]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0].rstrip(".")


def problem_of(error: errors.CallyticsError, *, instance: str, request_id: str) -> dict[str, Any]:
    kind = type(error)
    document = {
        "type": f"urn:callytics:problem:{error.code}",
        "title": title_of(kind),
        "status": status_of(kind),
        "detail": error.detail,
        "code": error.code,
        "instance": instance,
        "request_id": request_id,
        **{name: value for name, value in error.extra.items() if name != RETRY_AFTER},
    }
    if isinstance(error, errors.InvalidBoundKeyError):
        document["error"] = "Invalid bound key"
    return document


OPENAI_PATHS = "/v1/"


def _as_openai(document: Mapping[str, Any]) -> dict[str, Any]:
    """What clients of OpenAI show of an error: nothing but this."""
    faults = document.get("errors", ())
    told = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults[:3])
    return {
        "message": f"{document['detail']} {told}".strip(),
        "type": "invalid_request_error" if document["status"] < 500 else "server_error",  # noqa: PLR2004
        "param": faults[0]["field"] if faults else None,
        "code": document["code"],
    }


def respond(
    request: Request, error: errors.CallyticsError, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    document = problem_of(
        error, instance=request.url.path, request_id=getattr(request.state, "request_id", "")
    )
    if request.url.path.startswith(OPENAI_PATHS):
        document["error"] = _as_openai(document)
    sent = dict(headers or {})
    if RETRY_AFTER in error.extra:
        sent["Retry-After"] = str(error.extra[RETRY_AFTER])
    if isinstance(error, errors.InvalidBoundKeyError):
        sent["WWW-Authenticate"] = "X-Bound-Key"
    if isinstance(error, errors.InvalidApiKeyError):
        sent["WWW-Authenticate"] = "X-API-Key"
    return JSONResponse(
        document, status_code=document["status"], headers=sent, media_type=MEDIA_TYPE
    )


MOST_FAULTS = 100
LONGEST_NAME = 100


def faults_of(error: ValidationError) -> list[ErrorDetails]:
    """What is wrong, without what was sent; of a body with very many faults only that there are so many,
    since telling them takes longer than finding them.
    """
    if (count := error.error_count()) > MOST_FAULTS:
        return [
            {"type": "value_error", "loc": (), "msg": f"There are {count} faults", "input": None}
        ]
    return error.errors(include_input=False, include_url=False, include_context=False)


def invalid(faults: Iterator[ErrorDetails] | list[ErrorDetails]) -> errors.InvalidRequestError:
    """An error that names the faulty fields and repeats nothing of what they hold."""
    return errors.InvalidRequestError(
        errors=[
            {
                "field": ".".join(str(part)[:LONGEST_NAME] for part in fault["loc"]) or "body",
                "message": _message(fault),
            }
            for fault in faults
        ]
    )


def _message(fault: ErrorDetails) -> str:
    if fault["type"] not in _SAFE_MESSAGES:
        return "This value is not accepted here"
    return fault["msg"].removeprefix("Value error, ")


def _too_large(request: Request) -> errors.RequestTooLargeError:
    limit: int = request.state.body_limit
    return errors.RequestTooLargeError(
        f"The body is larger than this path takes: {limit} bytes at most.", max_bytes=limit
    )


def install(app: FastAPI) -> None:
    """Let every error that a handler raises be answered with a problem document."""

    @app.exception_handler(errors.CallyticsError)
    def _(request: Request, error: errors.CallyticsError) -> JSONResponse:
        if status_of(type(error)) >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("request_failed", code=error.code)
        return respond(request, error)

    @app.exception_handler(RequestValidationError)
    def _(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = list(error.errors())
        if any(fault["type"] == "json_invalid" for fault in faults):
            return respond(request, errors.MalformedRequestError("The body is not valid JSON."))
        return respond(request, invalid(faults))

    @app.exception_handler(HTTPException)
    def _(request: Request, error: HTTPException) -> JSONResponse:
        kind = _OF_STARLETTE.get(error.status_code, errors.CallyticsError)
        fault = _too_large(request) if kind is errors.RequestTooLargeError else kind()
        return respond(request, fault, error.headers)

    def database_away(request: Request, error: Exception) -> JSONResponse:
        log.warning("database_unavailable", error=type(error).__name__)
        return respond(
            request, errors.UnavailableError("The database does not answer.", retry_after_s=2)
        )

    for kind in DATABASE_AWAY:
        app.add_exception_handler(kind, database_away)
