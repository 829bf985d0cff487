"""`callytics placement plan|profile`: which queue runs where, and what stages cost."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import print_json, print_plain, print_table
from callytics.cli.options import Json, duration
from callytics.cli.problems import CommandError, ExitCode

if TYPE_CHECKING:
    from callytics.domain.statistics import Estimate
    from callytics.placement.demand import Task
    from callytics.placement.planner import Plan
    from callytics.placement.profile import Profile
    from callytics.placement.workload import Workload

app = typer.Typer(no_args_is_help=True)

ENOUGH_CALLS = 20
ENOUGH_BURSTS = 50
"""That are simulated: of a few, chance says most."""

LATEST_CALLS = 5000


def _gpus(text: str) -> tuple[int, ...]:
    from callytics.placement.hardware import parse_gpus

    try:
        return parse_gpus(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from error


ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME|FILE",
        help="What stages cost: offline, production, or what `bench stages --output` wrote. "
        "(default: production with GPUs, else offline)",
    ),
]


@app.command()
def plan(
    *,
    gpus: Annotated[
        object,
        typer.Option(parser=_gpus, metavar="GPUS", help="2x24GB, or 1x24GB,1x80GB, or 0 for none."),
    ],
    calls_per_hour: Annotated[
        float, typer.Option(min=0.1, max=100_000, help="Calls that come in.")
    ],
    cores: Annotated[
        float | None, typer.Option(min=1, help="CPU cores. (default: this machine's)")
    ] = None,
    profile: ProfileName = None,
    max_wait: Annotated[
        timedelta,
        typer.Option(
            parser=duration,
            metavar="TIME",
            help="At every queue, 95 of 100 calls wait no longer: 30s, 5m.",
        ),
    ] = "2m",  # type: ignore[assignment]  # read by the parser
    call_length: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="TIME",
            help="Mean length of calls. (default: 3m8s, docs/placement.md says from where)",
        ),
    ] = None,
    from_database: Annotated[
        bool, typer.Option("--from-database", help="Lengths as the latest calls there have them.")
    ] = False,
    burst: Annotated[int, typer.Option(min=1, max=100, help="Calls that come in at a time.")] = 1,
    analyse: Annotated[
        bool,
        typer.Option("--analyse/--no-analyse", help="Whether batches of calls are analysed, too."),
    ] = True,
    replications: Annotated[
        int, typer.Option(min=2, max=100, help="How often is simulated: more narrow the intervals.")
    ] = 8,
    seed: Annotated[int, typer.Option(help="The same seed, the same figures.")] = 1,
    as_json: Json = False,
) -> None:
    """Propose which queue runs where, with how much memory and how many workers, by a simulation.

    Exit 1 and what is missing, if the hardware does not hold the rate.
    """
    from callytics.placement import planner
    from callytics.placement.demand import Task
    from callytics.placement.forecast import CALLS, Effort
    from callytics.placement.hardware import Hardware
    from callytics.placement.profile import load
    from callytics.placement.simulation import Batching

    if from_database and call_length:
        raise typer.BadParameter("Give either --call-length or --from-database.")
    memory: tuple[int, ...] = gpus  # type: ignore[assignment]  # read by the parser
    found = load(profile or ("production" if memory else "offline"))
    batch = local.settings().batch
    task = Task(
        profile=found if analyse else found.without_analysis(),
        hardware=Hardware(gpus=memory, cores=cores or os.cpu_count() or 1),
        workload=_workload(calls_per_hour, call_length, burst, from_database=from_database),
        max_wait_s=max_wait.total_seconds(),
        batching=Batching(size=batch.size, window_s=batch.window_s),
    )
    calls = max(CALLS, ENOUGH_BURSTS * burst)
    chosen = planner.plan(task, Effort(calls=calls, replications=replications, seed=seed))
    if as_json:
        print_json(_view(chosen, task))
    else:
        _show(chosen, task)
    if chosen.highest_per_hour < calls_per_hour:
        raise typer.Exit(ExitCode.FAILED)


def _workload(
    calls_per_hour: float, length: timedelta | None, burst: int, *, from_database: bool
) -> "Workload":
    from callytics.placement.workload import MEAN_CALL_S, Workload

    return Workload(
        calls_per_hour=calls_per_hour,
        durations=_durations() if from_database else (),
        mean_s=length.total_seconds() if length else MEAN_CALL_S,
        burst=burst,
    )


def _durations() -> Sequence[float]:
    from callytics.db.calls import Calls
    from callytics.db.engine import unit_of_work

    with local.sessions() as sessions, unit_of_work(sessions) as session:
        found = Calls(session).durations(LATEST_CALLS)
    if len(found) < ENOUGH_CALLS:
        raise CommandError(
            f"The database has {len(found)} calls whose length is known, and {ENOUGH_CALLS} are needed: "
            "say their mean by --call-length."
        )
    return found


COLUMNS = (
    "queue",
    "workers",
    "device",
    "GPU memory",
    "busy",
    "mean wait",
    "p95 wait",
    "mean run",
    "an hour",
    "figures",
)


def _show(chosen: "Plan", task: "Task") -> None:
    print_plain(f"Profile {task.profile.name}: {task.profile.about}")
    print_plain(f"{_asked(task)}\n")
    print_table(
        COLUMNS,
        _rows(chosen, task),
    )
    expected = chosen.forecast
    print_plain(
        f"\nA call waits {_s(expected.mean_wait_s)} in all and has its result after "
        f"{_s(expected.mean_s)}, 95 of 100 after {_s(expected.p95_s)}."
    )
    print_plain(f"Devices: {_devices(chosen)}.")
    sustained = (
        "holds" if chosen.highest_per_hour >= task.workload.calls_per_hour else "does NOT hold"
    )
    print_plain(
        f"It {sustained} {task.workload.calls_per_hour:g} calls an hour; the most is about "
        f"{chosen.highest_per_hour:.0f}. First to give way: {chosen.binds}."
    )
    print_plain("")
    _show_settings(chosen, task)


def _show_settings(chosen: "Plan", task: "Task") -> None:
    from callytics.placement.paste import lines

    for line in lines(chosen.layout, task.profile):
        print_plain(line)


def _asked(task: "Task") -> str:
    work = task.workload
    lengths = (
        "as in the database" if work.durations else f"{work.mean_audio_s:.0f} s long on average"
    )
    together = f", {work.burst} at a time" if work.burst > 1 else ""
    return f"{work.calls_per_hour:g} calls an hour{together}, {lengths}, on {task.hardware.names}."


def _s(estimate: "Estimate") -> str:
    return f"{estimate.value:.2f} s ({estimate.low:.2f} to {estimate.high:.2f})"


def _devices(chosen: "Plan") -> str:
    return ", ".join(f"{name} {used.value:.0%}" for name, used in chosen.forecast.devices.items())


def _rows(chosen: "Plan", task: "Task") -> Iterator[tuple[object, ...]]:
    for queue in chosen.forecast.queues:
        worker = task.profile.queues[queue.queue]
        yield (
            queue.queue.value,
            chosen.layout.count(worker),
            _where(chosen, worker),
            _memory(chosen, task, worker),
            f"{chosen.forecast.workers[worker].value:.0%}",
            _s(queue.mean_wait_s),
            f"{queue.p95_wait_s.value:.2f} s",
            f"{queue.mean_run_s.value:.2f} s",
            f"{queue.per_hour.value:.0f}",
            ", ".join(task.profile.kinds_of(worker)),
        )


def _where(chosen: "Plan", queues: str) -> str:
    devices = [one.device for one in chosen.layout.workers if one.queues == queues]
    return ", ".join(dict.fromkeys(devices))


def _memory(chosen: "Plan", task: "Task", queues: str) -> str:
    from callytics.placement.layout import CPU, fraction, index_of

    said = task.profile.workers[queues]
    found = [
        fraction(said, task.hardware.gpus[index_of(one.device)])
        for one in chosen.layout.workers
        if one.queues == queues and one.device != CPU
    ]
    return ", ".join(dict.fromkeys(f"{share:g}" for share in found))


def _view(chosen: "Plan", task: "Task") -> dict[str, Any]:
    from callytics.placement.layout import host_memory_mib
    from callytics.placement.paste import lines

    expected = chosen.forecast
    return {
        "profile": {"name": task.profile.name, "about": task.profile.about},
        "calls_per_hour": task.workload.calls_per_hour,
        "mean_call_s": round(task.workload.mean_audio_s, 1),
        "holds": chosen.highest_per_hour >= task.workload.calls_per_hour,
        "highest_per_hour": round(chosen.highest_per_hour, 1),
        "binds": chosen.binds,
        "workers": [
            {"queues": one.queues.split(","), "device": one.device, "count": number}
            for one, number in chosen.layout.groups()
        ],
        "queues": [_queue_view(each, chosen, task) for each in expected.queues],
        "devices": {name: asdict(used) for name, used in expected.devices.items()},
        "mean_wait_s": asdict(expected.mean_wait_s),
        "mean_s": asdict(expected.mean_s),
        "p95_s": asdict(expected.p95_s),
        "memory_mib": round(host_memory_mib(chosen.layout, task.profile)),
        "settings": list(lines(chosen.layout, task.profile)),
    }


def _queue_view(queue: Any, chosen: "Plan", task: "Task") -> dict[str, Any]:
    worker = task.profile.queues[queue.queue]
    return {
        **asdict(queue),
        "busy": asdict(chosen.forecast.workers[worker]),
        "figures": list(task.profile.kinds_of(worker)),
    }


@app.command()
def profile(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="offline, production, or a file.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Show every figure of a profile with where it comes from."""
    from callytics.placement.profile import load

    found = load(name)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    print_plain(f"{found.name}: {found.about}")
    print_table(("of", "figure", "value", "kind", "from"), _figures(found))


def _figures(found: "Profile") -> Iterator[tuple[object, ...]]:
    from callytics.placement.profile import Figure

    blocks: list[tuple[str, Any]] = [
        ("all", found),
        *((work.value, cost) for work, cost in found.works.items()),
        *((f"worker {queues}", worker) for queues, worker in found.workers.items()),
    ]
    for of, block in blocks:
        for field, value in block:
            if isinstance(value, Figure):
                yield of, field, f"{value.value:g}", value.kind, value.source
        spread = getattr(block, "spread", None)
        if spread:
            shown = f"{min(spread.ratios):.2f} to {max(spread.ratios):.2f}"
            yield of, "spread", shown, spread.kind, spread.source
