"""One trace a call: spans of requests, attempts and callbacks, sent to a collector where one is set.

The spans' parent stands in the rows (`trace_parent`), since a message is a hint and may be lost. No span says
what was spoken, who it was, or where a callback goes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_trace_id,
    get_current_span,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from callytics import __version__
from callytics.errors import ConfigurationError
from callytics.settings import TracingSettings

HEADER = "traceparent"
EXPORT_TIMEOUT_S = 5.0
LAST_WORDS_S = 2.0
"""How long a process that ends waits for its last spans to be taken."""

_w3c = TraceContextTextMapPropagator()
_tracers: list[Tracer] = []
_closing: list[Callable[[], None]] = []
"""At most one of each. Not OpenTelemetry's global one: what libraries trace may quote what they are given."""


def configure(settings: TracingSettings, process: str) -> None:
    """Have this process's spans sent, if a collector is set.

    Spans wait in a queue of 2,048 and a thread sends them: a collector that hangs costs spans, no call.
    Raises ConfigurationError where the libraries for it are missing.
    """
    if settings.endpoint is None:
        return
    try:
        # Of the extra `otel`.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "CALLYTICS_TRACING__ENDPOINT is set, but OpenTelemetry is not installed: "
            'install callytics with the extra "otel", or unset it.'
        ) from error
    exporter = OTLPSpanExporter(
        f"{settings.endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT_S
    )
    provider = TracerProvider(
        resource=Resource.create(
            {"service.name": f"callytics-{process}", "service.version": __version__}
        ),
        sampler=ParentBasedTraceIdRatio(settings.sample_ratio),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    install(provider.get_tracer("callytics", __version__))
    _closing[:] = [provider.shutdown]


def close() -> None:
    """Send the last spans, if the collector takes them at once: the process ends."""
    install(None)
    while _closing:
        # In a thread, which is left: a collector that hangs does not keep the process.
        last_words = Thread(target=_closing.pop(), name="last-spans", daemon=True)
        last_words.start()
        last_words.join(LAST_WORDS_S)


def install(tracer: Tracer | None) -> None:
    """Trace by `tracer` from now on; None: not at all."""
    _tracers[:] = [tracer] if tracer else []


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: str | None = None,
    **attributes: AttributeValue | None,
) -> Iterator[Span]:
    """A span around the block: below `parent` (a `traceparent`), else below the one that is open here."""
    if not _tracers:
        yield INVALID_SPAN
        return
    above = _w3c.extract({HEADER: parent}, Context()) if parent is not None else None
    known = {f"callytics.{key}": value for key, value in attributes.items() if value is not None}
    opened = _tracers[0].start_span(name, above, kind=kind, attributes=known)
    # The text of an exception may quote the conversation: its type is all that is told.
    with use_span(opened, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield opened
        except Exception as error:
            fail(type(error).__name__)
            raise


def fail(problem: str) -> None:
    """Mark the open span as failed by `problem`, a code: an error's text may quote the conversation."""
    opened = get_current_span()
    opened.set_status(Status(StatusCode.ERROR, problem))
    opened.set_attribute("error.type", problem)


def trace_parent() -> str | None:
    """The open span as a row keeps it."""
    return headers().get(HEADER)


def headers() -> Mapping[str, str]:
    """What a request carries so that its server may add to the trace; nothing where none is traced."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier)
    return {name: value for name, value in carrier.items() if name == HEADER}


def trace_id() -> str | None:
    found = get_current_span().get_span_context()
    return format_trace_id(found.trace_id) if found.is_valid else None
