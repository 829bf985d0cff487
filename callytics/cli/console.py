"""Where words go: results to stdout, everything that is said about them to stderr."""

import json
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 100
"""Columns where no terminal says how many there are."""


@cache
def stdout() -> "Console":
    return _console(stderr=False)


@cache
def stderr() -> "Console":
    return _console(stderr=True)


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(
        stderr=stderr, highlight=False, width=PIPE_WIDTH
    )


def say(message: str) -> None:
    """A line for the person at the terminal; `message` may hold Rich markup."""
    stderr().print(message, soft_wrap=True)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """One JSON document on stdout; `indent` None makes it one line."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    sys.stdout.write(text + "\n")


def print_plain(text: str) -> None:
    """`text` on stdout as it is: no markup, no wrapping."""
    sys.stdout.write(text + "\n")
