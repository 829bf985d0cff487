"""`callytics deliveries`: callbacks, seen and sent again by the operator, across all clients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from callytics.cli import local
from callytics.cli.console import colored, print_json, print_plain, print_table, say
from callytics.cli.options import Json, OfClient, Since, Yes
from callytics.cli.problems import ExitCode
from callytics.cli.prompt import confirm
from callytics.cli.report import STATUS_STYLES, when
from callytics.domain.delivery import STATUS_OF, DeliveryStatus

if TYPE_CHECKING:
    from rich.text import Text
    from sqlalchemy.orm import Session, sessionmaker

app = typer.Typer(no_args_is_help=True)

View = Mapping[str, Any]

DeliveryId = Annotated[
    UUID, typer.Argument(metavar="ID", help="Its id: the `webhook-id` of every attempt.")
]


@app.command("list")
def list_(
    *,
    dead: Annotated[
        bool, typer.Option("--dead", help="Only what was given up: --status dead.")
    ] = False,
    status: Annotated[DeliveryStatus | None, typer.Option(help="Only in this state.")] = None,
    since: Since = None,
    client: OfClient = None,
    batch: Annotated[
        str | None, typer.Option(metavar="BATCH", help="Only those that tell of this batch.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Callbacks on the page.")] = 20,
    after: Annotated[
        UUID | None, typer.Option(metavar="ID", help="Begin behind this one (`last_id`).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show callbacks, newest first.

    --since means those that were last tried in that time or, if they never were, made in it.
    """
    from callytics.cli import views
    from callytics.db.batches import Batches
    from callytics.db.deliveries import Deliveries, DeliveryFilter
    from callytics.db.engine import unit_of_work

    if dead and status not in (None, DeliveryStatus.DEAD):
        raise typer.BadParameter("--dead says --status dead.")
    with local.sessions() as sessions, unit_of_work(sessions) as session:
        owner = local.client_id(session, client)
        filters = DeliveryFilter(
            status=DeliveryStatus.DEAD if dead else status,
            batch_id=Batches(session).get(owner, batch).id if batch else None,
            moved_since=local.moment(session, since),
        )
        found = Deliveries(session).page(owner, filters, after=after, limit=limit + 1)
        shown = views.deliveries(session, found[:limit])
    page = views.page(shown, "delivery_id", has_more=len(found) > limit)
    if as_json:
        print_json(page)
        return
    _print_deliveries(shown)
    if not shown:
        say("No such callbacks.", "dim")
    if page["has_more"]:
        say(f"There are more: --after {page['last_id']}", "dim")


def _print_deliveries(deliveries: Sequence[View]) -> None:
    columns = ("callback", "client", "of", "run", "status", "tries", "made", "next attempt")
    print_table(
        (*columns, "fault", "address"),
        (
            (
                one["delivery_id"],
                one["client_id"],
                one["batch_id"] or one["call_id"],
                one["run"],
                _status(one["status"]),
                one["tries"],
                when(one["created_at"]),
                _when(one["next_attempt_at"]),
                _fault(one),
                one["url"],
            )
            for one in deliveries
        ),
    )


@app.command()
def show(delivery: DeliveryId, *, client: OfClient = None, as_json: Json = False) -> None:
    """Show one callback: what it tells of, and every attempt with what was answered."""
    from callytics.db.engine import unit_of_work

    with local.sessions() as sessions, unit_of_work(sessions) as session:
        found = _read(session, client, delivery)
    if as_json:
        print_json(found)
    else:
        _print_delivery(found)


def _read(session: "Session", client: str | None, delivery_id: UUID) -> View:
    from callytics.cli import views
    from callytics.db.deliveries import Deliveries

    found = Deliveries(session).owned(local.client_id(session, client), delivery_id)
    [view] = views.deliveries(session, [found])
    return {**view, "attempts": [views.attempt(row) for row in found.attempts]}


def _print_delivery(delivery: View) -> None:
    _print_deliveries([delivery])
    if not delivery["attempts"]:
        say("Nothing was sent yet.", "dim")
        return
    print_plain("")
    print_table(
        ("attempt", "at", "status", "seconds", "fault", "verdict", "answer"),
        (
            (
                one["attempt"],
                when(one["started_at"]),
                one["status"],
                f"{one['seconds']:.2f}",
                one["fault"],
                one["verdict"],
                _printable(one["answer"] or ""),
            )
            for one in delivery["attempts"]
        ),
    )


def _printable(text: str) -> str:
    """A stranger's answer must not steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


@app.command()
def replay(
    delivery: Annotated[
        UUID | None, typer.Argument(metavar="ID", help="A callback that has ended, dead or not.")
    ] = None,
    *,
    all_dead: Annotated[
        bool, typer.Option("--all-dead", help="Everything that was given up; needs --since.")
    ] = False,
    since: Since = None,
    client: OfClient = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be sent again.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Send callbacks again: the same bytes under the same id, from the start of the schedule.

    Their addresses are switched on again. More than one is sent only after a question; --yes answers it.
    """
    if (delivery is None) != all_dead:
        raise typer.BadParameter("Give either a callback's id or --all-dead.")
    if all_dead != (since is not None):
        raise typer.BadParameter("--all-dead goes with --since, such as --since 24h.")
    with local.sessions() as sessions:
        choice = _choose(sessions, client, delivery, since)
        if len(choice.ids) > 1 and not dry_run:
            confirm(f"Send {len(choice.ids)} callbacks again?", yes=yes)
        found = _views(sessions, choice.ids if dry_run else _replay(sessions, choice))
    if as_json:
        print_json({"dry_run": dry_run, "deliveries": found})
    elif found:
        _print_deliveries(found)
    if not found:
        say("No callback was given up in that time.")
        raise typer.Exit(ExitCode.NOTHING_TO_DO)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Choice:
    """What is to be sent again: one callback, or all that was given up at `since` or later."""

    ids: Sequence[UUID]
    owner: UUID | None
    one: UUID | None
    since: datetime | None


def _choose(
    sessions: "sessionmaker[Session]",
    client: str | None,
    delivery_id: UUID | None,
    since: timedelta | None,
) -> _Choice:
    from callytics.db.deliveries import Deliveries
    from callytics.db.engine import unit_of_work
    from callytics.errors import DeliveryOpenError

    with unit_of_work(sessions) as session:
        owner, moment = local.client_id(session, client), local.moment(session, since)
        if delivery_id is None:
            ids = Deliveries(session).dead_since(moment, client_id=owner)
            return _Choice(ids=ids, owner=owner, one=None, since=moment)
        found = Deliveries(session).owned(owner, delivery_id)
        if STATUS_OF[found.job.status] in (DeliveryStatus.QUEUED, DeliveryStatus.SENDING):
            raise DeliveryOpenError
        return _Choice(ids=[found.id], owner=owner, one=found.id, since=None)


def _replay(sessions: "sessionmaker[Session]", choice: _Choice) -> Sequence[UUID]:
    """What is sent again: not what somebody else was quicker with."""
    from callytics.cli.broker import make_tell
    from callytics.db.engine import unit_of_work
    from callytics.services import delivery

    with unit_of_work(sessions) as session:
        if choice.one is None:
            hints = delivery.replay_dead(session, choice.owner, since=choice.since)
        else:
            hints = [delivery.replay(session, choice.owner, choice.one)]
    if hints:
        make_tell(local.settings())(hints)
    return [hint.job_id for hint in hints]


def _views(sessions: "sessionmaker[Session]", ids: Sequence[UUID]) -> list[dict[str, Any]]:
    from callytics.cli import views
    from callytics.db.deliveries import Deliveries
    from callytics.db.engine import unit_of_work

    with unit_of_work(sessions) as session:
        return views.deliveries(session, Deliveries(session).these(ids))


def _status(status: str) -> "Text":
    return colored(status, STATUS_STYLES.get(status, ""))


def _fault(delivery: View) -> str | None:
    error = delivery["error"] or {}
    return error.get("reason") or error.get("code")


def _when(time: str | None) -> str:
    return when(time) if time else ""
