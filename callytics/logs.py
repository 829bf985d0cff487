"""Structured logs: one JSON object a line, or lines for a person.

What is logged are ids, names of things, counts and seconds; never what was said in a call, a key, or a
telephone number.
"""

import logging
import sys
import traceback
from contextlib import AbstractContextManager
from typing import Any

import structlog
from structlog.typing import EventDict

from callytics.settings import Settings
from callytics.tracing import trace_id


def request_id() -> str | None:
    """Of the request that is being answered, or that had done what is being done."""
    found = structlog.contextvars.get_contextvars().get("request_id")
    return str(found) if found else None


def about(**named: Any) -> AbstractContextManager[None]:
    """Have every line that is logged within the block, whoever writes it, carry what is `named`."""
    known = {name: value for name, value in named.items() if value is not None}
    return structlog.contextvars.bound_contextvars(**known)


def _trace(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Under which trace to look further."""
    if (found := trace_id()) is not None:
        event["trace_id"] = found
    return event


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    _trace,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]

_LIBRARIES = {
    **dict.fromkeys(("celery", "kombu", "amqp", "sse_starlette", "python_multipart"), logging.INFO),
    # httpx and uvicorn log whole URLs, Celery every task with its arguments, openai the prompt.
    **dict.fromkeys(("httpx", "httpcore", "httpx2", "httpcore2"), logging.WARNING),
    **dict.fromkeys(("uvicorn.access", "openai"), logging.WARNING),
    **dict.fromkeys(("celery.app.trace", "celery.worker.strategy", "celery.beat"), logging.WARNING),
    # A collector that is away is told of once a batch, not at every try.
    "opentelemetry": logging.ERROR,
}
"""The least level that these log at, whatever is configured."""


def where(error: BaseException) -> list[str]:
    """The innermost frames of `error` as `file:line function`."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def _fault_without_text(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Type and place of an exception. Its text may quote the conversation: SQL errors show parameters."""
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event.update(error=type(error).__name__, where=where(error))
    return event


def configure(settings: Settings) -> None:
    """Send this process's logs, the libraries' too, to standard error in the configured form."""
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _fault_without_text,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    logging.captureWarnings(capture=True)
    root.setLevel(settings.log_level.upper())
    for name, level in _LIBRARIES.items():
        logging.getLogger(name).setLevel(max(level, root.level))
    for name in ("uvicorn", "uvicorn.access"):  # it brings handlers of its own
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
