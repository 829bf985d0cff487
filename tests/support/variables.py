"""Which variables of the environment are settings."""

import re
from collections.abc import Iterator

from pydantic import BaseModel

from callytics.cli.settings_example import MANY
from callytics.settings import ModelSettings, ProviderSettings, Settings, WorkerSettings

_BLOCKS: dict[str, type[BaseModel]] = {
    "models": ModelSettings,
    "providers": ProviderSettings,
    "workers": WorkerSettings,
}


def variables(block: type[BaseModel], prefix: str = "CALLYTICS_") -> Iterator[str]:
    """Of each setting, and of one that stands for many."""
    for name, field in block.model_fields.items():
        kind = field.annotation
        if block is Settings and name in MANY:
            example, _ = MANY[name]
            yield from variables(_BLOCKS[name], f"{prefix}{name.upper()}__{example}__")
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from variables(kind, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def is_setting(name: str) -> bool:
    patterns = (
        rf"CALLYTICS_{block.upper()}__[A-Z_]+?__({'|'.join(f.upper() for f in kind.model_fields)})"
        for block, kind in _BLOCKS.items()
    )
    return name in set(variables(Settings)) or any(re.fullmatch(each, name) for each in patterns)
