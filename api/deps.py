"""What endpoints ask for: the context, and who is calling."""

import time
from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Path, Request, Security
from fastapi.security import APIKeyHeader

from api.context import ApiContext
from callytics.db.engine import unit_of_work
from callytics.domain.scopes import Scope
from callytics.errors import (
    CallNotFoundError,
    ForbiddenError,
    InvalidBoundKeyError,
    RateLimitedError,
    UnsupportedMediaTypeError,
)
from callytics.services import keys


def get_context(request: Request) -> ApiContext:
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


def _client(scope: Scope) -> Callable[..., UUID]:
    """The id of the client that the request's key is of, if it may do what `scope` says."""

    def authorise(
        request: Request, context: Context, bound_key: Annotated[str | None, Security(_header)]
    ) -> UUID:
        api = context.settings.api
        with unit_of_work(context.sessions) as session:
            client = keys.authenticate(
                session,
                context.cipher,
                bound_key or "",
                now_s=time.time(),
                tolerance_s=api.bound_key_tolerance_s,
            )
        request.state.client = client.name
        _count(request, context, client.name, client.rate_limit_per_minute)
        if scope not in client.scopes:
            raise ForbiddenError(f"This client has not the scope {scope}.")
        return client.id

    return authorise


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

AUTH_ERRORS = (InvalidBoundKeyError, ForbiddenError, RateLimitedError)


def _call_id(call_id: Annotated[str, Path(description="The call's id.")]) -> UUID:
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
        "same answer and makes no second call.",
    ),
]


def json_only(request: Request) -> None:
    """For paths that take JSON and nothing else."""
    if media_type(request) != "application/json":
        raise UnsupportedMediaTypeError("Send application/json.")


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
