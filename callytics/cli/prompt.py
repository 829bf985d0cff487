"""Questions before anything large or final, which a script answers beforehand with --yes."""

import sys

import typer

from callytics.cli.problems import CommandError, ExitCode


def confirm(question: str, *, yes: bool) -> None:
    """Return if the answer is yes; end the command if it is not, or if nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Nobody can be asked here: give --yes.", ExitCode.USAGE)
    typer.confirm(question, abort=True, err=True)
