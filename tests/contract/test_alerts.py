"""Alert rules name metrics that exist, and each of them is explained."""

import re
from pathlib import Path

import pytest
import yaml
from sqlalchemy.orm import Session, sessionmaker

from tests.support.metrics import families

ROOT = Path(__file__).parents[2]
GROUPS = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text("utf-8"))["groups"]
RULES = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}


@pytest.mark.parametrize("alert", RULES)
def test_its_metrics_are_exposed(
    alert: str, sessions: sessionmaker[Session], redis_url: str
) -> None:
    exposed = {family.name for family in families(sessions, redis_url)}
    named = re.findall(r"[a-z]+(?:_[a-z]+)+", RULES[alert]["expr"])
    assert named
    for metric in named:
        assert re.sub("_(total|bucket|sum|count)$", "", metric) in exposed


@pytest.mark.parametrize("alert", RULES)
def test_somebody_who_is_woken_finds_what_to_do(alert: str) -> None:
    page, _, anchor = RULES[alert]["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert anchor in {heading.lower() for heading in headings}
