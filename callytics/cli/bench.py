"""`callytics bench stages`: what each stage takes on this machine."""

import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import print_json, print_table, say
from callytics.cli.options import Json
from callytics.cli.problems import CommandError

if TYPE_CHECKING:
    from callytics.cli.api import Api
    from callytics.domain.stages import Stage
    from callytics.placement.measure import Measured
    from callytics.placement.profile import Profile

app = typer.Typer(no_args_is_help=True)

SHORTEST_S, LONGEST_S = 10.0, 60.0
LOCAL = ("127.0.0.1", "localhost", "[::1]")


@app.callback()
def bench() -> None:
    """Measurements on the running stack."""


@app.command()
def stages(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Recordings of several lengths. (default: pieces of the shipped sample)",
        ),
    ] = None,
    *,
    calls: Annotated[
        int, typer.Option(min=2, help="Without files: how many pieces of the sample.")
    ] = 18,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, help="Where the profile goes, for `placement plan`."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="What the profile is called.")] = "measured",
    seed: Annotated[int, typer.Option(help="Of the pieces that are cut.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure seconds, cores and memory of each stage, one at a time, through the running stack.

    Each recording is submitted once for each stage that the pipeline runs beside another, so that every
    stage has the machine to itself; one in three is kept back and submitted with the others of these, whole
    and at once, to see how stages slow each other. Nothing else should run on the machine meanwhile.
    The calls stay, as the client's that asks: `callytics calls list`.
    """
    with _recordings(files, calls, seed) as recordings:
        profile = profile_of(measure(recordings), name, len(recordings))
    document = profile.model_dump(mode="json")
    if output:
        output.write_text(_text(document), "utf-8")
        say(f"Written to {output}.")
    if as_json:
        print_json(document)
    else:
        _show(profile)


def _text(document: Mapping[str, Any]) -> str:
    import json

    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


@contextmanager
def _recordings(files: Sequence[Path] | None, calls: int, seed: int) -> Iterator[Sequence[Path]]:
    from callytics.embedded.stack import SAMPLES
    from callytics.placement.clips import cut

    if files:
        yield files
        return
    sample = SAMPLES / "dialogue_16k_mono.wav"
    if not sample.is_file():
        raise CommandError("The shipped sample is not here: name recordings of your own.")
    with tempfile.TemporaryDirectory() as folder:
        yield list(
            cut(
                sample,
                Path(folder),
                number=calls,
                shortest_s=SHORTEST_S,
                longest_s=LONGEST_S,
                draw=Random(seed),  # noqa: S311 (no secret)
            )
        )


def measure(recordings: Sequence[Path]) -> "Measured":
    """What `recordings` take on the running stack."""
    from callytics.cli.api import connect
    from callytics.placement.measure import measure

    with connect(None, None) as api:

        def submit(
            recordings: Sequence[Path], stage: "Stage | None"
        ) -> Sequence[Mapping[str, Any]]:
            return _calls(api, recordings, stage)

        return measure(recordings, submit, here=_is_here(), tell=_quietly)


def profile_of(found: "Measured", name: str, recordings: int) -> "Profile":
    """Together with what the workers take that run now."""
    from callytics.db.engine import unit_of_work
    from callytics.db.heartbeats import Heartbeats
    from callytics.placement.measure import profile_of, running_of, workers_of

    source = f"{datetime.now(UTC):%Y-%m-%d} by `callytics bench stages`, {recordings} recordings"
    with local.sessions() as sessions, unit_of_work(sessions) as session:
        heartbeats = Heartbeats(session).fresh()
        workers = workers_of(heartbeats, local.settings(), source)
        running = running_of(heartbeats, local.settings())
    about = f"Measured on {_machine() if _is_here() else 'another machine'}, {source}."
    cores = os.cpu_count() if _is_here() else None
    return profile_of(name, about, found, workers, running, cores=cores, source=source)


def _is_here() -> bool:
    """Whether the stack is on this machine, whose cores and memory can be looked at."""
    return any(f"//{host}:" in local.settings().api.url for host in LOCAL)


def _quietly(message: str) -> None:
    say(message, "dim")


def _calls(
    api: "Api", recordings: Sequence[Path], stage: "Stage | None"
) -> Sequence[Mapping[str, Any]]:
    from callytics.cli.follow import follow
    from callytics.domain.job import JobStatus

    fields = {"stages": [stage.value]} if stage else {}
    call_ids = []
    for recording in recordings:
        with recording.open("rb") as content:
            call_ids.append(api.submit_file(content, recording.name, fields, {})["call_id"])
    for _ in follow(api, call_ids):
        pass
    found = [api.call(call_id) for call_id in call_ids]
    for call in found:
        if call["status"] != JobStatus.COMPLETED:
            raise CommandError(
                f"The call {call['call_id']} was not completed: see `callytics calls show` of it."
            )
    return found


def _machine() -> str:
    cores = os.cpu_count()
    return f"{cores} cores ({_processor()}), Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _show(profile: "Profile") -> None:
    say(
        f"Of the cores {profile.loss.value:.0%} do no work while several stages run ({profile.loss.kind})."
    )
    print_table(
        ("stage", "fixed s", "s a second of audio", "cores", "runs", "off the line"),
        (
            (
                work.value,
                f"{cost.fixed_s.value:.3f}",
                f"{cost.per_audio_s.value:.4f}",
                f"{cost.use.value:.2f}",
                len(cost.spread.ratios),
                f"{min(cost.spread.ratios):.2f} to {max(cost.spread.ratios):.2f}",
            )
            for work, cost in profile.works.items()
        ),
    )
    print_table(
        ("worker", "memory", "GPU memory", "load s"),
        (
            (
                name,
                f"{one.memory_mib.value:.0f} MiB",
                f"{one.gpu_memory_mib.value:.0f} MiB" if one.gpu_memory_mib else "",
                f"{one.load_s.value:.1f}" if one.load_s else "",
            )
            for name, one in profile.workers.items()
        ),
    )
