"""The domain's values as JSON and back, exactly: rows and the stages' outputs hold them so."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache, partial
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """`value` (a dataclass of the domain, or a sequence of them) as dicts, lists, strings and numbers."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {to_json(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


def from_json(kind: type[T], data: Mapping[str, Any]) -> T:
    """The `kind` that `to_json` made `data` of. Fields that were added since take their defaults."""
    readers = _readers(kind)  # type: ignore[arg-type]  # a class is hashable
    return kind(**{name: read(data[name]) for name, read in readers.items() if name in data})


@cache
def _readers(kind: Any) -> Mapping[str, Callable[[Any], Any]]:
    return {name: _reader(hint) for name, hint in get_type_hints(kind).items()}


def _reader(hint: Any) -> Callable[[Any], Any]:
    """What makes a value of the type `hint`: T, `T | None` or `tuple[T, ...]`."""
    if get_origin(hint) is tuple:
        item = _reader(get_args(hint)[0])
        return lambda values: tuple(map(item, values))
    if get_origin(hint) is UnionType:
        inner = _reader(get_args(hint)[0])
        return lambda value: None if value is None else inner(value)
    return partial(from_json, hint) if is_dataclass(hint) else hint  # type: ignore[arg-type]
