"""`callytics doctor --deploy`: asks, collects, prints."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from callytics.cli import deploy_rows, local
from callytics.cli.api import check_address
from callytics.cli.console import colored, print_json, print_table
from callytics.cli.credentials import signer
from callytics.cli.deploy_checks import Deployment
from callytics.cli.deploy_findings import Finding, Grade
from callytics.cli.problems import CommandError, ExitCode

if TYPE_CHECKING:
    from callytics.settings import Settings

STYLES: Mapping[Grade, str] = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red"}


def report(url: str | None, client: str | None, flower_url: str | None, *, as_json: bool) -> None:
    """Print every finding; exit 1 where one fails."""
    settings = local.settings()
    address = check_address(url or settings.api.url)
    findings = list(_findings(settings, address, client, flower_url or _own_flower(settings, url)))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            ("", "what", "found", "what to do"),
            (
                (colored(one.grade, STYLES[one.grade]), one.name, one.detail, one.mend)
                for one in findings
            ),
        )
    if any(one.grade is Grade.FAIL for one in findings):
        raise typer.Exit(ExitCode.FAILED)


def _findings(
    settings: "Settings", address: str, client: str | None, flower_url: str | None
) -> Iterator[Finding]:
    with ExitStack() as stack:
        try:
            make_key = stack.enter_context(signer(client))
        except CommandError:  # nothing to sign with: that is a finding and no reason to stop
            make_key = None
        deployment = stack.enter_context(closing(Deployment(address, make_key, flower_url)))
        yield from deployment.examine()
    if address == settings.api.url or not _is_the_stack_s(settings):
        yield from deploy_rows.examine(settings)


def _is_the_stack_s(settings: "Settings") -> bool:
    """Whether the database is that of the stack that runs here: it says nothing of another deployment."""
    from callytics.settings import read_stack_file

    url = settings.database_url.get_secret_value() if settings.database_url else None
    return url is not None and url == read_stack_file(settings.state_dir).get("database_url")


def _own_flower(settings: "Settings", url: str | None) -> str | None:
    """That of the running stack, where no other deployment is named."""
    if url is not None or settings.api.public_url is not None:
        return None
    return f"http://{settings.flower.host}:{settings.flower.port}"
