"""Options that many commands share."""

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

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
