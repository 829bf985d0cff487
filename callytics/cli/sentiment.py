"""`callytics sentiment`: what texts sound like, asked of the API."""

import sys
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli.console import colored, print_json, print_table, say
from callytics.cli.options import ApiUrl, AsClient, Json
from callytics.cli.problems import CommandError, ExitCode, ProblemError

if TYPE_CHECKING:
    from callytics.cli.api import Api

PATH = "/api/v1/sentiment/batch"
AT_ONCE = 200
COLOURS = {"부정": "red", "긍정": "green"}


def sentiment(
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="Texts; without any, lines of standard input."),
    ] = None,
    api_url: ApiUrl = None,
    client: AsClient = None,
    *,
    as_json: Json = False,
) -> None:
    """Say what texts sound like: 부정, 중립 or 긍정, with the model's probability. `--json` prints a line of
    JSON for each text, in order.
    """
    from callytics.cli.api import connect

    if not texts and sys.stdin.isatty():
        raise CommandError("Name a text, or pipe lines into this command.", ExitCode.USAGE)
    given = enumerate(texts or map(str.strip, sys.stdin), 1)
    # An empty line is passed over; an empty argument is the caller's mistake, and the server says so.
    wanted = ((number, text) for number, text in given if texts or text)
    with connect(api_url, client) as api:
        while part := dict(islice(wanted, AT_ONCE)):
            _print(_judged(api, part), as_json=as_json)


def _judged(api: "Api", part: Mapping[int, str]) -> Any:
    """What is answered to the texts of `part`, which are told apart by their numbers."""
    try:
        return api.request("POST", PATH, json={"texts": [*part.values()]})
    except ProblemError as error:
        if not error.places:
            raise
        numbers = [*part]
        faulty = ", ".join(str(numbers[place]) for place in error.places)
        raise CommandError(f"{error} By their place, from 1: {faulty}.", error.exit_code) from error


def _print(answer: Mapping[str, Any], *, as_json: bool) -> None:
    for reason in answer.get("degraded", ()):
        say(f"{reason['detail']} ({reason['code']})", "red")
    results = answer["data"]["results"]
    if as_json:
        for result in results:
            print_json(result, indent=None)
        return
    print_table(
        ("sentiment", "score", "text"),
        (
            (
                colored(result["sentiment"], COLOURS.get(result["sentiment"], "")),
                f"{result['score']:.2f}",
                result["text"],
            )
            for result in results
        ),
    )
