"""`callytics models route|use|rollback|routes|compare`: which variant of a model works on what."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import colored, print_json, print_plain, print_table, say
from callytics.cli.options import Json, duration
from callytics.domain.routes import MODEL_OF, Route, queue_named
from callytics.domain.stages import Queue

if TYPE_CHECKING:
    from callytics.domain.statistics import Estimate
    from callytics.services.comparison import Comparison
    from callytics.services.routes import LaneState, RouteState
    from callytics.services.stage import AnyHint


def _queue(text: str) -> Queue:
    try:
        return queue_named(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from error


def _names(incomplete: str) -> list[str]:
    """What TASK may be, for the shell that completes it."""
    names = dict.fromkeys([*MODEL_OF, *MODEL_OF.values()])
    return [name for name in names if name.startswith(incomplete)]


def _by_either_name() -> str:
    return ", ".join(
        queue if queue == model else f"{queue} or {model}" for queue, model in MODEL_OF.items()
    )


Task = Annotated[
    Queue,
    typer.Argument(
        parser=_queue,
        metavar="TASK",
        show_choices=False,  # Typer would list every queue
        autocompletion=_names,
        help=f"By its queue or its model: {_by_either_name()}.",
    ),
]
Shadow = Annotated[
    str | None,
    typer.Option(
        metavar="VARIANT", help="Repeats what the others did; its results are stored, never shown."
    ),
]
Note = Annotated[str | None, typer.Option(help="Why, for those who read the history.")]
Force = Annotated[
    bool, typer.Option("--force", help="Though no worker is ready: the work waits for one.")
]


def route(
    task: Task,
    weights: Annotated[
        list[str], typer.Argument(metavar="VARIANT=WEIGHT...", help="Such as v1=90 v2=10.")
    ],
    *,
    shadow: Shadow = None,
    note: Note = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Share the work of a task among variants of its model, from now on and without a restart.

    What waits for a variant without weight moves at once; what runs ends where it runs.
    """
    _switch(task, _route(weights, shadow), note=note, force=force, as_json=as_json)


def use(
    task: Task,
    variant: Annotated[str, typer.Argument(help="The variant that gets all of it.")],
    *,
    shadow: Shadow = None,
    note: Note = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Give all the work of a task to one variant of its model."""
    _switch(task, _route([f"{variant}=1"], shadow), note=note, force=force, as_json=as_json)


def _route(weights: Sequence[str], shadow: str | None) -> Route:
    shares: dict[str, str] = {}
    for text in weights:
        name, _, weight = text.partition("=")
        if not weight.isdecimal():
            raise typer.BadParameter(f"{text!r}: a weight is a whole number from 0, as in v1=90.")
        if name in shares:
            raise typer.BadParameter(f"{text!r}: write each variant once, as v1=90.")
        shares[name] = weight
    try:
        return Route(weights={name: int(weight) for name, weight in shares.items()}, shadow=shadow)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from error


def _switch(queue: Queue, wanted: Route, *, note: str | None, force: bool, as_json: bool) -> None:
    from callytics.db.engine import unit_of_work
    from callytics.services import routes

    models = local.settings().models
    with local.sessions() as sessions, unit_of_work(sessions) as session:
        switched = routes.switch(session, queue, wanted, models, note=note, force=force)
    _told(queue, wanted, switched.hints, changed=switched.changed, as_json=as_json)


def rollback(task: Task, *, force: Force = False, as_json: Json = False) -> None:
    """Take back the latest change of how a task is shared.

    A second rollback takes back the change before it, not the first rollback.
    """
    from callytics.db.engine import unit_of_work
    from callytics.services import routes

    models = local.settings().models
    with local.sessions() as sessions, unit_of_work(sessions) as session:
        before, hints = routes.rollback(session, task, models, force=force)
    _told(task, before, hints, changed=True, as_json=as_json)


def _told(
    queue: Queue, now: Route, hints: Sequence["AnyHint"], *, changed: bool, as_json: bool
) -> None:
    """Announce what moved, after the commit, and say what counts."""
    from callytics.cli.broker import make_tell

    if hints:
        make_tell(local.settings())(hints)
    if as_json:
        print_json(
            {
                "task": queue.value,
                "weights": dict(now.weights),
                "shadow": now.shadow,
                "changed": changed,
                "moved": len(hints),
            }
        )
    else:
        shares = _shares(now) if changed else f"{_shares(now)}, as before"
        say(f"{queue}: {shares}. Moved {len(hints)} that waited.")


def _shares(found: Route) -> str:
    total = sum(found.weights.values())
    shares = ", ".join(f"{name} {found.weights[name] / total:.0%}" for name in found.variants)
    return f"{shares}, {found.shadow} in the shadow" if found.shadow else shares


def routes(*, as_json: Json = False) -> None:
    """Show how the work of each task is shared, since when, and how the workers of each part are."""
    from callytics.db.engine import unit_of_work
    from callytics.services.routes import standing

    with local.sessions() as sessions, unit_of_work(sessions) as session:
        found = standing(session, local.settings().models)
    if as_json:
        print_json([_view(state) for state in found])
        return
    print_table(
        ("task", "variant", "share", "lane", "workers", "waiting", "running", "since", "note"),
        (row for state in found for row in _rows(state)),
    )


def _view(state: "RouteState") -> Mapping[str, Any]:
    return {
        "task": state.queue.value,
        "weights": dict(state.route.weights),
        "shadow": state.route.shadow,
        "since": state.since.isoformat() if state.since else None,
        "note": state.note,
        "lanes": [
            {
                "lane": str(one.lane),
                "variant": one.lane.variant,
                "share": round(one.share, 4),
                "shadow": one.shadow,
                "workers": one.health.workers,
                "ready": one.health.ready,
                "waiting": one.health.queued,
                "running": one.health.running,
            }
            for one in state.lanes
        ],
    }


def _rows(state: "RouteState") -> list[tuple[object, ...]]:
    since = f"{state.since.astimezone():%Y-%m-%d %H:%M:%S}" if state.since else "settings"
    return [
        (
            state.queue.value,
            one.lane.variant,
            f"{one.share:.0%}, shadow" if one.shadow else f"{one.share:.0%}",
            str(one.lane),
            colored(
                f"{one.health.ready} of {one.health.workers} ready",
                _style(one),
            ),
            one.health.queued,
            one.health.running,
            since,
            state.note,
        )
        for one in state.lanes
    ]


def _style(one: "LaneState") -> str:
    if one.health.ready:
        return "green"
    return "red" if one.share or one.shadow else ""


Variant = Annotated[str, typer.Argument(help="The name of a variant.")]


def compare(
    task: Task,
    first: Variant,
    second: Variant,
    *,
    since: Annotated[
        timedelta,
        typer.Option(
            parser=duration, metavar="TIME", help="What ended in that time: 90m, 24h, 7d."
        ),
    ] = "7d",  # type: ignore[assignment]  # read by the parser
    as_json: Json = False,
) -> None:
    """Compare two variants: seconds, failures, and agreement on what both worked on.

    Of `slm`, summaries of calls and quick summaries each by themselves.

    Every figure has its 95 % confidence interval; the last lines say what they allow to conclude.
    """
    from callytics.db.engine import unit_of_work
    from callytics.services import comparison, routes

    if first == second:
        raise typer.BadParameter("name two variants that differ")
    models = local.settings().models
    with local.sessions() as sessions, unit_of_work(sessions) as session:
        routes.check_known(session, task, (first, second), models)
        found = comparison.compare(session, task, first, second, since)
    if as_json:
        print_json([{**asdict(one), "says": one.says} for one in found])
        return
    for one in found:
        if len(found) > 1:
            print_plain(f"{one.subjects.capitalize()}:")
        _show(one, first, second)


def _show(found: "Comparison", first: str, second: str) -> None:
    print_table(("figure", first, second), _figures(found))
    for one in found.agreement:
        count = f"{one.estimate.count} {found.subjects}"
        print_plain(f"{one.name}: {_interval(one.estimate, '.3f')}, {count}")
    for sentence in found.says:
        print_plain(sentence)


def _figures(found: "Comparison") -> Iterator[tuple[object, ...]]:
    yield ("runs", *(one.runs for one in found.variants))
    for label, name, style in (
        ("failures", "failures", ".1%"),
        ("median seconds", "median_s", ".3f"),
        ("mean seconds", "mean_s", ".3f"),
        ("median, for a second of audio", "median_per_audio_s", ".4f"),
        ("mean, for a second of audio", "mean_per_audio_s", ".4f"),
    ):
        values = [getattr(one, name) for one in found.variants]
        if any(values):
            yield (label, *(_interval(value, style) for value in values))
    for code in dict.fromkeys(code for one in found.variants for code in one.codes):
        yield (f"  {code}", *(_interval(one.codes.get(code), ".1%") for one in found.variants))


def _interval(estimate: "Estimate | None", style: str) -> str:
    if estimate is None:
        return ""
    return f"{estimate.value:{style}} ({estimate.low:{style}} to {estimate.high:{style}})"
