"""The command line as a promise: everything has a help text, and asking for it is quick."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from callytics.cli.app import app
from callytics.cli.problems import EPILOG

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"

Tree = TyperCommand | TyperGroup


def commands(command: Tree, path: str = "callytics") -> Iterator[tuple[str, Tree]]:
    yield path, command
    if isinstance(command, TyperGroup):
        for name, below in command.commands.items():
            assert isinstance(below, Tree)
            yield from commands(below, f"{path} {name}")


ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)
COMMANDS = dict(commands(ROOT))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_a_help_text_and_says_its_exit_codes(path: str) -> None:
    assert COMMANDS[path].help
    assert COMMANDS[path].epilog == EPILOG


@pytest.mark.parametrize("path", COMMANDS)
def test_every_argument_and_option_has_a_help_text(path: str) -> None:
    for parameter in COMMANDS[path].params:
        assert isinstance(parameter, TyperArgument | TyperOption)
        assert parameter.help, parameter.name


@pytest.mark.parametrize(
    "path", [path for path, command in COMMANDS.items() if isinstance(command, TyperCommand)]
)
def test_every_command_is_documented(path: str) -> None:
    assert re.search(rf"`{path.removeprefix('callytics ')}\b", DOCS.read_text("utf-8"))


def test_help_imports_nothing_heavy() -> None:
    heavy = ("httpx", "pydantic_settings", "sqlalchemy", "celery", "alembic", "numpy", "structlog")
    code = f"import sys, callytics.cli.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
