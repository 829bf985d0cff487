"""What Prometheus is shown: what this API has answered, and what rows and broker say.

What is answered each process counts by itself. Where several answer on one port, they keep their counts in
files of one directory (`api/__main__.py` makes it), and whichever is asked adds them up.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from threading import Lock
from typing import Generic, TypeVar

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from api import row_metrics
from api.row_metrics import RowMetrics, gauge
from callytics.db.engine import unit_of_work
from callytics.db.measures import SECONDS
from callytics.domain.stages import Queue
from callytics.queueing.broker import Broker, Depths
from callytics.services.sentiment import Inquiry

log = structlog.get_logger(__name__)

T = TypeVar("T")

COUNTS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PATIENCE_S = 1.0
"""For rows: a scrape that takes longer would be given up, and nothing shown at all."""


class Metrics:
    """One registry an application, so that several may live in one process."""

    def __init__(self, sessions: sessionmaker[Session], broker: Broker) -> None:
        self._sessions = sessions
        self._broker = broker
        self._rows = Patient(self._read_rows)
        # When each began to count, which several processes cannot say.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "api_success_rate",
            "Requests by outcome: success (below 400), client_error, server_error.",
            ["outcome"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "callytics_request_seconds",
            "Seconds until the end of the answer.",
            ["method", "route", "status"],
            buckets=SECONDS,
            registry=registry,
        )
        self._texts = Counter(
            "callytics_sentiment_texts",
            "Texts judged, by what judged them: model, cache, word_lists.",
            ["source"],
            registry=registry,
        )
        self._texts_together = Histogram(
            "callytics_sentiment_batch_texts",
            "Texts that went to the model at once, as each part of a request met it.",
            buckets=(1, 2, 4, 8, 16, 24, 32, 64),
            registry=registry,
        )
        self._degradations = Counter(
            "callytics_sentiment_degraded",
            "Requests whose answer was less than it could be, by reason.",
            ["reason"],
            registry=registry,
        )
        self._cached = Counter(
            "callytics_cache_requests",
            "Requests that an earlier one's answer was given to (hit), or none was there for (miss).",
            ["cache", "outcome"],
            registry=registry,
        )

    def count_request(self, *, method: str, route: str, status: int, seconds: float) -> None:
        outcomes = {4: "client_error", 5: "server_error"}
        self._requests.labels(outcomes.get(status // 100, "success")).inc()
        self._request_seconds.labels(method, route, str(status)).observe(seconds)

    def count_texts(self, inquiry: Inquiry) -> None:
        for judged in inquiry.judged:
            self._texts.labels(judged.source.value).inc()
        for together in inquiry.together:
            self._texts_together.observe(together)
        for reason in inquiry.reasons:
            self._degradations.labels(reason.value).inc()

    def count_cached(self, cache: str, *, hit: bool) -> None:
        self._cached.labels(cache, "hit" if hit else "miss").inc()

    def render(self) -> bytes:
        """The text format. Where rows or broker do not answer in time, it says so and shows the rest."""
        rows = self._rows.get(PATIENCE_S)
        waiting = rows.waiting if rows else dict.fromkeys(Queue, 0)
        depths = self._broker.depths(waiting)
        read = [
            _up("callytics_database_up", "Whether the database answers.", rows),
            _up("callytics_broker_up", "Whether the broker answers.", depths),
            *(rows.families if rows else ()),
            *(_of_broker(depths) if depths else ()),
        ]
        if rows and depths:
            lost = {lane: queued - depths.messages[lane] for lane, queued in waiting.items()}
            read.append(
                gauge(
                    "callytics_queue_difference",
                    "Rows that wait less messages that wait: above 0 for long, messages are lost; below, "
                    "doubled.",
                    lost,
                    "queue",
                )
            )
        return generate_latest(self._counted()) + generate_latest(_Families(read))

    def _counted(self) -> CollectorRegistry:
        """By this process; with all others of this API, where there are some."""
        if COUNTS_VARIABLE not in os.environ:
            return self.registry
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        return everybody

    def _read_rows(self) -> RowMetrics | None:
        try:
            with unit_of_work(self._sessions) as session:
                return row_metrics.read(session)
        except SQLAlchemyError as error:
            log.warning("metrics_without_rows", error=type(error).__name__)
            return None

    def close(self) -> None:
        self._rows.close()
        self._broker.close()


class Patient(Generic[T]):
    """Reads something in a thread of its own, which is waited for no longer than one has time."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._lock = Lock()
        self._reading: Future[T] | None = None

    def get(self, patience_s: float) -> T | None:
        """What is read now, or by a reading that goes on already; None: not in time."""
        with self._lock:
            if self._reading is None or self._reading.done():
                self._reading = self._thread.submit(self._read)
            reading = self._reading
        try:
            return reading.result(patience_s)
        except FutureTimeoutError:
            return None

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class _Families(CollectorRegistry):
    """What was read for this answer alone."""

    def __init__(self, families: Sequence[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _up(name: str, about: str, found: object | None) -> Metric:
    return GaugeMetricFamily(name, about, int(found is not None))


def _of_broker(depths: Depths) -> list[Metric]:
    return [
        gauge(
            "callytics_broker_messages",
            "Messages that no worker has fetched.",
            depths.messages,
            "queue",
        ),
        GaugeMetricFamily(
            "callytics_broker_unacked", "Messages that workers hold.", depths.unacked
        ),
        GaugeMetricFamily(
            "callytics_broker_unacked_oldest_seconds",
            "Since when the message is held that is so longest; 0: none is.",
            depths.unacked_oldest_s,
        ),
    ]
