"""`callytics sentiment`: what texts sound like, asked of the API."""

import sys
from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any

import typer

from callytics.cli.console import colored, print_json, print_table, say
from callytics.cli.options import ApiUrl, AsClient, Json
from callytics.cli.problems import CommandError, ExitCode

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
    given = iter(texts) if texts else (line.strip() for line in sys.stdin if line.strip())
    with connect(api_url, client) as api:
        while lines := list(islice(given, AT_ONCE)):
            _print(api.request("POST", PATH, json={"texts": lines}), as_json=as_json)


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
