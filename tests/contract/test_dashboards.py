"""Dashboards are what the code draws, ask for metrics that exist, and say what they show."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from deploy.dashboards import written
from tests.support.dashboards import BOARDS, EXPORTED, FOLDER, PROMETHEUS, panels, queries
from tests.support.metrics import families
from tests.support.observability import ALERTS
from tests.support.promql import metrics_of

PANELS = [pytest.param(panel, id=f"{name}: {panel['title']}") for name, panel in panels()]


def test_the_files_are_what_the_code_writes() -> None:
    """`make dashboards` writes them anew."""
    files = {file.name: file.read_text("utf-8") for file in FOLDER.iterdir()}
    assert files == dict(written())


def test_every_metric_that_they_ask_for_is_shown_by_the_api_or_a_known_exporter(
    sessions: sessionmaker[Session], redis_url: str
) -> None:
    asked = {metric for expr in queries() for metric in metrics_of(expr)}
    ours = {re.sub("_(total|bucket|sum|count)$", "", one) for one in asked - EXPORTED - PROMETHEUS}
    assert ours <= {family.name for family in families(sessions, redis_url)}


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: Mapping[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_of_others_metrics_says_whose_they_are(panel: Mapping[str, Any]) -> None:
    named = {metric for target in panel["targets"] for metric in metrics_of(target["expr"])}
    sources = {"DCGM": "dcgm-exporter", "node": "node_exporter", "vllm": "vLLM"}
    for metric in named & EXPORTED:
        assert sources[re.split("[_:]", metric)[0]] in panel["description"]


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_dashboard_is_found_by_its_name_and_leads_to_the_others(board: Mapping[str, Any]) -> None:
    assert BOARDS[board["uid"]] is board
    assert board["tags"] == ["callytics"]
    assert [link["tags"] for link in board["links"]] == [["callytics"]]
    assert {variable["name"] for variable in board["templating"]["list"]} == {"datasource", "queue"}
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_no_panel_lies_over_another(board: Mapping[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        columns, lines = range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        cells = {(x, y) for x in columns for y in lines}
        assert max(columns) < 24
        assert not taken & cells, panel["title"]
        taken |= cells


def test_an_alert_that_a_panel_names_exists() -> None:
    said = " ".join(panel["description"] for _, panel in panels())
    named = set(re.findall(r"\b(?:[A-Z]+[a-z]+){2,}\b|\bAPI[A-Z][a-z]+\b", said))
    assert named - {"PostgreSQL"} <= set(ALERTS)
    assert len(named) > 10
