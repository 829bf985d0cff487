"""Options that many commands share."""

import re
from datetime import timedelta
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.")]

ApiUrl = Annotated[
    str | None,
    typer.Option(
        "--api-url",
        metavar="URL",
        help="Server to talk to. (default: the running stack, or CALLYTICS_API__PUBLIC_URL)",
    ),
]

AsClient = Annotated[
    str | None,
    typer.Option(
        "--client",
        metavar="ID",
        help="Client to act as; each client sees its own calls. (default: CALLYTICS_CLIENT__NAME)",
    ),
]

OfClient = Annotated[
    str | None,
    typer.Option("--client", metavar="ID", help="Only this client's. (default: every client's)"),
]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=36_500)


def duration(text: str) -> timedelta:
    """`90m`, `24h`, `7d`, `1h30m`"""
    parts = re.findall(r"([0-9]{1,7})([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise typer.BadParameter("is written 90m, 24h or 7d")
    found = sum((timedelta(**{_UNITS[unit]: int(n)}) for n, unit in parts), timedelta())
    if not timedelta() < found <= _LONGEST:
        raise typer.BadParameter("must lie between a second and a hundred years")
    return found


Since = Annotated[
    timedelta | None,
    typer.Option(parser=duration, metavar="TIME", help="Only the latest so long: 90m, 24h, 7d."),
]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
