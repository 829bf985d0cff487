"""The stages of calls as they move: a live table on a terminal, a line a change elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from callytics.cli.console import say, stderr
from callytics.domain.job import FINISHED

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_COLUMNS = 4
"""Calls that are shown side by side, unfinished ones first."""

MARKS: Mapping[str, str] = {
    "waiting": "[dim]·[/]",
    "queued": "[dim]queued[/]",
    "running": "[cyan]▸[/]",
    "done": "[green]✓[/]",
    "failed": "[red]✗ failed[/]",
    "cancelled": "[dim]✗ cancelled[/]",
}


class CallBoard:
    """What is known of each call, by its title."""

    def __init__(self, titles: Sequence[str]) -> None:
        self._calls: dict[str, Mapping[str, Any]] = {title: {} for title in titles}
        self._running_since: dict[tuple[str, str], float] = {}

    def update(self, title: str, call: Mapping[str, Any]) -> None:
        """`call` as the API shows it."""
        before = {name: stage["status"] for name, stage in self._stages(title).items()}
        self._calls[title] = call
        for name, stage in self._stages(title).items():
            if before.get(name) != stage["status"]:
                self._note_change(title, name, stage)

    def _note_change(self, title: str, name: str, stage: Mapping[str, Any]) -> None:
        if stage["status"] == "running":
            self._running_since[title, name] = monotonic()
        if not stderr().is_terminal and stage["status"] in {"running", "done", "failed"}:
            say(f"{title}: {name} {stage['status']}{_seconds(stage.get('run_s'))}")

    def _stages(self, title: str) -> Mapping[str, Mapping[str, Any]]:
        return {stage["name"]: stage for stage in self._calls[title].get("stages", ())}

    def _ended(self, title: str) -> bool:
        return self._calls[title].get("status") in FINISHED

    def __rich__(self) -> "RenderableType":
        from rich.table import Table
        from rich.text import Text

        shown = sorted(self._calls, key=self._ended)[:MOST_COLUMNS]
        table = Table("", box=None, pad_edge=False)
        for title in shown:
            table.add_column(Text(title))
        for name in dict.fromkeys(name for title in shown for name in self._stages(title)):
            table.add_row(name, *(self._cell(title, name) for title in shown))
        if len(shown) < len(self._calls):
            ended = sum(map(self._ended, self._calls))
            table.caption = f"{ended} of {len(self._calls)} calls have ended"
        return table

    def _cell(self, title: str, name: str) -> str:
        stage = self._stages(title).get(name)
        if stage is None:
            return ""
        took = stage.get("run_s")
        if stage["status"] == "running":
            # It may be drawn, by a thread, a moment before its start is noted.
            took = monotonic() - self._running_since.get((title, name), monotonic())
        share = stage.get("progress") if stage["status"] == "running" else None
        return MARKS[stage["status"]] + _seconds(took) + (f" {share:.0%}" if share else "")


def _seconds(value: float | None) -> str:
    return "" if value is None else f" {value:.1f} s"


@contextmanager
def live(board: CallBoard) -> Iterator[None]:
    """Keep `board` drawn while the block runs, where there is a terminal."""
    if not stderr().is_terminal:
        yield
        return
    from rich.live import Live

    with Live(board, console=stderr(), refresh_per_second=8, redirect_stdout=False):
        yield
