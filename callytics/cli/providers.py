"""`callytics providers`: who answers for the chat models, whether they can, and what it took."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import colored, print_json, print_table, say
from callytics.cli.options import Json, Since
from callytics.cli.problems import CommandError, ExitCode

if TYPE_CHECKING:
    from rich.text import Text

    from callytics.domain.providers import Use
    from callytics.services.providers import Breakers
    from callytics.settings import Settings

app = typer.Typer(no_args_is_help=True)

View = dict[str, Any]

LATELY = timedelta(days=1)
"""What `list` counts."""


@app.command()
def use(
    task: Annotated[str, typer.Argument(metavar="TASK", help="slm, mlm, ...; `list` shows them.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help="Who answers; further ones where it does not."),
    ] = None,
    *,
    default: Annotated[
        bool, typer.Option("--default", help="Those again whom the settings say.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Though no running worker can ask one of them.")
    ] = False,
) -> None:
    """Choose who answers for a task, in order. Running workers obey within seconds."""
    from callytics.db.engine import unit_of_work
    from callytics.services import providers

    if default == bool(names):
        raise typer.BadParameter("give providers, or --default", param_hint="NAME")
    settings = local.settings()
    with local.sessions() as sessions, unit_of_work(sessions) as session:
        if names:
            providers.choose(session, task, names, settings, force=force)
        else:
            providers.unchoose(session, task, settings)
    order = names or providers.default_order(task, settings)
    say(f"{task} is answered by {', then '.join(order)}.")


@app.command("list")
def list_(*, as_json: Json = False) -> None:
    """Show tasks and providers: who answers in which order, what a provider lacks, the last day's counts."""
    settings = local.settings()
    chosen, used, breakers = _rows(LATELY)
    tasks = _tasks(settings, chosen)
    found = [_provider(name, settings, tasks, used, breakers) for name in _names(settings, tasks)]
    if as_json:
        print_json({"tasks": tasks, "providers": found})
        return
    print_table(
        ("task", "answered by", "as said by"),
        ((one["task"], ", then ".join(one["providers"]), one["source"]) for one in tasks),
    )
    say("")
    columns = ("provider", "server", "key", "answers for")
    print_table(
        (*columns, "requests in 24 h", "success", "USD", "left alone by", "lacks"),
        (
            (
                one["provider"],
                one["server"],
                "set" if one["key_set"] else "",
                ", ".join(f"{task} ({place})" for task, place in one["tasks"].items()),
                one["requests"],
                _share(one["success_rate"]),
                f"{one['cost_usd']:.4f}",
                colored(_left_alone(one["breakers"]), "red"),
                colored(one["problem"] or "", "red" if one["tasks"] else "dim"),
            )
            for one in found
        ),
    )


@app.command()
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Providers; without a name, those that answer."),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Ask each provider for one token and say what is wrong; exit 1 if one does not answer."""
    settings = local.settings()
    chosen, _, _ = _rows(LATELY)
    results = []
    for result in _asked(list(_pairs(names, _tasks(settings, chosen)))):
        results.append(result)
        if not as_json:
            say(*_check_line(result))
    if as_json:
        print_json(results)
    if any(result["problem"] for result in results):
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def usage(*, since: Since = None, as_json: Json = False) -> None:
    """Show requests, tokens, cost and seconds by task, provider, model and outcome, by whole hours."""
    _, used, _ = _rows(since)
    if as_json:
        print_json([asdict(one) for one in used])
        return
    print_table(
        ("task", "provider", "model", "outcome", "requests", "prompt", "output", "USD", "s each"),
        (
            (
                one.task,
                one.provider,
                one.model,
                one.outcome.value,
                one.requests,
                one.prompt_tokens,
                one.output_tokens,
                f"{one.cost_usd:.4f}",
                f"{one.seconds / one.requests:.2f}",
            )
            for one in used
        ),
    )
    if not used:
        say("No provider was asked in that time.", "dim")


def _rows(
    since: timedelta | None,
) -> tuple[Mapping[str, Sequence[str]], Sequence["Use"], "Breakers"]:
    """Who was chosen, what was counted, and whom workers leave alone."""
    from callytics.db.engine import unit_of_work
    from callytics.db.providers import ProviderChoices, ProviderUsages
    from callytics.services import providers

    with local.sessions() as sessions, unit_of_work(sessions) as session:
        chosen, used = ProviderChoices(session).all(), ProviderUsages(session).sums(since)
        return chosen, used, providers.breakers(session)


def _names(settings: "Settings", tasks: Sequence[View]) -> Sequence[str]:
    """Those that these settings know, and those that were chosen where others count."""
    from callytics.services import providers

    chosen = (name for task in tasks for name in task["providers"])
    return tuple(dict.fromkeys([*providers.names(settings), *chosen]))


def _tasks(settings: "Settings", chosen: Mapping[str, Sequence[str]]) -> list[View]:
    from callytics.services import providers

    return [
        {
            "task": task,
            "providers": list(chosen.get(task) or providers.default_order(task, settings)),
            "source": "providers use" if task in chosen else "settings",
        }
        for task in providers.tasks(settings)
    ]


def _provider(
    name: str,
    settings: "Settings",
    tasks: Sequence[View],
    used: Sequence["Use"],
    breakers: "Breakers",
) -> View:
    from callytics.domain.providers import BreakerState, Outcome
    from callytics.errors import ConfigurationError
    from callytics.services import providers

    places = {
        one["task"]: one["providers"].index(name) + 1 for one in tasks if name in one["providers"]
    }
    provider, problem = None, None
    for task in [*places, *(one["task"] for one in tasks)]:
        try:
            provider = provider or providers.resolve(name, task, settings)
        except ConfigurationError as error:
            problem = problem or error.detail
    mine = [one for one in used if one.provider == name]
    requests = sum(one.requests for one in mine)
    good = sum(one.requests for one in mine if one.outcome is Outcome.OK)
    return {
        "provider": name,
        "server": provider.server if provider else None,
        "key_set": providers.has_key(name, settings),
        "tasks": places,
        "problem": None if provider else problem,
        "requests": requests,
        "success_rate": good / requests if requests else None,
        "cost_usd": sum((one.cost_usd for one in mine), 0.0),
        "breakers": {
            task: {state.value: workers[state] for state in BreakerState}
            for (task, provider), workers in breakers.items()
            if provider == name
        },
    }


def _pairs(names: Sequence[str] | None, tasks: Sequence[View]) -> Iterator[str]:
    """Provider and task: each for what it answers for; one that is named and has no task, for all."""
    for one in names or dict.fromkeys(name for task in tasks for name in task["providers"]):
        serves = [task["task"] for task in tasks if one in task["providers"]]
        yield from (f"{one}:{task}" for task in serves or [task["task"] for task in tasks])


def _asked(pairs: Sequence[str]) -> Iterator[View]:
    """What `python -m workers.ask_providers` says of each as it is done.

    A process of its own, since this package does not know the client's library.
    """
    command = [sys.executable, "-m", "workers.ask_providers", *pairs]
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        told = 0
        for line in process.stdout or ():
            told += 1
            yield json.loads(line)
    if told < len(pairs):
        raise CommandError("Asking the providers failed: is the extra `llm` installed?")


def _check_line(result: View) -> tuple[str, str]:
    who = f"{result['provider']} for {result['task']}"
    if result["problem"]:
        return f"✗ {who}: {result['problem']}", "red"
    return f"✓ {who}: {result['model']} answers in {result['seconds']:.1f} s", ""


def _left_alone(breakers: Mapping[str, Mapping[str, int]]) -> str:
    """By how many workers of each task, of how many; nothing of tasks that ask it."""
    return ", ".join(
        f"{task} ({workers['open']} of {sum(workers.values())})"
        for task, workers in breakers.items()
        if workers["open"]
    )


def _share(rate: float | None) -> "Text | str":
    return "" if rate is None else colored(f"{rate:.1%}", "" if rate > 0.95 else "red")  # noqa: PLR2004
