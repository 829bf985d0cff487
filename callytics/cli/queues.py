"""`callytics queues`: what waits and what runs, by the rows, and what the broker holds of it."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import colored, make_table, print_json, print_plain, print_table, stdout
from callytics.cli.options import Json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from callytics.settings import Settings

WATCH_EVERY_S = 2.0
HOUR_S, MINUTE_S = 3600, 60

View = Mapping[str, Any]


def queues(
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl-C.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show each queue: what waits and runs, its workers, its speed, the broker's messages.

    The rows are the truth; messages only tell workers to look. More waiting than messages is mended by
    the sweeper within seconds, more messages than waiting does no harm.
    """
    with local.sessions() as sessions:
        look = _make_look(local.settings(), sessions)
        if not watch:
            _print(look(), as_json=as_json)
        elif as_json or not stdout().is_terminal:
            _repeat(lambda: _print(look(), as_json=as_json, indent=None))
        else:
            _draw(look)


def _make_look(settings: "Settings", sessions: "sessionmaker[Session]") -> Callable[[], View]:
    from callytics.db.engine import unit_of_work
    from callytics.queueing.app import make_celery
    from callytics.queueing.broker import backlog
    from callytics.services.queues import queue_states

    broker = make_celery(settings, publish_retries=2) if settings.redis_url else None

    def look() -> View:
        with unit_of_work(sessions) as session:
            states = queue_states(session)
        messages = backlog(broker, states) if broker is not None else None
        return {
            "broker": "up" if messages is not None else "away",
            "queues": [
                {
                    "queue": queue,
                    "waiting": state.health.queued,
                    "running": state.health.running,
                    "oldest_waiting_s": _rounded(state.health.oldest_queued_s),
                    "workers": state.health.workers,
                    "workers_ready": state.health.ready,
                    "items_per_minute": round(state.done_per_minute, 1),
                    "messages": messages[queue] if messages is not None else None,
                }
                for queue, state in states.items()
            ],
        }

    return look


def _rounded(seconds: float | None) -> float | None:
    return round(seconds, 1) if seconds is not None else None


COLUMNS = ("queue", "waiting", "running", "oldest", "workers", "a minute", "messages")


def _rows(found: View) -> list[tuple[object, ...]]:
    return [
        (
            one["queue"],
            one["waiting"],
            one["running"],
            _age(one["oldest_waiting_s"]),
            colored(
                f"{one['workers_ready']} of {one['workers']} ready",
                "green" if one["workers_ready"] else "red",
            ),
            one["items_per_minute"],
            one["messages"] if one["messages"] is not None else "unknown",
        )
        for one in found["queues"]
    ]


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < HOUR_S:
        return f"{seconds / MINUTE_S:.0f} min"
    return f"{seconds / HOUR_S:.1f} h"


def _print(found: View, *, as_json: bool, indent: int | None = 2) -> None:
    if as_json:
        print_json(found, indent=indent)
        return
    print_table(COLUMNS, _rows(found))
    if found["broker"] == "away":
        print_plain("The broker does not answer.")


def _repeat(act: Callable[[], None]) -> None:
    """Ctrl-C is the ordinary end."""
    try:
        while True:
            act()
            time.sleep(WATCH_EVERY_S)
    except KeyboardInterrupt:
        return


def _draw(look: Callable[[], View]) -> None:
    from rich.live import Live

    with Live(make_table(COLUMNS, _rows(look())), console=stdout(), auto_refresh=False) as live:
        _repeat(lambda: live.update(make_table(COLUMNS, _rows(look())), refresh=True))
