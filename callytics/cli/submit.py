"""`callytics submit`: hands recordings in, and waits for what comes of them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from callytics.cli.console import print_json, print_plain, say, stderr
from callytics.cli.options import ApiUrl, AsClient, Json
from callytics.cli.problems import CommandError, ExitCode
from callytics.cli.report import print_report
from callytics.domain.job import JobStatus, Priority
from callytics.domain.stages import Stage
from callytics.domain.transcript import Role

if TYPE_CHECKING:
    from callytics.cli.api import Api


def _channels(text: str) -> dict[str, int]:
    pairs = dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)
    if pairs.keys() != {Role.AGENT, Role.CUSTOMER} or not all(map(str.isdecimal, pairs.values())):
        raise typer.BadParameter("is written agent=0,customer=1")
    return {role: int(number) for role, number in pairs.items()}


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _stages(text: str) -> list[str]:
    names = _words(text)
    for name in names:
        if name not in list(Stage):
            raise typer.BadParameter(f"there is no stage {name!r}; there are {', '.join(Stage)}")
    return names


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter("must be a JSON object")
    return value


def submit(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, readable=True, help="Recordings."
        ),
    ] = None,
    *,
    url: Annotated[
        str | None, typer.Option(help="Instead of files: an address that the server fetches.")
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Instead of files: a path that the server can read.")
    ] = None,
    consultation_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Your own name for the consultation.")
    ] = None,
    priority: Annotated[Priority, typer.Option(help="Who goes first.")] = Priority.NORMAL,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="ISO 639. (default: found by the model)")
    ] = None,
    channels: Annotated[
        dict[str, int] | None,
        typer.Option(
            parser=_channels,
            metavar="ROLE=N,...",
            help="Who is on which channel: agent=0,customer=1.",
        ),
    ] = None,
    stages: Annotated[
        object,
        typer.Option(
            parser=_stages,
            metavar="STAGE,...",
            help=f"Only these and what they need: {', '.join(Stage)}.",
        ),
    ] = None,
    hotwords: Annotated[
        object,
        typer.Option(parser=_words, metavar="WORD,...", help="Names and terms to listen for."),
    ] = None,
    metadata: Annotated[
        dict[str, Any] | None,
        typer.Option(parser=_object, metavar="JSON", help="An object that is kept with the call."),
    ] = None,
    callback_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the server reports the end.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The same key and recording again make no second call."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the calls have ended and show the results.")
    ] = False,
    as_json: Json = False,
    api_url: ApiUrl = None,
    client: AsClient = None,
) -> None:
    """Submit recordings.

    With --json one line is printed for each, in the order given: the server's answer or, with --wait,
    the call's result.
    """
    from callytics.cli.api import connect

    references = {
        name: value for name, value in (("audio_url", url), ("audio_path", path)) if value
    }
    if bool(files) + len(references) != 1:
        raise typer.BadParameter("Give either files, or --url, or --path.")
    if idempotency_key and files and len(files) > 1:
        raise typer.BadParameter("--idempotency-key stands for one recording.")
    options = {
        "consultation_id": consultation_id,
        "priority": priority.value,
        "language": language,
        "channels": channels,
        "stages": stages,
        "hotwords": hotwords,
        "metadata": metadata,
        "callback_url": callback_url,
    }
    asked = {name: value for name, value in options.items() if value is not None}
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    with connect(api_url, client) as api:
        if files:
            answers = upload(api, {str(file): file for file in files}, asked, headers)
        else:
            answer = api.submit_reference({**references, **asked}, headers)
            answers = {next(iter(references.values())): answer}
        if wait:
            for title, answer in answers.items():
                say(f"{title}: {answer['call_id']}", "dim")
        results = wait_for(api, answers) if wait else answers
    _print(results, wait=wait, as_json=as_json)
    _finish(len(set(files or references)), results, wait=wait)


def upload(
    api: "Api", files: Mapping[str, Path], options: Mapping[str, Any], headers: Mapping[str, str]
) -> dict[str, Any]:
    """What the server answered, by title. A file that it refuses does not keep the others back."""
    answers = {}
    with _upload_bars() as opened:
        for title, file in files.items():
            try:
                with opened(file) as content:
                    answers[title] = api.submit_file(content, file.name, options, headers)
            except CommandError as error:
                if len(files) == 1 or error.exit_code is ExitCode.UNREACHABLE:
                    raise
                say(f"{title}: {error}", "red")
    return answers


@contextmanager
def _upload_bars() -> Iterator[Any]:
    """Opens files, with a bar for each as it is read."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(
        *columns, console=stderr(), redirect_stdout=False, disable=not stderr().is_terminal
    ) as progress:

        def opened(file: Path) -> BinaryIO:
            return progress.open(file, "rb", description=file.name)

        yield opened


def wait_for(api: "Api", answers: Mapping[str, Any]) -> dict[str, Any]:
    """Show the submitted calls' stages until all have ended; the results, in the same order."""
    from callytics.cli.call_board import CallBoard, live
    from callytics.cli.follow import follow

    titles = {answer["call_id"]: title for title, answer in answers.items()}
    board = CallBoard(list(answers))
    with live(board):
        for call_id, call in follow(api, list(titles)):
            board.update(titles[call_id], call)
    return {title: api.call(answer["call_id"]) for title, answer in answers.items()}


def _print(results: Mapping[str, Any], *, wait: bool, as_json: bool) -> None:
    for title, result in results.items():
        if as_json:
            print_json(result, indent=None)
        elif wait:
            print_report(result, title=title)
        else:
            print_plain(result["call_id"])


def _finish(asked: int, results: Mapping[str, Any], *, wait: bool) -> None:
    """End with what the worst of the calls deserves."""
    if len(results) < asked:
        raise typer.Exit(ExitCode.FAILED)
    if wait and any(call["status"] != JobStatus.COMPLETED for call in results.values()):
        raise typer.Exit(ExitCode.CALL_FAILED)
