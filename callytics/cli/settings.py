"""`callytics settings`: what this machine's processes are configured with."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import colored, print_json, print_plain, print_table, say
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
    source: str = ""
    """Where the value comes from."""
    purpose: str = ""

    @property
    def shown(self) -> Any:
        return MASK if self.secret and self.value is not None else self.value


def entries(settings: "Settings") -> Iterator[Entry]:
    """Every setting by its dotted name, as `CALLYTICS_A__B` is `a.b`."""
    for name, value in DERIVED.items():
        yield Entry(name=name, value=value(settings), source="derived")
    yield from _entries(settings, "", _sources(settings))


def _entries(block: "BaseModel", prefix: str, sources: Mapping[str, Any]) -> Iterator[Entry]:
    from pydantic import BaseModel, SecretStr

    plain = block.model_dump(mode="json")
    for field, about in type(block).model_fields.items():
        value, name = getattr(block, field), f"{prefix}{field}"
        if isinstance(value, BaseModel):
            yield from _entries(value, f"{name}.", sources)
        elif isinstance(value, dict) and any(isinstance(v, BaseModel) for v in value.values()):
            for key, item in value.items():
                yield from _entries(item, f"{name}.{key}.", sources)
        else:
            secret = isinstance(value, SecretStr)
            yield Entry(
                name=name,
                value=value.get_secret_value() if secret else plain[field],
                secret=secret,
                source=next((s for s, said in sources.items() if _says(said, name)), "default"),
                purpose=" ".join((about.description or "").split()),
            )


def _sources(settings: "Settings") -> Mapping[str, Any]:
    """What each source says, in the order in which they win (callytics/settings.py)."""
    from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

    from callytics.settings import PRESETS, Settings, read_stack_file

    return {
        "environment": EnvSettingsSource(Settings)(),
        "running stack": read_stack_file(settings.state_dir),
        ".env": DotEnvSettingsSource(Settings)(),
        "preset": {"models": PRESETS[settings.preset]},
    }


def _says(source: Any, name: str) -> bool:
    """Whether the nested mapping `source` has the dotted `name`."""
    for part in name.split("."):
        if not isinstance(source, Mapping) or part not in source:
            return False
        source = source[part]
    return True


@app.command()
def show(*, as_json: Json = False) -> None:
    """Show every setting, secrets masked, with where it comes from and what it is for."""
    found = list(entries(local.settings()))
    if as_json:
        print_json({entry.name: entry.shown for entry in found})
        return
    print_table(
        ("setting", "value", "from", "what it is for"),
        ((entry.name, _shown(entry), entry.source, entry.purpose) for entry in found),
    )


def _shown(entry: Entry) -> "Text":
    return colored("not set", "dim") if entry.value is None else colored(_text(entry.shown), "")


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="`api_url`, `redis_url`, `api.port`, ...")],
    *,
    as_json: Json = False,
) -> None:
    """Print one setting and nothing else, a secret in clear."""
    from callytics.settings import read_stack_file

    settings = local.settings()
    entry = _named(name, list(entries(settings)))
    if entry.source == "derived" and not read_stack_file(settings.state_dir):
        say(f"No stack runs in {settings.state_dir}; this is what the settings say.", "yellow")
    if as_json:
        print_json(entry.value, indent=None)
    elif entry.value is None:
        raise CommandError(f"{entry.name} is not set.", ExitCode.NOT_FOUND)
    else:
        print_plain(_text(entry.value))


@app.command()
def example() -> None:
    """Print every setting with what it is for, as lines of an env file that are commented out.

    `.env.example` ends with what this prints.
    """
    from callytics.cli.settings_example import text

    print_plain(text())


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
