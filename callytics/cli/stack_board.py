"""The parts of the stack and their models as they come up."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import Event as Signal
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from callytics.cli.console import say, stderr

if TYPE_CHECKING:
    from rich.console import RenderableType

    from callytics.embedded.supervisor import Event
    from callytics.settings import Settings

Models = Mapping[str, Mapping[str, Any]]
"""What workers say of the model of each stage: status, model, device, load_seconds, problem."""

LOOK_EVERY_S = 0.5

MARKS: Mapping[str, str] = {
    "ready": "[green]✓[/]",
    "waiting": "[dim]·[/]",
    "failed": "[red]✗[/]",
    "crashed": "[red]✗[/]",
    "stopped": "[dim]·[/]",
}


class StackBoard:
    """What is known of the stack. Changes are said, line by line, while the board is not `drawn`."""

    def __init__(self) -> None:
        self.parts: dict[str, Event] = {}
        self.models: Models = {}
        self.drawn = False
        self._since: dict[str, float] = {}

    @property
    def ready(self) -> bool:
        return bool(self.parts) and all(part.state == "ready" for part in self.parts.values())

    def on_event(self, event: "Event") -> None:
        self._since[event.part] = monotonic() - event.seconds
        self.parts[event.part] = event
        if event.detail:
            say(f"{event.part} {event.state}: {event.detail}", "red")
        elif event.state == "ready" and not self.drawn:
            say(f"{event.part} ready after {event.seconds:.1f} s")

    def on_models(self, models: Models) -> None:
        for stage, model in models.items():
            before = self.models.get(stage, {})
            if before.get("status") != model["status"]:
                self._say_change(stage, model)
        self.models = models

    def _say_change(self, stage: str, model: Mapping[str, Any]) -> None:
        if model["status"] == "failed":
            say(f"Model for {stage}: {(model.get('problem') or {}).get('detail')}", "red")
        elif not self.drawn:
            say(f"Model for {stage}: {model['status']}")

    def __rich__(self) -> "RenderableType":
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        parts = Table(box=None, show_header=False, pad_edge=False)
        for part in list(self.parts.values()):  # a copy: a thread draws while others come
            parts.add_row(_mark(part.state), part.part, part.state, self._seconds(part))
        models = Table(box=None, show_header=False, pad_edge=False)
        for stage, model in self.models.items():
            loaded = model.get("load_seconds")
            models.add_row(
                _mark(model["status"]),
                stage,
                model["status"],
                f"{loaded:.1f} s" if loaded else "",
                Text(model.get("model") or ""),
            )
        return Group(parts, "", models) if self.models else parts

    def _seconds(self, part: "Event") -> str:
        if part.state == "starting":
            return f"{monotonic() - self._since[part.part]:.1f} s"
        return f"{part.seconds:.1f} s" if part.state == "ready" else ""


def _mark(state: str) -> str:
    return MARKS.get(state, "[cyan]▸[/]")


@contextmanager
def live(board: StackBoard, settings: "Settings") -> Iterator[Callable[[], None]]:
    """Keep `board` told of the models, and drawn if there is a terminal, until the block ends or calls."""
    over = Signal()
    with ExitStack() as display:
        display.callback(over.set)
        Thread(target=_watch_models, args=(settings, board.on_models, over), daemon=True).start()
        if stderr().is_terminal:
            display.enter_context(_drawn(board))
        display.callback(_look_once_more, board, settings)
        yield display.close


def _look_once_more(board: StackBoard, settings: "Settings") -> None:
    """The last picture of a stack that is ready shows every model ready, too."""
    if board.ready:
        board.on_models(read_models(settings))


@contextmanager
def _drawn(board: StackBoard) -> Iterator[None]:
    from rich.live import Live

    with Live(board, console=stderr(), refresh_per_second=8, redirect_stdout=False):
        board.drawn = True
        yield
    board.drawn = False


def _watch_models(settings: "Settings", tell: Callable[[Models], None], over: Signal) -> None:
    """Tell what the workers say of their models until it is `over`."""
    while not over.wait(LOOK_EVERY_S):
        if models := read_models(settings):
            tell(models)


def read_models(settings: "Settings") -> Models:
    """What the living workers of the stack in `settings.state_dir` say of their models.

    Nothing while its database is not there yet.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from callytics.db.engine import make_engine, make_sessions, unit_of_work
    from callytics.db.heartbeats import Heartbeats
    from callytics.settings import Settings

    # Read anew: the stack publishes its database when it starts.
    now = Settings(state_dir=settings.state_dir)
    if now.database_url is None:
        return {}
    engine = make_engine(now, application="callytics-cli")
    try:
        with unit_of_work(make_sessions(engine)) as session:
            workers = Heartbeats(session).fresh()
        return {stage: model for worker in workers for stage, model in worker.models.items()}
    except SQLAlchemyError:
        return {}
    finally:
        engine.dispose()
