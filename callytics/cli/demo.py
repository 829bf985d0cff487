"""`callytics demo`: two recordings from end to end, from nothing running to nothing running."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from callytics.cli import local
from callytics.cli.console import say
from callytics.cli.models import fetch_missing
from callytics.cli.problems import ExitCode
from callytics.cli.report import print_report
from callytics.cli.stack import bring_up
from callytics.cli.submit import upload, wait_for
from callytics.domain.job import JobStatus

if TYPE_CHECKING:
    from callytics.settings import Settings

START_TIMEOUT_S = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """A file in `samples/`, and what is asked for beside it."""

    file: str
    options: Mapping[str, Any] = field(default_factory=dict)


RECORDINGS = (
    Recording(file="dialogue_16k_mono.wav"),
    Recording(
        file="dialogue_8k_stereo_ulaw.wav", options={"channels": {"agent": 0, "customer": 1}}
    ),
)


def demo() -> None:
    """Analyse two recordings before your eyes, then stop what was started.

    A stack that runs already is used and left running. Otherwise one is started in the usual state
    directory, so `callytics up` shows these calls later.
    """
    settings = local.settings()
    fetch_missing(settings)
    with _running_stack(settings):
        results = _analyse()
        for title, call in results.items():
            print_report(call, title=title)
    say("Next: `make up`, `. .venv/bin/activate`, and `callytics submit YOUR_FILE --wait`.", "dim")
    if any(call["status"] != JobStatus.COMPLETED for call in results.values()):
        raise typer.Exit(ExitCode.CALL_FAILED)


@contextmanager
def _running_stack(settings: "Settings") -> Iterator[None]:
    """A stack that is ready; it is stopped afterwards if it was started here."""
    from callytics.embedded.stack import stop

    started = bring_up(settings, timeout_s=START_TIMEOUT_S, tied=True)
    try:
        local.fresh_settings()
        yield
    finally:
        if started:
            say("Stopping ...", "dim")
            stop(settings)


def _analyse() -> dict[str, Any]:
    from callytics.cli.api import connect
    from callytics.embedded.stack import SAMPLES

    with connect(None, None) as api:
        answers: dict[str, Any] = {}
        for recording in RECORDINGS:
            file = {recording.file: SAMPLES / recording.file}
            answers |= upload(api, file, recording.options, {})
        return wait_for(api, answers)
