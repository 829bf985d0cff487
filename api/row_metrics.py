"""What Prometheus is shown of the rows: the same whichever API process it asks, so over several the maximum
counts, not the sum.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from math import inf

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString
from sqlalchemy.orm import Session

from api.provider_metrics import provider_metrics
from callytics.db.batches import Batches
from callytics.db.deliveries import Deliveries
from callytics.db.endpoints import Endpoints
from callytics.db.heartbeats import Heartbeats
from callytics.db.jobs import Jobs
from callytics.db.measures import MEASURES, Measure
from callytics.db.metric_sums import MetricSums, Observed
from callytics.db.models import WorkerHeartbeat
from callytics.db.stage_stats import StageStats
from callytics.services.health import QueueHealth, readiness

MODEL_STATES = ("loading", "warming", "ready", "failed")


@dataclass(frozen=True, kw_only=True, slots=True)
class RowMetrics:
    """`waiting`: rows that wait for a worker, by lane."""

    families: Sequence[Metric]
    waiting: Mapping[str, int]


def read(session: Session) -> RowMetrics:
    sums = MetricSums(session)
    sums.fold()
    queues, found = readiness(session).queues, sums.all()
    return RowMetrics(
        families=[
            *(_summed(measure, found.get(measure.name, ())) for measure in MEASURES),
            *_queues(queues),
            *_workers(session),
            *_batches(session),
            *_callbacks(session),
            *provider_metrics(session),
        ],
        waiting={lane: health.queued for lane, health in queues.items()},
    )


def gauge(name: str, about: str, values: Mapping[str, float], label: str) -> Metric:
    family = GaugeMetricFamily(name, about, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def _queues(queues: Mapping[str, QueueHealth]) -> Iterator[Metric]:
    def each(name: str, about: str, values: Iterable[float]) -> Metric:
        return gauge(name, about, dict(zip(queues, values, strict=True)), "queue")

    states = queues.values()
    yield each(
        "queue_length", "Stages and jobs that wait for a worker.", (one.queued for one in states)
    )
    yield each(
        "callytics_queue_running",
        "Stages and jobs that a worker runs.",
        (one.running for one in states),
    )
    yield each(
        "callytics_queue_oldest_seconds",
        "How long what waits longest does so.",
        (one.oldest_queued_s or 0 for one in states),
    )
    yield each(
        "callytics_queue_workers",
        "Living workers of the queue.",
        (one.workers for one in states),
    )
    yield each(
        "callytics_queue_workers_ready",
        "Living workers that take messages from the queue.",
        (one.ready for one in states),
    )


def _workers(session: Session) -> Iterator[Metric]:
    workers = Heartbeats(session)
    yield gauge(
        "callytics_heartbeat_age_seconds",
        "Since when a worker has said nothing.",
        workers.ages(),
        "worker",
    )
    yield GaugeMetricFamily(
        "callytics_leases_lapsed",
        "Stages and jobs whose worker is silent, and that the sweeper has not taken back yet.",
        StageStats(session).lapsed() + Jobs(session).count_lapsed(),
    )
    yield from _models(workers.fresh())


def _models(workers: Sequence[WorkerHeartbeat]) -> Iterator[Metric]:
    said = [(one.worker, name, model) for one in workers for name, model in one.models.items()]
    states = Counter((name, model.get("status")) for _, name, model in said)
    models = GaugeMetricFamily(
        "callytics_models",
        "Living workers by how far they are with a model.",
        labels=["model", "status"],
    )
    for name in sorted({name for name, _ in states}):
        for status in MODEL_STATES:
            models.add_metric([name, status], states[name, status])
    yield models
    loads = GaugeMetricFamily(
        "callytics_model_load_seconds",
        "Seconds that a living worker took to load a model and warm it up.",
        labels=["worker", "model"],
    )
    for worker, name, model in said:
        if model.get("load_seconds") is not None:
            loads.add_metric([worker, name], model["load_seconds"])
    yield loads


def _batches(session: Session) -> Iterator[Metric]:
    batches = Batches(session)
    standing = batches.standing()
    yield GaugeMetricFamily(
        "mlm_batch_size",
        "Consultations in the batch that was closed last; 0 before the first.",
        batches.latest_size(),
    )
    yield GaugeMetricFamily(
        "callytics_batches_open", "Batches that take consultations.", standing.open
    )
    yield GaugeMetricFamily(
        "callytics_batch_overdue_seconds",
        "Since when an open batch should have been closed; 0: none should.",
        standing.overdue_s,
    )
    yield GaugeMetricFamily(
        "callytics_batch_running_oldest_seconds",
        "Since when the batch runs that does so longest; 0: none runs.",
        standing.running_s,
    )


def _callbacks(session: Session) -> Iterator[Metric]:
    standing = Deliveries(session).standing()
    yield gauge(
        "callytics_deliveries",
        "Callbacks that are neither delivered nor given up (pending), and those given up (dead).",
        {"pending": standing.pending, "dead": standing.dead},
        "status",
    )
    yield GaugeMetricFamily(
        "callytics_delivery_oldest_seconds",
        "Age of the oldest callback that is pending; 0: there is none.",
        standing.oldest_s,
    )
    yield gauge(
        "callytics_endpoints",
        "Callback addresses that are tried (ok), left alone for a while (paused), switched off "
        "(disabled).",
        Endpoints(session).standing(),
        "state",
    )


def _summed(measure: Measure, observed: Sequence[Observed]) -> Metric:
    by_labels = {
        labels: list(group)
        for labels, group in groupby(observed, key=lambda one: tuple(one.labels))
    }
    if not measure.labels:
        by_labels.setdefault((), [])  # it is there before its first event, at 0
    for known in measure.known:
        by_labels.setdefault((known,), [])
    if not measure.bounds:
        counter = CounterMetricFamily(measure.name, measure.about, labels=list(measure.labels))
        for labels, group in by_labels.items():
            counter.add_metric(list(labels), sum(one.total for one in group))
        return counter
    histogram = HistogramMetricFamily(measure.name, measure.about, labels=list(measure.labels))
    for labels, group in by_labels.items():
        histogram.add_metric(
            list(labels), _buckets(measure, group), sum(one.total for one in group)
        )
    return histogram


def _buckets(measure: Measure, observed: Sequence[Observed]) -> list[tuple[str, float]]:
    """Bounds, and what was observed up to each; those of an earlier version's rows are kept."""
    counts = dict.fromkeys([*measure.bounds, inf], 0) | {
        one.le: one.observations for one in observed
    }
    bounds = sorted(counts)
    reached = accumulate(counts[bound] for bound in bounds)
    names = [str(floatToGoString(bound)) for bound in bounds]  # type: ignore[no-untyped-call]
    return list(zip(names, reached, strict=True))
