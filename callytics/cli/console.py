"""Where words go: results to stdout, everything that is said about them to stderr."""

import json
import sys
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

UNFOLDED = 10_000
"""Columns where there is no terminal: a row stays one line, for grep."""

READING_WIDTH = 100
"""Columns that running text takes at most."""


@cache
def stdout() -> "Console":
    return _console(stderr=False)


@cache
def stderr() -> "Console":
    return _console(stderr=True)


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = UNFOLDED
    return console


def say(message: str, style: str = "") -> None:
    """A line for the person at the terminal."""
    from rich.text import Text

    stderr().print(Text(message, style), soft_wrap=True)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """One JSON document on stdout; `indent` None makes it one line."""
    print_plain(json.dumps(value, ensure_ascii=False, indent=indent, default=str))


def print_plain(text: str) -> None:
    """`text` on stdout as it is: no markup, no wrapping."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()  # the reader of a pipe need not wait for this command's end


def print_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Rows under headings, on stdout. Cells may be folded, but are never cut: one can copy them."""
    with stdout().capture() as drawn:
        stdout().print(make_table(columns, rows))
    # Without the blanks that fill the last column up.
    print_plain("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def make_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def _cell(value: object) -> "Text":
    """`value` as it is: what comes from elsewhere is never read as markup."""
    from rich.text import Text

    return value if isinstance(value, Text) else Text("" if value is None else str(value))


def colored(text: str, style: str) -> "Text":
    from rich.text import Text

    return Text(text, style)
