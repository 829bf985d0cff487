"""What a purge takes, and what of that is due by age."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Scope(StrEnum):
    AUDIO = "audio"
    """Recordings and their channels; what was found in them stays."""
    TEXT = "text"
    """What was said and what was made of it; recordings and figures stay."""
    ALL = "all"
    """Rows and recordings, as if the call had never come."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    scope: Scope
    days: float


def due(audio_days: float | None, text_days: float | None) -> Sequence[Due]:
    """What goes after how many days: where both go, the later one takes the row along."""
    found = []
    if audio_days is not None and text_days is not None:
        found.append(Due(scope=Scope.ALL, days=max(audio_days, text_days)))
    if audio_days is not None and (text_days is None or audio_days < text_days):
        found.append(Due(scope=Scope.AUDIO, days=audio_days))
    if text_days is not None:
        # Batches and quick summaries have no audio to wait for.
        found.append(Due(scope=Scope.TEXT, days=text_days))
    return found


def body_without(body: bytes, consultation_id: str) -> bytes:
    """A batch's callback as if this consultation had not been in the batch."""
    payload: dict[str, Any] = json.loads(body)
    for part in ("results", "errors"):
        payload[part] = [one for one in payload.get(part, ()) if not _is(one, consultation_id)]
    return json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()


def _is(entry: Mapping[str, Any], consultation_id: str) -> bool:
    return entry.get("consultation_id") == consultation_id


def is_made_of(key: str, consultation_id: str) -> bool:
    """Whether the id stands in the key by itself: CL-1 does in `CL-1-upload`, not in `CL-10` or `XCL-1`."""
    letter_or_digit = r"[^\W_]"
    by_itself = rf"(?<!{letter_or_digit}){re.escape(consultation_id)}(?!{letter_or_digit})"
    return re.search(by_itself, key) is not None


def lines_without(content: str, consultation_id: str) -> str:
    """A file of consultations without the lines that hold this id as a value, at whatever place.

    A line that is no JSON goes if the id stands in it.
    """
    kept = (line for line in content.split("\n") if not _mentions(line, consultation_id))
    return "\n".join(kept)


def _mentions(line: str, consultation_id: str) -> bool:
    try:
        return _holds(json.loads(line), consultation_id)
    except ValueError:
        return consultation_id in line


def _holds(value: Any, wanted: str) -> bool:
    if isinstance(value, dict):
        return any(_holds(one, wanted) for one in value.values())
    if isinstance(value, list):
        return any(_holds(one, wanted) for one in value)
    return isinstance(value, str) and value == wanted
