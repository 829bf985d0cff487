"""Around every request: its id, its body's limit, a line in the log, a count, and no trace to the client."""

import re
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from time import perf_counter
from uuid import uuid4

import structlog
from fastapi import Request
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import respond
from api.metrics import Metrics
from callytics import tracing
from callytics.errors import CallyticsError
from callytics.logs import about, where

log = structlog.get_logger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
BODY_LIMIT_BYTES = 2**20
"""Of any body, unless its endpoint sets `request.state.body_limit`."""

UNKNOWN_ROUTE = "unknown"
WATCHED = ("/health", "/metrics")
"""What asks for these is a watchman: it makes no traces."""

FIRST_SERVER_ERROR = 500
CLIENT_CLOSED = 499
"""What is logged where the client went away (nginx's number)."""


class RequestFrame:
    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {}).update(
            request_id=request_id, body_limit=BODY_LIMIT_BYTES, received=perf_counter()
        )
        watched = scope["path"].startswith(WATCHED)
        with (
            about(request_id=request_id),
            tracing.span(
                scope["method"],
                kind=SpanKind.SERVER,
                parent=headers.get(tracing.HEADER),
                request_id=request_id,
            )
            if not watched
            else nullcontext(INVALID_SPAN) as opened,
        ):
            await self._answer(scope, receive, send, opened)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, opened: Span) -> None:
        started, status = perf_counter(), CLIENT_CLOSED

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = scope["state"]["request_id"]
                headers.update(scope["state"].get("response_headers", {}))
            await send(message)

        try:
            await self._app(scope, _limited(scope, receive), sending)
        except ClientDisconnect:
            pass  # nobody is there to be answered
        except Exception as error:
            # Its text may quote what was sent: the client is told nothing, the log type and place.
            log.error("request_crashed", error=type(error).__name__, where=where(error))  # noqa: TRY400
            if status == CLIENT_CLOSED:
                await respond(Request(scope), CallyticsError())(scope, receive, sending)
        finally:
            self._note(scope, status, perf_counter() - started, opened)

    def _note(self, scope: Scope, status: int, seconds: float, opened: Span) -> None:
        route = getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
        opened.update_name(f"{scope['method']} {route}")
        opened.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= FIRST_SERVER_ERROR:
            tracing.fail(str(status))
        self._metrics.count_request(
            method=scope["method"], route=route, status=status, seconds=seconds
        )
        log.info(
            "request",
            method=scope["method"],
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            client=scope["state"].get("client"),
        )


def _limited(scope: Scope, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """`receive` that stops a body beyond the limit: at once where its length is announced.

    HTTPException, since FastAPI lets nothing else through while it reads a body.
    """
    announced = Headers(scope=scope).get("content-length", "")
    size = 0

    async def receiving() -> Message:
        nonlocal size
        limit = scope["state"]["body_limit"]
        if announced.isdecimal() and int(announced) > limit:
            raise HTTPException(413)
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise HTTPException(413)
        return message

    return receiving
