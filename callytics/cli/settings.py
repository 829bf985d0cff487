"""`callytics settings`: what this machine's processes are configured with."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import colored, print_json, print_plain, print_table
from callytics.cli.options import Json
from callytics.cli.problems import CommandError, ExitCode

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.text import Text

    from callytics.settings import Settings

app = typer.Typer(no_args_is_help=True)

MASK = "********"

DERIVED: Mapping[str, Callable[["Settings"], str]] = {
    "api_url": lambda found: found.api.url,
    "flower_url": lambda found: f"http://{found.flower.host}:{found.flower.port}",
    "audio_store_url": lambda found: found.audio_store_url,
}
"""Names that are no setting of their own, but what people ask for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    name: str
    value: Any
    """Plain JSON; a secret in clear."""
    secret: bool = False

    @property
    def shown(self) -> Any:
        return MASK if self.secret and self.value is not None else self.value


def entries(settings: "Settings") -> Iterator[Entry]:
    """Every setting by its dotted name, as `CALLYTICS_A__B` is `a.b`."""
    for name, value in DERIVED.items():
        yield Entry(name=name, value=value(settings))
    yield from _entries(settings, "")


def _entries(block: "BaseModel", prefix: str) -> Iterator[Entry]:
    from pydantic import BaseModel, SecretStr

    plain = block.model_dump(mode="json")
    for name in type(block).model_fields:
        value = getattr(block, name)
        if isinstance(value, BaseModel):
            yield from _entries(value, f"{prefix}{name}.")
        elif isinstance(value, dict) and any(isinstance(v, BaseModel) for v in value.values()):
            for key, item in value.items():
                yield from _entries(item, f"{prefix}{name}.{key}.")
        else:
            secret = isinstance(value, SecretStr)
            yield Entry(
                name=f"{prefix}{name}",
                value=value.get_secret_value() if secret else plain[name],
                secret=secret,
            )


@app.command()
def show(*, as_json: Json = False) -> None:
    """Show every setting, secrets masked."""
    found = list(entries(local.settings()))
    if as_json:
        print_json({entry.name: entry.shown for entry in found})
    else:
        print_table(("setting", "value"), ((entry.name, _shown(entry)) for entry in found))


def _shown(entry: Entry) -> "Text":
    return colored("not set", "dim") if entry.value is None else colored(_text(entry.shown), "")


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="`api_url`, `redis_url`, `api.port`, ...")],
    *,
    as_json: Json = False,
) -> None:
    """Print one setting and nothing else, a secret in clear."""
    entry = _named(name, list(entries(local.settings())))
    if as_json:
        print_json(entry.value, indent=None)
    elif entry.value is None:
        raise CommandError(f"{entry.name} is not set.", ExitCode.NOT_FOUND)
    else:
        print_plain(_text(entry.value))


def _named(name: str, found: list[Entry]) -> Entry:
    by_name = {entry.name: entry for entry in found}
    # The environment's spelling is as good.
    dotted = name.lower().removeprefix("callytics_").replace("__", ".")
    if (entry := by_name.get(dotted)) is not None:
        return entry
    near = get_close_matches(dotted, by_name, n=1)
    hint = f"Did you mean {near[0]}?" if near else "`callytics settings show` lists them."
    raise CommandError(f"There is no setting {name!r}. {hint}", ExitCode.NOT_FOUND)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
