"""What Prometheus would be shown."""

from collections.abc import Mapping
from contextlib import closing
from typing import TypeAlias

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, sessionmaker

from api.metrics import Metrics
from callytics.db.engine import unit_of_work
from callytics.db.models import MetricMark
from callytics.queueing.broker import Broker
from tests.support.waiting import wait_until

Sample: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


def samples(shown: str) -> dict[Sample, float]:
    return {
        sample_of(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(shown)
        for sample in family.samples
    }


def sample_of(name: str, labels: Mapping[str, str]) -> Sample:
    return name, tuple(sorted(labels.items()))


def count_from(sessions: sessionmaker[Session], ago: str = "1 hour") -> None:
    """Have what ended since then counted by whoever is asked next."""
    since = func.clock_timestamp() - text(f"interval '{ago}'")
    mark = insert(MetricMark).values(id=1, counted_until=since)
    with unit_of_work(sessions) as session:
        session.execute(
            mark.on_conflict_do_update(index_elements=["id"], set_={"counted_until": since})
        )


def families(sessions: sessionmaker[Session], redis_url: str) -> list[Metric]:
    """Every metric that an API shows; of those without a label the samples too."""
    with closing(Metrics(sessions, Broker(redis_url))) as metrics:
        return list(text_string_to_metric_families(metrics.render().decode()))


def names_shown(sessions: sessionmaker[Session], redis_url: str) -> set[str]:
    """Of every metric that an API shows, once database and broker have answered in time."""

    def read() -> set[str] | None:
        names = {family.name for family in families(sessions, redis_url)}
        return names if "callytics_queue_difference" in names else None

    found: set[str] = wait_until(read)
    return found
