"""Server-sent events (the WHATWG event stream format) out of bytes.

httpx's own line iterator also splits at characters such as U+2028 that a text may hold, and httpx-sse
leaves the larger half, the reconnecting, to its user: so these few lines, and no dependency. Ids are
not read, since our server tells all anew to whoever comes back.
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


def parse(chunks: Iterable[bytes]) -> Iterator[Event]:
    """The events of a stream that arrives in `chunks`, cut anywhere."""
    name = ""
    data: list[str] = []
    for line in _lines(chunks):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event(name=name or "message", data="\n".join(data))
            name, data = "", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *lines, rest = _LINE_END.split(rest + chunk)
        for line in lines:
            yield line.decode("utf-8", "replace")
