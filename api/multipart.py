"""Reads a multipart body as it arrives: fields into memory, the file straight to where it is kept."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from callytics.errors import InvalidRequestError, MalformedRequestError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FILE_FIELDS = frozenset({"audio", "file"})
MAX_FIELD_BYTES = 64 * 1024
MAX_FIELDS = 100

F = TypeVar("F")
Receive: TypeAlias = Callable[[AsyncIterator[bytes]], Awaitable[F]]


@dataclass
class Form(Generic[F]):
    """Text fields by name, each as often as it was sent, and the file, as whoever received it has it."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    file: F | None = None
    filename: str = ""


@dataclass(frozen=True, slots=True)
class _PartBegins:
    name: str
    filename: str


class _PartEnds:
    pass


_PART_ENDS = _PartEnds()

_Event: TypeAlias = _PartBegins | bytes | _PartEnds


async def read_form(
    request: Request,
    receive: Receive[F],
    form: Form[F],
    *,
    file_fields: frozenset[str] = FILE_FIELDS,
) -> None:
    """Fill `form`; what it holds when this raises has been received and is the caller's to drop."""
    async with aclosing(_events(request)) as events:
        async for event in events:
            if not isinstance(event, _PartBegins):
                continue
            if event.name in file_fields:
                if form.file is not None:
                    raise InvalidRequestError("Send one file, not several.")
                form.file = await receive(_content(events))
                form.filename = event.filename
            elif sum(map(len, form.fields.values())) >= MAX_FIELDS:
                raise InvalidRequestError(f"Send at most {MAX_FIELDS} fields.")
            else:
                form.fields.setdefault(event.name, []).append(await _text(_content(events)))


async def _content(events: AsyncIterator[_Event]) -> AsyncIterator[bytes]:
    """The bytes of the part that has just begun."""
    async for event in events:
        if not isinstance(event, bytes):
            return
        yield event


async def _text(chunks: AsyncIterator[bytes]) -> str:
    text = b""
    async for chunk in chunks:
        text += chunk
        if len(text) > MAX_FIELD_BYTES:
            raise InvalidRequestError(f"A field holds at most {MAX_FIELD_BYTES} bytes.")
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError("Fields must be UTF-8.") from error


async def _events(request: Request) -> AsyncGenerator[_Event]:
    _, options = parse_options_header(request.headers.get("content-type"))
    parts = _Parts()
    try:
        if not options.get(b"boundary"):
            raise FormParserError("no boundary")
        parser = MultipartParser(options[b"boundary"], parts.callbacks())
        async for chunk in request.stream():
            parser.write(chunk)
            for event in parts.drain():
                yield event
    except FormParserError as error:
        raise MalformedRequestError("The body is not a multipart form.") from error
    if not parts.complete:
        raise MalformedRequestError("The multipart form ends before its last boundary.")


class _Parts:
    """Turns the parser's callbacks into a list of events."""

    def __init__(self) -> None:
        self.complete = False
        self._events: list[_Event] = []
        self._name = self._value = self._disposition = b""

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def drain(self) -> list[_Event]:
        """What has happened since the last time."""
        events, self._events = self._events, []
        return events

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._disposition = b""
        name, filename = (
            options.get(key, b"").decode("utf-8", "replace") for key in (b"name", b"filename")
        )
        self._events.append(_PartBegins(name, filename))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _on_part_end(self) -> None:
        self._events.append(_PART_ENDS)

    def _on_end(self) -> None:
        self.complete = True
