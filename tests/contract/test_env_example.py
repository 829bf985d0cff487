"""`.env.example` names every setting and every variable of the compose file, and no other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from callytics.cli.settings_example import MANY, TITLE, text
from callytics.settings import (
    ModelSettings,
    ProviderSettings,
    Settings,
    WorkerSettings,
    get_settings,
)

FILE = Path(".env.example").read_text("utf-8")
HEAD = FILE.partition(TITLE)[0]
COMPOSE = Path("docker-compose.yml").read_text("utf-8")

_LINE = re.compile(r"^(?:# )?([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
_BLOCKS: dict[str, type[BaseModel]] = {
    "models": ModelSettings,
    "providers": ProviderSettings,
    "workers": WorkerSettings,
}


def test_it_ends_with_what_the_command_prints() -> None:
    """`make env` writes it anew."""
    assert FILE.removeprefix(HEAD) == text() + "\n"


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


def test_every_setting_is_in_it_and_everything_in_it_is_a_setting() -> None:
    assert [name for name, _ in _LINE.findall(text())] == list(variables(Settings))


def test_its_lines_are_taken_as_they_stand_and_are_the_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Where no stack runs that would have published others.
    monkeypatch.setenv("CALLYTICS_STATE_DIR", str(tmp_path))
    before = get_settings()
    get_settings.cache_clear()
    for name, value in _LINE.findall(text()):
        if value and not name.startswith("CALLYTICS_PROVIDERS__"):
            monkeypatch.setenv(name, value)
    after = get_settings()
    changed = {
        name for name in Settings.model_fields if getattr(after, name) != getattr(before, name)
    }
    # A worker's block is there as soon as one of its settings is made.
    assert changed == {"workers"}
    assert after.workers == {"stt": WorkerSettings(concurrency=4)}


def test_what_is_said_of_each_is_what_the_settings_say() -> None:
    lines = text().splitlines()
    for index, line in enumerate(lines):
        if _LINE.match(line):
            assert lines[index - 1].startswith("# ")
            assert not _LINE.match(lines[index - 1])


def test_every_variable_of_the_compose_file_is_explained() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", COMPOSE))
    named = {name for name, _ in _LINE.findall(HEAD)}
    assert named == used | {"COMPOSE_PROFILES"}


def test_every_default_that_it_names_is_the_compose_file_s() -> None:
    defaults = dict(re.findall(r"\$\{([A-Z0-9_]+):-([^${}]*)\}", COMPOSE))
    for line in HEAD.splitlines():
        if (said := re.fullmatch(r"# ([A-Z0-9_]+)=(.+)", line)) and "PASSWORD@" not in line:
            name, value = said.groups()
            instead = {
                "COMPOSE_PROFILES",
                "CALLYTICS_PRESET",
                "CALLYTICS_WORKERS__SLM__CONCURRENCY",
            }
            assert value == defaults.get(name) or name in instead, line


def test_whatever_must_be_set_stands_there_and_is_empty() -> None:
    required = set(re.findall(r"\$\{([A-Z0-9_]+):\?\}", COMPOSE))
    empty = set(re.findall(r"^([A-Z0-9_]+)=$", HEAD, re.MULTILINE))
    assert empty == required


def test_what_it_names_of_callytics_is_a_setting() -> None:
    known = set(variables(Settings))
    patterns = [
        re.compile(
            rf"CALLYTICS_{block.upper()}__[A-Z_]+?__({'|'.join(f.upper() for f in kind.model_fields)})"
        )
        for block, kind in _BLOCKS.items()
    ]
    for name in re.findall(r"CALLYTICS_[A-Z0-9_]+", HEAD + COMPOSE):
        assert name in known or any(pattern.fullmatch(name) for pattern in patterns), name


def test_the_profile_and_the_preset_that_it_begins_with_go_together() -> None:
    said = dict(re.findall(r"^([A-Z_]+)=(.+)$", HEAD, re.MULTILINE))
    assert "gpu" in said["COMPOSE_PROFILES"].split(",")
    assert said["CALLYTICS_PRESET"] == "production"
    assert json.dumps(said).count("cpu") == 0
