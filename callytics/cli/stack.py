"""`callytics up|down|status`: the local stack."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import print_json, print_plain, print_table, say
from callytics.cli.models import fetch_missing
from callytics.cli.options import Json
from callytics.cli.problems import CommandError, ExitCode
from callytics.cli.stack_board import StackBoard, live, read_models

if TYPE_CHECKING:
    from callytics.embedded.supervisor import Event
    from callytics.settings import Settings

POLL_S = 0.2


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Leave it running; return once all is ready.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="With --detach: wait no longer.")
    ] = 300,
    *,
    as_json: Json = False,
) -> None:
    """Start everything on this machine and keep it running until Ctrl-C.

    PostgreSQL, Valkey, API, workers with their models, beat and Flower. Model files that are missing are
    fetched first. With --detach the exit code says whether all is ready, models included.
    """
    settings = local.settings()
    fetch_missing(settings)
    if detach:
        bring_up(settings, timeout_s=timeout)
        print_addresses(as_json=as_json)
    elif status := _run(settings, as_json=as_json):
        raise typer.Exit(status)


def _run(settings: "Settings", *, as_json: bool) -> int:
    """Run the stack in this process; its progress is in view until all is ready."""
    from callytics.embedded.stack import run_stack

    board = StackBoard()
    announced = False
    with live(board, settings) as close_display:

        def on_event(event: "Event") -> None:
            nonlocal announced
            board.on_event(event)
            if announced and event.state == "stopping":
                say(f"Stopping {event.part}", "dim")
            if board.ready and not announced:
                announced = True
                close_display()
                print_addresses(as_json=as_json)
                say("Ctrl-C stops it.", "dim")

        return run_stack(settings, on_event=on_event)


def bring_up(settings: "Settings", *, timeout_s: float, tied: bool = False) -> bool:
    """Have the stack running and ready; whether it was this command that started it.

    `tied`: one that is started here ends with this process, however that ends.
    """
    from callytics.embedded.stack import start_detached
    from callytics.errors import StackRunningError

    board = StackBoard()
    with live(board, settings):
        try:
            start_detached(settings, on_event=board.on_event, timeout_s=timeout_s, tied=tied)
        except StackRunningError:
            say(
                "A stack runs already. Settings of this shell take effect after `callytics down` and "
                "`callytics up`."
            )
            _wait_until_ready(settings, board, timeout_s)
            return False
    return True


def _wait_until_ready(settings: "Settings", board: StackBoard, timeout_s: float) -> None:
    """Wait for the stack that another command has started."""
    from callytics.embedded.stack import status as ask

    give_up_at = time.monotonic() + timeout_s
    while not (now := ask(settings)).ready:
        for part, event in now.parts.items():
            if board.parts.get(part) != event:
                board.on_event(event)
        if now.pid is None or time.monotonic() > give_up_at:
            what = "has ended" if now.pid is None else "is not ready"
            raise CommandError(f"The running stack {what}; see {settings.state_dir}/logs.")
        time.sleep(POLL_S)


def down() -> None:
    """Stop the stack; stages in hand are finished or handed back."""
    from callytics.embedded.stack import stop

    say("Stopped." if stop(local.settings()) else "No stack runs.")


def status(*, as_json: Json = False) -> None:
    """Show the stack's parts, models and addresses; exit 1 if it is not ready, 6 if none runs."""
    from callytics.embedded.stack import status as ask

    settings = local.settings()
    now = ask(settings)
    if now.pid is None:
        raise CommandError("No stack runs: `callytics up` starts one.", ExitCode.UNREACHABLE)
    models = read_models(settings)
    if as_json:
        parts = {name: asdict(event) for name, event in now.parts.items()}
        print_json({"ready": now.ready, "parts": parts, "models": models, **addresses()})
    else:
        states = [(name, event.state, event.detail) for name, event in now.parts.items()]
        loaded = [(stage, model["status"], model.get("model")) for stage, model in models.items()]
        print_table(("part or model", "state", ""), [*states, *loaded])
        print_addresses(as_json=False)
    if not now.ready:
        raise typer.Exit(ExitCode.FAILED)


def print_addresses(*, as_json: bool) -> None:
    if as_json:
        print_json(addresses())
        return
    for name, address in addresses().items():
        print_plain(f"{name:<11} {address}")


def addresses() -> dict[str, Any]:
    """Where the running stack is reached, by what it has published."""
    settings = local.fresh_settings()
    return {
        "api_url": settings.api.url,
        "docs_url": f"{settings.api.url}/docs",
        "flower_url": f"http://{settings.flower.host}:{settings.flower.port}",
        "state_dir": str(settings.state_dir),
    }
