"""The command tree."""

import inspect
import re
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from callytics.cli import (
    api_keys,
    batches,
    calls,
    clients,
    db,
    deliveries,
    demo,
    diagnose,
    doctor,
    endpoints,
    health,
    models,
    processes,
    providers,
    queues,
    receiver,
    sentiment,
    settings,
    stack,
    submit,
    variants,
)
from callytics.cli.console import say
from callytics.cli.problems import EPILOG, explain


class CommandTree(TyperGroup):
    """The root: whatever goes wrong below it ends in one sentence and an exit code."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # Pydantic's, kept by Typer
            raise
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

STACK, CALLS, PROCESSES, CARE = "The local stack", "Calls", "Single processes", "Set-up and care"
CONSULTATIONS = "Consultations"
TEXTS = "Text services"


@app.callback()
def root(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command."""


for command, panel in (
    (stack.up, STACK),
    (stack.down, STACK),
    (stack.status, STACK),
    (demo.demo, STACK),
    (submit.submit, CALLS),
    (clients.bound_key, CALLS),
    (sentiment.sentiment, TEXTS),
    (diagnose.diagnose, TEXTS),
    (queues.queues, CONSULTATIONS),
    (receiver.callback_receiver, CONSULTATIONS),
    (processes.api, PROCESSES),
    (processes.worker, PROCESSES),
    (processes.beat, PROCESSES),
    (processes.flower, PROCESSES),
    (health.health, PROCESSES),
    (doctor.doctor, CARE),
):
    # Typer would show the docstring's line ends as they are.
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(command.__doc__ or ""))
    app.command(help=text, rich_help_panel=panel, epilog=EPILOG)(command)

models.app.command()(variants.routes)
models.app.command()(variants.route)
models.app.command()(variants.use)
models.app.command()(variants.rollback)
models.app.command()(variants.compare)

for name, group, panel, text in (
    ("calls", calls.app, CALLS, "What became of recordings."),
    ("batches", batches.app, CONSULTATIONS, "Consultations that are analysed together."),
    ("deliveries", deliveries.app, CONSULTATIONS, "Callbacks, and sending them again."),
    ("endpoints", endpoints.app, CONSULTATIONS, "Callback addresses, and how they are doing."),
    ("clients", clients.app, CARE, "Who may call the API."),
    ("api-keys", api_keys.app, CARE, "Keys for the text services, for clients that cannot sign."),
    ("db", db.app, CARE, "The database's version."),
    (
        "models",
        models.app,
        CARE,
        "Which models there are, and which of their variants does what.",
    ),
    ("providers", providers.app, CARE, "Who answers for the chat models, and what it takes."),
    ("settings", settings.app, CARE, "What this machine's processes are configured with."),
):
    app.add_typer(group, name=name, help=text, rich_help_panel=panel, epilog=EPILOG)
    for registered in group.registered_commands:
        registered.epilog = EPILOG
