"""Alert rules name metrics that exist, fire when they should, reach somebody, and say what to do."""

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import typer
import yaml
from sqlalchemy.orm import Session, sessionmaker
from typer.core import TyperCommand, TyperGroup

from callytics.cli.app import app
from tests.support.dashboards import BOARDS, EXPORTED, PROMETHEUS
from tests.support.metrics import families
from tests.support.observability import ALERTS, tool
from tests.support.promql import metrics_of

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs/runbook.md").read_text("utf-8")
ALERTMANAGER = ROOT / "deploy/alertmanager/alertmanager.yml"
ROUTES: dict[str, Any] = yaml.safe_load(ALERTMANAGER.read_text("utf-8"))
TESTS = yaml.safe_load((ROOT / "deploy/prometheus/rules_test.yml").read_text("utf-8"))["tests"]


def test_their_metrics_are_shown_by_the_api_or_a_known_exporter(
    sessions: sessionmaker[Session], redis_url: str
) -> None:
    named = {metric for rule in ALERTS.values() for metric in metrics_of(rule["expr"])}
    ours = {re.sub("_(total|bucket|sum|count)$", "", one) for one in named - EXPORTED - PROMETHEUS}
    assert ours <= {family.name for family in families(sessions, redis_url)}


@pytest.mark.parametrize("alert", ALERTS)
def test_it_says_how_urgent_it_is_and_what_to_do(alert: str) -> None:
    labels, said = ALERTS[alert]["labels"], ALERTS[alert]["annotations"]
    assert labels["severity"] in ({"none"} if alert == "Watchdog" else {"page", "ticket"})
    assert labels["layer"] in {"platform", "work"}
    assert set(said) == {"summary", "description", "action", "runbook", "dashboard"}
    assert all(said[each].endswith(".") for each in ("summary", "description", "action"))
    assert said["dashboard"] in BOARDS


@pytest.mark.parametrize("alert", ALERTS)
def test_who_is_woken_finds_its_entry_under_its_urgency(alert: str) -> None:
    assert ALERTS[alert]["annotations"]["runbook"] == f"docs/runbook.md#{alert.lower()}"
    chapters = {"page": "Pages", "ticket": "Tickets", "none": "A sign of life"}
    assert alert in entries(chapters[ALERTS[alert]["labels"]["severity"]])


def test_every_entry_is_of_an_alert() -> None:
    assert sorted(re.findall(r"^### (.+)$", RUNBOOK, re.MULTILINE)) == sorted(ALERTS)


def entries(chapter: str) -> list[str]:
    text = re.split(r"^## ", RUNBOOK.partition(f"\n## {chapter}\n")[2], flags=re.MULTILINE)[0]
    return re.findall(r"^### (.+)$", text, re.MULTILINE)


TEXTS = [
    " ".join(text.split())
    for text in (RUNBOOK, *(rule["annotations"]["action"] for rule in ALERTS.values()))
]
_EXEC = r"docker compose exec [\w-]+ |kubectl -n calls exec deploy/[\w-]+ -- "
COMMANDS = sorted(
    {found for text in TEXTS for found in re.findall(rf"`(?:{_EXEC})?(callytics [^`]+)`", text)}
    | {
        f"callytics {found}"  # which is that service's entry point
        for text in TEXTS
        for found in re.findall(r"`docker compose run --rm models ([^`]+)`", text)
    }
)


INSTEAD = {"TASK": "slm", "STAGE": "sentiment", "ID": str(uuid4())}

ELSEWHERE = {
    "doctor": "of the stack of `callytics up`",
    "status": "of the stack of `callytics up`",
    "models check": "wants the volume of models and the hub's client",
    "models fetch": "wants the volume of models and the hub's client",
    "providers check": "wants the client of chat models",
}
"""What does not work in the API's container, where an operator gives the others."""


@pytest.mark.parametrize("command", ELSEWHERE)
def test_what_does_not_work_beside_the_api_is_not_named_without_its_container(command: str) -> None:
    for text in TEXTS:
        assert not re.search(rf"(`|exec api |callytics-api -- )callytics {command}\b[^`-]*`", text)


def test_the_calls_of_every_client_are_looked_for() -> None:
    """The command line acts as one client unless it is told."""
    for line in COMMANDS:
        if line.startswith("callytics calls list"):
            assert "--all-clients" in line
        elif line.startswith("callytics calls "):
            assert "--client NAME" in line


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_that_it_names_exists(line: str) -> None:
    words = [INSTEAD.get(word, word) for word in line.split()[1:]]
    command: Any = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        command = command.commands[words.pop(0)]
    assert isinstance(command, TyperCommand)
    command.make_context(line, words, resilient_parsing=False)


def test_rules_are_accepted_and_fire_as_they_should() -> None:
    checked = tool("promtool", "test", "rules", ROOT / "deploy/prometheus/rules_test.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "SUCCESS" in checked.stdout


@pytest.mark.parametrize("alert", sorted(set(ALERTS) - {"Watchdog"}))
def test_there_is_a_situation_in_which_it_fires_and_one_in_which_it_does_not(alert: str) -> None:
    seen = [
        f'alertname="{alert}"' in {sample["labels"].strip("{}") for sample in test["exp_samples"]}
        for situation in TESTS
        if metrics_of(ALERTS[alert]["expr"])
        & {s["series"].partition("{")[0] for s in situation["input_series"]}
        for test in situation.get("promql_expr_test", ())
    ]
    assert {True, False} <= set(seen)


def test_alertmanager_s_own_tool_accepts_its_file() -> None:
    checked = tool("amtool", "check-config", ALERTMANAGER)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=APIDown", "severity=page"), "slack"),
        (("alertname=QueueLate", "severity=ticket"), "slack"),
        (("alertname=SomethingNew",), "slack"),
        (("alertname=Watchdog", "severity=none"), "nobody"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value,
)
def test_an_alert_goes_to(labels: tuple[str, ...], receiver: str) -> None:
    routed = tool("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels)
    assert routed.stdout.strip() == receiver, routed.stderr


def test_what_is_left_unsaid_is_said_by_an_alert_that_exists() -> None:
    for rule in ROUTES["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            label, _, values = re.match(r'(\w+)(=~?)"(.+)"', matcher).groups()  # type: ignore[union-attr]
            if label == "alertname":
                assert set(values.split("|")) <= set(ALERTS)


def test_agents_do_not_wait_for_a_minute_until_somebody_is_told() -> None:
    """From the count to Slack, at the worst, as the files stand."""
    asked = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))["global"]
    waits = (asked["scrape_interval"], asked["evaluation_interval"], ROUTES["route"]["group_wait"])
    assert "for" not in ALERTS["QuickSummariesSlow"]
    assert sum(int(wait.removesuffix("s")) for wait in waits) <= 45


def test_no_address_of_slack_is_in_the_files() -> None:
    for file in (ROOT / "deploy/alertmanager").iterdir():
        assert "hooks.slack.com" not in file.read_text("utf-8")
