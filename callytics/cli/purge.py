"""`callytics purge`: deletes what was said and heard, by age or all of one consultation."""

import getpass
import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import print_json, print_table, say
from callytics.cli.options import Json, OfClient, Yes, duration
from callytics.cli.problems import ExitCode
from callytics.cli.prompt import confirm
from callytics.cli.report import when
from callytics.domain.retention import Scope

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from callytics.services.purge_plans import Plan

NAMED = 1000
"""Calls that are left alone and named, at most."""


def purge(
    older_than: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration, metavar="TIME", help="What came in longer ago than this: 90d, 12w."
        ),
    ] = None,
    consultation_id: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="All that is kept of this consultation, in whatever state it is."
        ),
    ] = None,
    *,
    client: OfClient = None,
    audio_only: Annotated[
        bool, typer.Option("--audio-only", help="Recordings alone; what was found in them stays.")
    ] = False,
    text_only: Annotated[
        bool, typer.Option("--text-only", help="What was said alone; recordings and figures stay.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be deleted.")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Show the latest purges: who, when, how many.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete conversations for good, by age or all of one consultation.

    By age only what has ended goes; what has not is named. Interrupted, it is simply given again.
    """
    if history:
        _print_history(as_json=as_json)
        return
    if (older_than is None) == (consultation_id is None):
        raise typer.BadParameter("give --older-than or --consultation-id")
    if consultation_id is not None and not consultation_id.strip():
        raise typer.BadParameter("--consultation-id is empty")
    if audio_only and text_only:
        raise typer.BadParameter("give --audio-only or --text-only; without either, both go")
    if client is not None and older_than is not None:
        raise typer.BadParameter("--client goes with --consultation-id")
    scope = Scope.AUDIO if audio_only else Scope.TEXT if text_only else Scope.ALL
    _purge(older_than, consultation_id, client, scope, dry=dry_run, yes=yes, as_json=as_json)


def _purge(
    older_than: timedelta | None,
    consultation_id: str | None,
    client: str | None,
    scope: Scope,
    *,
    dry: bool,
    yes: bool,
    as_json: bool,
) -> None:
    from callytics.adapters.audio_store import make_audio_store
    from callytics.db.engine import unit_of_work
    from callytics.services import purge as purges

    with local.sessions() as sessions:
        with unit_of_work(sessions) as session:
            plan = _plan(session, older_than, consultation_id, client, scope)
            found = purges.count(session, plan)
            busy = purges.busy(session, plan, NAMED)
        if found and not dry:
            confirm(f"Delete {_whole(plan, found)} for good?", yes=yes)
            store = make_audio_store(local.settings())
            found = purges.run(sessions, store, plan, actor=_actor())
    _print(found, [str(call_id) for call_id in busy], dry=dry, as_json=as_json)
    if not found:
        raise typer.Exit(ExitCode.NOTHING_TO_DO)


def _plan(
    session: "Session",
    older_than: timedelta | None,
    consultation_id: str | None,
    client: str | None,
    scope: Scope,
) -> "Plan":
    from callytics.services import purge_plans

    if older_than is not None:
        return purge_plans.by_age(session, scope, older_than)
    owner = local.client_id(session, client)
    return purge_plans.by_consultation(scope, consultation_id or "", owner)


def _actor() -> str:
    """The account and the machine; in a container the account may have no name."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):
        account = str(os.getuid())
    return f"{account}@{socket.gethostname()}"[:128]


def _whole(plan: "Plan", found: Mapping[str, int]) -> str:
    """What goes of which: of calls, a part may stay."""
    part = {Scope.AUDIO: "the recordings of ", Scope.TEXT: "what was said in ", Scope.ALL: ""}
    since = f" that came in before {when(plan.before.isoformat())}" if plan.before else ""
    return f"{part[plan.scope]}{_words(found)}{since}"


def _words(found: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in found.items())


def _print(found: Mapping[str, int], busy: list[str], *, dry: bool, as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": dry, "purged": dict(found), "not_ended": busy})
    elif found:
        print_table(("what", "would go" if dry else "deleted"), found.items())
    if busy and not as_json:
        say(
            "Left alone, since they have not ended, or a callback or an analysis of theirs has not: "
            f"{', '.join(busy)}",
            "yellow",
        )
    if not found:
        say("There is nothing to delete.")


def _print_history(*, as_json: bool) -> None:
    from callytics.db.engine import unit_of_work
    from callytics.db.purges import Purges

    with local.sessions() as sessions, unit_of_work(sessions) as session:
        found: list[dict[str, Any]] = [
            {
                "purge_id": str(row.id),
                "by": row.actor,
                "reason": row.reason,
                "scope": row.scope,
                "before": row.before.isoformat() if row.before else None,
                "purged": row.counts,
                "started_at": row.started_at.isoformat(),
                "finished_at": row.finished_at.isoformat() if row.finished_at else None,
            }
            for row in Purges(session).latest(100)
        ]
    if as_json:
        print_json(found)
        return
    print_table(
        ("started", "by", "reason", "scope", "deleted", "ended"),
        (
            (
                when(one["started_at"]),
                one["by"],
                one["reason"],
                one["scope"],
                _words(one["purged"]),
                when(one["finished_at"]) if one["finished_at"] else "no: give it again",
            )
            for one in found
        ),
    )
