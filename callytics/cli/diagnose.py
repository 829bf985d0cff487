"""`callytics diagnose`: has a skin lesion judged, and waits for the answer."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli.console import print_json, print_plain, print_table, say
from callytics.cli.options import ApiUrl, AsClient, Json
from callytics.cli.problems import ExitCode
from callytics.domain.diagnosis import Language

if TYPE_CHECKING:
    from callytics.cli.api import Api

POLL_S = 0.3


def diagnose(
    *,
    image: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="A photo: JPEG, PNG, WebP, BMP or HEIC.",
        ),
    ] = None,
    text: Annotated[str | None, typer.Option(help="The complaint in words.")] = None,
    language: Annotated[Language, typer.Option(help="Of the answer.")] = Language.KOREAN,
    idempotency_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The same key and content again make no second job."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the job has ended and show the result.")
    ] = False,
    as_json: Json = False,
    api_url: ApiUrl = None,
    client: AsClient = None,
) -> None:
    """Have a skin lesion judged by a photo, a description or both.

    No medical advice. Prints the job's id or, with --wait, what was found; with --json the server's answer.
    """
    from callytics.cli.api import connect

    if image is None and text is None:
        raise typer.BadParameter("Give --image, --text, or both.")
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    with connect(api_url, client) as api:
        taken = api.submit_complaint(text, image, language, headers)
        job = _ended(api, taken) if wait else taken
    if as_json:
        print_json(job)
    elif wait:
        _print(job)
    else:
        print_plain(job["job_id"])
    if wait and job["status"] != "done":
        raise typer.Exit(ExitCode.CALL_FAILED)


def _ended(api: "Api", taken: Mapping[str, Any]) -> Any:
    say(f"Job {taken['job_id']}", "dim")
    while True:
        job = api.diagnosis(taken["job_id"])
        if job["status"] not in {"queued", "running"}:
            return job
        time.sleep(POLL_S)


def _print(job: Mapping[str, Any]) -> None:
    found = job["result"]
    if found is None:
        say(job["problem"]["detail"], "red")
        return
    if found["image_usable"] is False:
        print_plain(f"The photo cannot be judged: {found['image_reason']}")
    print_plain(f"{found['urgency']}: {found['urgency_reason']}\n")
    conditions = found["conditions"]
    if conditions:
        columns = ("condition", "likelihood", "reason")
        print_table(columns, ([row[name] for name in ("name", *columns[1:])] for row in conditions))
        print_plain("")
    for title, name in _LISTS.items():
        print_plain("\n".join([f"{title}:", *(f"  {phrase}" for phrase in found[name])]))
    say(f"{job['processing_time']} s, {job['model']}. {job['notice']}", "dim")


_LISTS: Mapping[str, str] = {
    "Findings": "findings",
    "Next": "next_steps",
    "Warning signs": "warning_signs",
}
