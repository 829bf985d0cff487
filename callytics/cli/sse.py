"""Server-sent events (the WHATWG event stream format), parsed from bytes.

httpx's own line iterator also splits at characters such as U+2028 that a transcript may hold, and
httpx-sse leaves the reconnecting, the larger half, to its user: so these few lines, and no dependency.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# A carriage return at the end of what has come may be half of a line end.
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    name: str
    data: str
    id: str | None
    """The last id that the stream has named; a reconnecting client sends it as Last-Event-ID."""


def parse(chunks: Iterable[bytes], last_id: str | None = None) -> Iterator[Event]:
    """The events of a stream that arrives in `chunks`, cut anywhere."""
    name, data = "", []
    for line in _lines(chunks):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event(name=name or "message", data="\n".join(data), id=last_id)
            name, data = "", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            last_id = value


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *lines, rest = _LINE_END.split(rest + chunk)
        for line in lines:
            yield line.decode("utf-8", "replace")
