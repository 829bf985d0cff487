"""What Prometheus would be shown."""

from collections.abc import Callable, Mapping
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


def whole(show: Callable[[], str]) -> dict[Sample, float]:
    """What is shown once rows and broker answered in time."""
    return samples(_whole(show))


def _whole(show: Callable[[], str]) -> str:
    """A busy machine may need more than one try."""

    def look() -> str | None:
        found = samples(text := show())
        up = (found["callytics_database_up", ()], found["callytics_broker_up", ()])
        return text if all(up) else None

    return str(wait_until(look))


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
        text = _whole(lambda: metrics.render().decode())
    return list(text_string_to_metric_families(text))
