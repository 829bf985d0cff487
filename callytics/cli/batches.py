"""`callytics batches`: consultations that are analysed together, seen and run again by the operator.

They work on the database, across all clients.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import colored, print_json, print_plain, print_table, say
from callytics.cli.options import Json, OfClient, Since, Yes, duration
from callytics.cli.problems import ExitCode
from callytics.cli.prompt import confirm
from callytics.cli.report import STATUS_STYLES, when
from callytics.domain.batching import BatchStatus

if TYPE_CHECKING:
    from rich.text import Text
    from sqlalchemy.orm import Session

app = typer.Typer(no_args_is_help=True)

View = Mapping[str, Any]

BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="Its id: BATCH-20250913-001.")]


@app.command("list")
def list_(
    *,
    status: Annotated[
        list[BatchStatus] | None, typer.Option(help="Only in this state; may be repeated.")
    ] = None,
    since: Since = None,
    client: OfClient = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Batches on the page.")] = 20,
    after: Annotated[
        str | None, typer.Option(metavar="BATCH", help="Begin behind this batch (`last_id`).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show batches, newest first.

    --since means those that ended in that time or, while they have not ended, were opened in it.
    """
    from callytics.cli import views
    from callytics.db.batches import Batches, BatchFilter
    from callytics.db.engine import unit_of_work

    with local.sessions() as sessions, unit_of_work(sessions) as session:
        filters = BatchFilter(
            statuses=tuple(status or ()), moved_since=local.moment(session, since)
        )
        found = Batches(session).page(
            local.client_id(session, client), filters, after=after, limit=limit + 1
        )
        shown = views.batches(session, found[:limit])
    page = views.page(shown, "batch_id", has_more=len(found) > limit)
    if as_json:
        print_json(page)
        return
    _print_batches(shown)
    if not shown:
        say("No such batches.", "dim")
    if page["has_more"]:
        say(f"There are more: --after {page['last_id']}", "dim")


def _print_batches(batches: Sequence[View]) -> None:
    columns = ("batch", "client", "status", "done", "failed", "of", "run", "opened", "completed")
    print_table(
        (*columns, "callback"),
        (
            (
                batch["batch_id"],
                batch["client_id"],
                status_cell(batch["status"]),
                batch["counts"]["done"],
                batch["counts"]["failed"],
                batch["total_consultations"],
                batch["run"],
                _when(batch["created_at"]),
                _when(batch["completed_at"]),
                status_cell(batch["callback_status"] or ""),
            )
            for batch in batches
        ),
    )


@app.command()
def show(
    batch: BatchId,
    *,
    items: Annotated[
        bool, typer.Option("--items", help="With the results of each consultation.")
    ] = False,
    client: OfClient = None,
    as_json: Json = False,
) -> None:
    """Show one batch: its runs with what they were done with, what failed, its callbacks.

    What was said in the consultations is never shown.
    """
    from callytics.db.engine import unit_of_work

    with local.sessions() as sessions, unit_of_work(sessions) as session:
        found = _read(session, client, batch, items=items)
    if as_json:
        print_json(found)
    else:
        _print_batch(found)


def _read(session: "Session", client: str | None, name: str, *, items: bool) -> View:
    from callytics.cli import views
    from callytics.db.batches import AnalysisItems, Batches
    from callytics.db.deliveries import Deliveries

    batch = Batches(session).get(local.client_id(session, client), name)
    rows = AnalysisItems(session).of(batch.id)
    [view] = views.batches(session, [batch])
    return {
        **views.with_provenance(view, rows),
        "failures": views.failures(rows),
        "deliveries": views.deliveries(session, Deliveries(session).of_batch(batch.id)),
        **({"items": [views.item(row) for row in rows]} if items else {}),
    }


def _print_batch(batch: View) -> None:
    counts = ", ".join(f"{count} {state}" for state, count in batch["counts"].items() if count)
    print_table(
        ("batch", "client", "status", "consultations", "opened", "closed", "completed"),
        [
            (
                batch["batch_id"],
                batch["client_id"],
                status_cell(batch["status"]),
                f"{batch['total_consultations']}: {counts}",
                *(_when(batch[name]) for name in ("created_at", "closed_at", "completed_at")),
            )
        ],
    )
    if batch["runs"]:
        _print_runs(batch["runs"])
    if batch["failures"]:
        _print_failures(batch["failures"])
    if batch["deliveries"]:
        _print_deliveries(batch["deliveries"])
    if batch.get("items"):
        _print_items(batch["items"])


def _print_runs(runs: Sequence[View]) -> None:
    columns = ("run", "model", "provider", "revision", "prompt", "consultations", "done", "failed")
    print_plain("")
    print_table(
        (*columns, "model seconds", "tokens in", "tokens out", "USD", "started", "completed"),
        (
            (
                run["run"],
                run["model"],
                " ".join(run["providers"]),
                " ".join(run["revisions"]),
                run["prompt_version"],
                run["consultations"],
                run["done"],
                run["failed"],
                f"{run['processing_time']:.1f}",
                run["prompt_tokens"],
                run["output_tokens"],
                f"{run['cost_usd']:.4f}",
                _when(run["started_at"]),
                _when(run["completed_at"]),
            )
            for run in runs
        ),
    )


def _print_failures(failures: Sequence[View]) -> None:
    print_plain("")
    print_table(
        ("failed", "run", "attempts", "stands", "code", "detail"),
        (
            (
                failed["consultation_id"],
                failed["run"],
                failed["attempts"],
                f"result of run {failed['result_run']}" if failed["result_run"] else "",
                failed["error"].get("code"),
                failed["error"].get("detail"),
            )
            for failed in failures
        ),
    )


def _print_deliveries(deliveries: Sequence[View]) -> None:
    print_plain("")
    print_table(
        ("callback", "run", "status", "tries", "made", "delivered", "fault"),
        (
            (
                told["delivery_id"],
                told["run"],
                status_cell(told["status"]),
                told["tries"],
                _when(told["created_at"]),
                _when(told["delivered_at"]),
                (told["error"] or {}).get("reason") or (told["error"] or {}).get("code"),
            )
            for told in deliveries
        ),
    )


def _print_items(items: Sequence[View]) -> None:
    parts = ("customer", "agent", "result")
    print_plain("")
    print_table(
        ("consultation", "status", "run", "quality", "title", *parts, "keywords"),
        (
            (
                one["consultation_id"],
                status_cell(one["status"]),
                one["result_run"],
                one["quality_score"],
                (one["titles"] or {}).get("descriptive"),
                *((one["summary"] or {}).get(part) for part in parts),
                ", ".join(one["keywords"] or ()),
            )
            for one in items
        ),
    )


@app.command()
def rerun(
    batches: Annotated[
        list[str] | None, typer.Argument(metavar="BATCH", help="Ended batches.")
    ] = None,
    *,
    all_failed: Annotated[
        bool, typer.Option("--all-failed", help="Every batch with failures; needs --since.")
    ] = False,
    since: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="TIME",
            help="With --all-failed: that ended in the latest 90m, 24h, 7d.",
        ),
    ] = None,
    client: OfClient = None,
    only_failed: Annotated[
        bool,
        typer.Option("--only-failed/--all", help="Consultations without a result, or all of them."),
    ] = True,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Another model, by the name that its server knows."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be run again.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the runs have ended; 8 if anything failed.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Analyse ended batches again, as new runs. What succeeded stays until something replaces it.

    The callback of a new run says which earlier one it supersedes. More than one batch, or more than 20
    consultations, are begun only after a question; --yes answers it.
    """
    from callytics.cli import reruns
    from callytics.services.batches import Rerun

    if bool(batches) == all_failed:
        raise typer.BadParameter("Give either batches or --all-failed.")
    if all_failed != (since is not None):
        raise typer.BadParameter("--all-failed goes with --since, such as --since 24h.")
    wanted = Rerun(everything=not only_failed, model=model, dry=dry_run)
    with local.sessions() as sessions:
        desk = reruns.Desk(sessions=sessions, settings=local.settings(), client=client)
        plans = desk.plan(wanted, batches) if batches else desk.plan_failed(wanted, since)
        if not plans:
            say("No batch with failures ended in that time.")
        elif not dry_run:
            reruns.ask(plans, yes=yes)
            plans = desk.begin(wanted, plans)
        ended = desk.wait(plans) if wait and not dry_run else {}
    _print_reruns(reruns.views(plans, ended, dry_run=dry_run), as_json=as_json)
    if not plans:
        raise typer.Exit(ExitCode.NOTHING_TO_DO)
    if any(not end.succeeded for end in ended.values()):
        raise typer.Exit(ExitCode.FAILED_AGAIN)


def _print_reruns(begun: View, *, as_json: bool) -> None:
    if as_json:
        print_json(begun)
    elif begun["batches"]:
        columns = ("batch", "client", "run", "consultations", "kept", "status", "done", "failed")
        rows = ([one[name] for name in _RERUN_FIELDS] for one in begun["batches"])
        print_table(columns, rows)


_RERUN_FIELDS = (
    "batch_id",
    "client_id",
    "run",
    "consultations",
    "kept",
    "status",
    "done",
    "failed",
)


@app.command()
def cancel(
    batch: BatchId, *, client: OfClient = None, yes: Yes = False, as_json: Json = False
) -> None:
    """Stop a batch: what waits is not begun, what is done stays. Nobody is called back."""
    from callytics.cli import views
    from callytics.db.batches import Batches
    from callytics.db.engine import unit_of_work
    from callytics.services import batches

    with local.sessions() as sessions:
        with unit_of_work(sessions) as session:
            owner = local.client_id(session, client)
            Batches(session).get(owner, batch)
        confirm(f"Cancel {batch}?", yes=yes)
        with unit_of_work(sessions) as session:
            batches.cancel(session, owner, batch)
        with unit_of_work(sessions) as session:
            [view] = views.batches(session, [Batches(session).get(owner, batch)])
    if as_json:
        print_json(view)
    else:
        say(f"{batch} is cancelled.")


def status_cell(status: str) -> "Text":
    return colored(status, STATUS_STYLES.get(status, ""))


def _when(time: str | None) -> str:
    return when(time) if time else ""
