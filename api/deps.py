"""What endpoints ask for: the context, and who is calling."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Path, Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import ValidationError
from pydantic_core import from_json

from api.context import ApiContext
from api.errors import faults_of, invalid
from api.schemas.base import StrictSchema
from callytics.db.engine import statement_by_statement
from callytics.db.models import Client
from callytics.domain.scopes import Scope
from callytics.errors import (
    CallNotFoundError,
    ForbiddenError,
    InvalidApiKeyError,
    InvalidBoundKeyError,
    MalformedRequestError,
    RateLimitedError,
    UnsupportedMediaTypeError,
)
from callytics.services import api_keys, keys
from callytics.settings import Settings


async def get_context(request: Request) -> ApiContext:
    """Async, as is whatever does not wait: what is not goes to a thread."""
    context: ApiContext = request.app.state.context
    return context


Context = Annotated[ApiContext, Depends(get_context)]

_header = APIKeyHeader(
    name="X-Bound-Key",
    scheme_name="BoundKey",
    description="`client_id:timestamp:signature`, where `timestamp` is seconds since 1970 and "
    "`signature` is hex(HMAC-SHA256(secret, `client_id:timestamp`)). Good for 5 minutes. "
    "`callytics bound-key` prints one.",
    auto_error=False,
)


HeaderKey = Annotated[str | None, Security(_header)]


def _client(scope: Scope) -> Callable[..., Awaitable[UUID]]:
    """The id of the client that the request's key is of, if it may do what `scope` says."""

    async def authorise(request: Request, context: Context, bound_key: HeaderKey) -> UUID:
        return await context.ask(_authorise, request, context, bound_key or "", scope)

    return authorise


_bearer = HTTPBearer(
    scheme_name="Bearer",
    description="The bound key as a bearer token, for clients that know nothing else; for the text services "
    "an API key too. A key in a header of its own goes before it.",
    auto_error=False,
)


def _bearer_client(scope: Scope) -> Callable[..., Awaitable[UUID]]:
    """As `_client`, with the key as a bearer token if there is no header for it."""

    async def authorise(
        request: Request,
        context: Context,
        bound_key: HeaderKey,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    ) -> UUID:
        key = bound_key or (bearer.credentials if bearer else "")
        return await context.ask(_authorise, request, context, key, scope)

    return authorise


_api_key_header = APIKeyHeader(
    name="X-API-Key",
    scheme_name="ApiKey",
    description="A key for the text services alone, for clients that cannot sign. "
    "`callytics api-keys create` makes one. It goes before a bound key that is sent too.",
    auto_error=False,
)


def _text_client(scope: Scope) -> Callable[..., Awaitable[UUID]]:
    """As `_bearer_client`, with an API key as well, as its own header or as a bearer token."""

    async def authorise(
        request: Request,
        context: Context,
        api_key: Annotated[str | None, Security(_api_key_header)],
        bound_key: HeaderKey,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    ) -> UUID:
        token = bearer.credentials if bearer else ""
        if api_key is None and bound_key is None and token.startswith(api_keys.PREFIX):
            api_key = token
        if api_key is None:
            if not (bound_key or token):
                raise InvalidBoundKeyError(
                    "A text service takes an API key as X-API-Key, or a bound key as X-Bound-Key; either "
                    "may be a bearer token too."
                )
            return await context.ask(_authorise, request, context, bound_key or token, scope)
        return await context.ask(_authorise_api_key, request, context, api_key, scope)

    return authorise


def _authorise_api_key(request: Request, context: ApiContext, key: str, scope: Scope) -> UUID:
    with statement_by_statement(context.sessions) as session:
        client = api_keys.authenticate(session, key)
    return _admit(request, context, client, scope)


def _authorise(request: Request, context: ApiContext, bound_key: str, scope: Scope) -> UUID:
    api = context.settings.api
    with statement_by_statement(context.sessions) as session:
        client = keys.authenticate(
            session,
            context.cipher,
            bound_key,
            now_s=time.time(),
            tolerance_s=api.bound_key_tolerance_s,
        )
    return _admit(request, context, client, scope)


def _admit(request: Request, context: ApiContext, client: Client, scope: Scope) -> UUID:
    """Count the request of a client that is who it says, and see whether it may do that."""
    request.state.client = client.name
    _count(request, context, client.name, client.rate_limit_per_minute)
    if scope not in client.scopes:
        raise ForbiddenError(f"This client has not the scope {scope}.")
    return client.id


def _count(request: Request, context: ApiContext, client: str, own_limit: int | None) -> None:
    limit = own_limit or context.settings.api.rate_limit_per_minute
    allowance = context.limiter.take(client, limit)
    if allowance is None:
        return
    request.state.response_headers = allowance.headers()
    if allowance.passed:
        raise RateLimitedError(retry_after_s=allowance.reset_s)


Reader = Annotated[UUID, Depends(_client(Scope.READ))]
Writer = Annotated[UUID, Depends(_client(Scope.WRITE))]
BearerReader = Annotated[UUID, Depends(_bearer_client(Scope.READ))]
BearerWriter = Annotated[UUID, Depends(_bearer_client(Scope.WRITE))]
TextReader = Annotated[UUID, Depends(_text_client(Scope.READ))]
TextWriter = Annotated[UUID, Depends(_text_client(Scope.WRITE))]

AT_ONCE_BYTES = 2**16
"""A body of so much is read sooner than a thread for it is found."""

UNKNOWN_BODY_BYTES = 4 * 2**20
"""Largest body that carries its bound key within itself."""

B = TypeVar("B", bound=StrictSchema)


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed(Generic[B]):
    """A body, and the client whose bound key came with it."""

    client_id: UUID
    body: B


def signed(
    model: type[B], *, limit: Callable[[Settings], int]
) -> Callable[..., Awaitable[Signed[B]]]:
    """A JSON body of at most `limit` bytes, with the bound key in the header or in the body's own field."""

    async def read(request: Request, context: Context, bound_key: HeaderKey) -> Signed[B]:
        json_only(request)
        largest = limit(context.settings)
        if bound_key is None:
            # Nobody is known before the body is read: so much of it from anybody, and no more.
            request.state.body_limit = min(largest, UNKNOWN_BODY_BYTES)
            content = await request.body()
            # In a thread: a body of many consultations takes a while to be read.
            bound_key = await run_in_threadpool(_key_within, content)
            client_id = await context.ask(_authorise, request, context, bound_key, Scope.WRITE)
        else:
            client_id = await context.ask(_authorise, request, context, bound_key, Scope.WRITE)
            request.state.body_limit = largest
            content = await request.body()
        return Signed(client_id=client_id, body=await _read(model, content))

    return read


def keyed(model: type[B]) -> Callable[..., Awaitable[Signed[B]]]:
    """A JSON body of a text service: its key is looked at before the body is."""

    async def read(request: Request, client_id: TextWriter) -> Signed[B]:
        json_only(request)
        return Signed(client_id=client_id, body=await _read(model, await request.body()))

    return read


async def _read(model: type[B], content: bytes) -> B:
    if len(content) > AT_ONCE_BYTES:
        return await run_in_threadpool(read_json, model, content)
    return read_json(model, content)


def _key_within(content: bytes) -> str:
    try:
        body = from_json(content)
    except ValueError as error:
        raise MalformedRequestError("The body is not valid JSON.") from error
    key = body.get("bound_key") if isinstance(body, dict) else None
    return key if isinstance(key, str) else ""


def read_json(model: type[B], content: bytes) -> B:
    """`content` as `model`; raises MalformedRequestError or InvalidRequestError."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        faults = faults_of(error)
        if faults[0]["type"] == "json_invalid":
            raise MalformedRequestError("The body is not valid JSON.") from error
        for fault in faults:
            fault["loc"] = ("body", *fault["loc"])
        raise invalid(faults) from error


AUTH_ERRORS = (InvalidBoundKeyError, ForbiddenError, RateLimitedError)
TEXT_AUTH_ERRORS = (InvalidApiKeyError, *AUTH_ERRORS)


async def _call_id(call_id: Annotated[str, Path(description="The call's id.")]) -> UUID:
    """An id that no call can have is the id of no call."""
    try:
        return UUID(call_id)
    except ValueError as error:
        raise CallNotFoundError from error


CallId = Annotated[UUID, Depends(_call_id)]


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="A name for this request: sent again within a day with the same content, it gets the "
        "same answer and nothing is made twice.",
    ),
]


def json_only(request: Request) -> None:
    """For paths that take JSON and nothing else."""
    if media_type(request) != "application/json":
        raise UnsupportedMediaTypeError("Send application/json.")


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
