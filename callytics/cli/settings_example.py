"""Every setting as a line of an env file, from the settings' own docstrings."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

TITLE = "# ---- Settings (written by `callytics settings example`) ----"
WIDTH = 100

MANY: Mapping[str, tuple[str, str]] = {
    "models": (
        "TRANSCRIBE",
        "TRANSCRIBE stands for each of {names}. Defaults are the preset's, here those of `offline`.",
    ),
    "providers": (
        "OPENAI",
        "OPENAI stands for the name of any provider (docs/providers.md).",
    ),
    "workers": (
        "STT",
        "STT stands for each queue. Of a variant what differs, as one JSON object of all workers: "
        '`CALLYTICS_WORKERS={{"stt.v2": {{"gpu": "1"}}}}`.',
    ),
}
"""Blocks that there are several of, by name: the one that stands for them, and what to say of it."""


def text() -> str:
    """All lines, with a heading each block."""
    from callytics.settings import (
        PRESETS,
        ModelSettings,
        ProviderSettings,
        Settings,
        WorkerSettings,
    )

    blocks, alone = [], []
    for name, field in Settings.model_fields.items():
        block = _block(field)
        if name in MANY:
            continue
        if block is None:
            alone += _lines(f"CALLYTICS_{name.upper()}", field, field.get_default())
        else:
            blocks += ["", f"# -- {name} --", *_block_lines(f"CALLYTICS_{name.upper()}", block, {})]
    return "\n".join(
        [
            TITLE,
            *alone,
            *blocks,
            *_many("models", ModelSettings, PRESETS["offline"]["transcribe"]),
            *_many("providers", ProviderSettings, {}),
            *_many("workers", WorkerSettings, {}),
        ]
    )


def _block(field: "FieldInfo") -> "type[BaseModel] | None":
    from pydantic import BaseModel

    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _many(name: str, block: "type[BaseModel]", said: Mapping[str, Any]) -> list[str]:
    from callytics.settings import ModelsSettings

    example, words = MANY[name]
    names = ", ".join(known.upper() for known in ModelsSettings.model_fields)
    prefix = f"CALLYTICS_{name.upper()}__{example}"
    return [
        "",
        f"# -- {name} --",
        *_prose(words.format(names=names)),
        *_block_lines(prefix, block, said),
    ]


def _block_lines(prefix: str, block: "type[BaseModel]", said: Mapping[str, Any]) -> Iterator[str]:
    for name, field in block.model_fields.items():
        default = said[name] if name in said else field.get_default(call_default_factory=True)
        yield from _lines(f"{prefix}__{name.upper()}", field, default)


def _lines(variable: str, field: "FieldInfo", default: Any) -> list[str]:
    return [*_prose(field.description or ""), f"# {variable}={_written(default)}"]


def _prose(words: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(words.split()), WIDTH - 2)]


def _written(value: Any) -> str:
    """As the environment spells it; nothing where there is no default, or another one a machine."""
    from pydantic_core import PydanticUndefined

    if value is None or value is PydanticUndefined or value == ():
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
