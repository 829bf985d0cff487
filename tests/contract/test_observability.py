"""docs/observability.md names every metric as it is shown, and nothing else."""

import re
from pathlib import Path

from prometheus_client.metrics_core import Metric
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.measures import MEASURES
from callytics.domain.providers import Outcome, Use
from callytics.services.providers import ProviderRows
from tests.support.metrics import families
from tests.support.workers import beat_all, beat_breakers

PAGE = Path(__file__).parents[2] / "docs/observability.md"
ROW = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram) \|(.*?)\| \w+ \| .+ \|$", re.MULTILINE)


def rows() -> dict[str, tuple[str, list[str]]]:
    """Name -> type, labels."""
    found = ROW.findall(PAGE.read_text("utf-8"))
    assert len({name for name, *_ in found}) == len(found)
    return {name: (kind, re.findall(r"`([a-z_]+)`", labels)) for name, kind, labels in found}


def test_every_metric_has_its_row(sessions: sessionmaker[Session], redis_url: str) -> None:
    shown = {name_of(family): family.type for family in families(sessions, redis_url)}
    assert {name: kind for name, (kind, _) in rows().items()} == shown


def test_its_labels_are_those_that_rows_are_counted_by() -> None:
    described = rows()
    for measure in MEASURES:
        name = measure.name if measure.bounds else f"{measure.name}_total"
        assert described[name][1] == list(measure.labels), name


def test_samples_have_the_labels_that_are_described(
    sessions: sessionmaker[Session], redis_url: str
) -> None:
    beat_all(sessions)
    beat_breakers(sessions, "slm@test", openai="open")
    ProviderRows(sessions).note(
        Use(task="slm", provider="openai", model="m", outcome=Outcome.OK, seconds=1, cost_usd=1)
    )
    described = rows()
    for family in families(sessions, redis_url):
        for sample in family.samples:
            assert {*sample.labels} - {"le"} == {*described[name_of(family)][1]}, family.name


def name_of(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else str(family.name)
