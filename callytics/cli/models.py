"""`callytics models`: which models are configured, where their files are, whether they load."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import colored, print_json, print_table, say, stderr
from callytics.cli.options import Json
from callytics.cli.problems import CommandError, ExitCode

if TYPE_CHECKING:
    from callytics.model_files.fetch import FetchEvent, FetchPlan
    from callytics.settings import Settings

app = typer.Typer(no_args_is_help=True)

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Models; without a name, those that are configured."),
]


@app.command()
def fetch(names: Names = None, *, as_json: Json = False) -> None:
    """Bring model files into the model directory; what is there is left alone."""
    from callytics.model_files.fetch import fetchable, plan_fetch

    settings = local.settings()
    wanted = tuple(names or fetchable(settings))
    plan = plan_fetch(settings, wanted)
    if not plan:
        say("Every model is here already.")
    folders = _fetch(settings, wanted, plan)
    found = [{"model": name, "path": str(path)} for name, path in zip(wanted, folders, strict=True)]
    if as_json:
        print_json(found)
    else:
        print_table(("model", "folder"), ((row["model"], row["path"]) for row in found))


def fetch_missing(settings: "Settings") -> None:
    """Bring what the configured models lack; says nothing where nothing is lacking."""
    from callytics.model_files.fetch import fetchable, plan_fetch

    if plan := plan_fetch(settings):
        _fetch(settings, fetchable(settings), plan)


def _fetch(
    settings: "Settings", names: Sequence[str], plan: Sequence["FetchPlan"]
) -> Sequence[Path]:
    """Say what it will take, then do it."""
    from callytics.model_files.fetch import fetch as bring

    if plan:
        total = sum(item.download_bytes or 0 for item in plan)
        say(f"To fetch: {len(plan)} models, {_size(total)}.")
    for item in plan:
        size = "made here" if item.download_bytes == 0 else _size(item.download_bytes)
        say(f"  {item.model}: {size}, takes {_size(item.bytes)} ({item.licence or 'see its page'})")
    with _fetch_display() as report:
        return bring(settings, names, report=report)


@contextmanager
def _fetch_display() -> Iterator[Callable[["FetchEvent"], None]]:
    """Bars on a terminal; elsewhere a line a step."""
    if stderr().is_terminal:
        with _fetch_bars() as report:
            yield report
        return
    said: dict[str, str] = {}

    def report_line(event: "FetchEvent") -> None:
        if said.get(event.model) != event.step:
            said[event.model] = event.step
            say(f"{event.model}: {event.step}")

    yield report_line


@contextmanager
def _fetch_bars() -> Iterator[Callable[["FetchEvent"], None]]:
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

    columns = (
        "{task.description}",
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[step]}"),
    )
    with Progress(*columns, console=stderr(), redirect_stdout=False) as progress:
        tasks: dict[str, TaskID] = {}

        def report(event: "FetchEvent") -> None:
            if event.model not in tasks:
                tasks[event.model] = progress.add_task(event.model, total=1.0, step="")
            progress.update(tasks[event.model], completed=event.share, step=event.step)

        yield report


@app.command("list")
def list_(*, as_json: Json = False) -> None:
    """Show each configured model and where it is found."""
    from callytics.model_files.locate import list_models

    models = list_models(local.settings())
    if as_json:
        print_json([asdict(model) for model in models])
        return
    print_table(
        ("task", "model", "runtime", "found", "size", "revision", "licence"),
        (
            (
                model.task,
                model.model,
                model.runtime,
                colored(model.found, "red" if model.found == "missing" else ""),
                "" if model.bytes is None else _size(model.bytes),
                model.revision or "",
                model.licence or "",
            )
            for model in models
        ),
    )


@app.command()
def check(names: Names = None, *, as_json: Json = False) -> None:
    """Compare every model file with what was fetched; exit 1 if one is missing or damaged."""
    from callytics.model_files.locate import check as examine

    checked = examine(local.settings(), names)
    if as_json:
        print_json([asdict(item) for item in checked])
    else:
        print_table(
            ("model", "state"),
            (
                (item.model, colored(item.problem, "red") if item.problem else "ok")
                for item in checked
            ),
        )
    if any(item.problem for item in checked):
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def warm(*, as_json: Json = False) -> None:
    """Load each configured model and run it once, in a process of its own; exit 1 if one fails."""
    results = []
    for result in _warmed():
        results.append(result)
        if not as_json:
            say(*_warm_line(result))
    if as_json:
        print_json(results)
    if any(result.get("problem") for result in results):
        raise typer.Exit(ExitCode.FAILED)


class Exportable(StrEnum):
    """Tasks whose model can be exported."""

    SENTIMENT = "sentiment"


@app.command()
def export(
    task: Annotated[Exportable, typer.Argument(help="What the model is for.")],
    *,
    onnx: Annotated[bool, typer.Option("--onnx", help="Make NAME-onnx, 32 bit.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Make NAME-int8, 8 bit.")] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_FOLDER",
            help="A classifier of transformers (ELECTRA, BERT, RoBERTa). (default: the configured one)",
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Texts to compare the labels on, a line each, at least 100. (default: our own lines)",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make ONNX out of the sentiment model; exit 1 if its labels are not the original's (99 %)."""
    if not (onnx or int8):
        raise typer.BadParameter("say --onnx, --int8 or both")
    made = []
    for line in _said_by("workers.export", *_export_arguments(onnx, int8, model, texts)):
        if "step" in line:
            say(f"{line['model']}: {line['step']}")
        else:
            made.append(line)
    if as_json:
        print_json(made)
    else:
        _show_exports(task, made)
    if any(line["problem"] for line in made):
        raise typer.Exit(ExitCode.FAILED)


def _export_arguments(
    onnx: bool, int8: bool, model: str | None, texts: Path | None
) -> Iterator[str]:
    yield from ["--onnx"] * onnx + ["--int8"] * int8
    yield from ["--texts", str(texts)] if texts else []
    yield from ["--", model] if model else []


def _show_exports(task: Exportable, made: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (
            line["model"],
            _size(line["bytes"]),
            f"{line['bytes'] / line['original_bytes']:.0%}",
            f"{line['agreement']:.2%}",
            line["path"] or colored("not published", "red"),
        )
        for line in made
        if "model" in line
    ]
    if rows:
        print_table(("model", "size", "of the original", "same labels", "folder"), rows)
    for line in made:
        if problem := line["problem"]:
            say(f"Error: {problem['detail']} ({problem['code']})", "red")
        else:
            prefix = f"CALLYTICS_MODELS__{task.upper()}__"
            say(f"To use it: {prefix}RUNTIME=onnx {prefix}MODEL={line['model']}")


def _warmed() -> Iterator[Mapping[str, Any]]:
    """What is said of each model as it is done."""
    return _said_by("workers.warm", "--json")


def _said_by(module: str, *arguments: str) -> Iterator[Mapping[str, Any]]:
    """What `python -m module` says, one JSON object a line.

    A process of its own, since this package knows no model library. What libraries say meanwhile is
    only of interest when it fails without a word of its own.
    """
    command = [sys.executable, "-m", module, *arguments]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as process,  # noqa: S603
    ):
        problems = False
        for line in process.stdout or ():
            result = json.loads(line)
            problems = problems or bool(result.get("problem"))
            yield result
        if process.wait() and not problems:
            said.seek(0)
            last = (said.read().strip().splitlines() or ["it said nothing"])[-1]
            raise CommandError(f"`python -m {module}` failed: {last}")


def _warm_line(result: Mapping[str, Any]) -> tuple[str, str]:
    if problem := result.get("problem"):
        return f"✗ {result['task']}: {problem['detail']} ({problem['code']})", "red"
    seconds = f"loaded in {result['load_seconds']:.1f} s, warm in {result['warm_seconds']:.1f} s"
    return f"✓ {result['task']}: {result['model']} on {result['device']}, {seconds}", ""


def _size(count: int | None) -> str:
    from rich.filesize import decimal

    return "size unknown" if count is None else decimal(count)
