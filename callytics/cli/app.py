"""The command tree."""

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from callytics.cli import db, models, processes, settings
from callytics.cli.console import say
from callytics.cli.problems import EPILOG, explain


class CommandTree(TyperGroup):
    """The root: whatever goes wrong below it ends in one sentence and an exit code."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError):
            raise  # Typer's own ways to end
        except Exception as error:
            if ctx.params["debug"]:
                raise
            sentence, code = explain(error)
            say(f"Error: {sentence}", "red")
            raise typer.Exit(code) from error


app = typer.Typer(
    cls=CommandTree,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=EPILOG,
    help="Call recordings in; transcripts with speakers, sentiment, metrics and summaries out.",
)


@app.callback()
def root(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command."""


app.add_typer(settings.app, name="settings", help="Settings of this machine's processes.")
