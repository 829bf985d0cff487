"""What Prometheus is shown: this process's requests, and the pipeline's state from its rows."""

from datetime import datetime, timedelta
from threading import Lock
from time import monotonic

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from api.provider_metrics import ProviderMetrics
from callytics.db.batches import Batches
from callytics.db.diagnoses import Diagnoses
from callytics.db.engine import unit_of_work
from callytics.db.heartbeats import Heartbeats
from callytics.db.quick_summaries import QuickSummaries
from callytics.db.stage_stats import StageStats
from callytics.domain.stages import StageStatus
from callytics.services.health import readiness
from callytics.services.sentiment import Inquiry

log = structlog.get_logger(__name__)

SECONDS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600, 1800)

COMMIT_DELAY = timedelta(seconds=2)
"""An attempt is counted so long after its end: by then its transaction is through."""

NO_FAILURES = frozenset({"done", "abandoned", "handed_back"})


class Metrics:
    """One registry an application, so that several may live in one process.

    The pipeline's attempts are counted from the moment that this process started, whichever worker
    made them: over several API processes take the maximum, not the sum.
    """

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions
        self._lock = Lock()
        self._started = monotonic()
        self._counted_until: datetime | None = None
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
        self._slm_seconds = Histogram(
            "slm_response_time",
            "Seconds from the arrival of a quick-summary request to its answer, late ones included.",
            buckets=SECONDS,
            registry=registry,
        )
        self._stage_seconds = Histogram(
            "callytics_stage_seconds",
            "Seconds that a successful attempt at a stage took, by the variant of its model.",
            ["stage", "variant"],
            buckets=SECONDS,
            registry=registry,
        )
        self._stage_failures = Counter(
            "callytics_stage_failures",
            "Attempts at a stage that ended with a problem.",
            ["stage", "variant", "code"],
            registry=registry,
        )
        self._queue_length = Gauge(
            "queue_length", "Stages that wait for a worker.", ["queue"], registry=registry
        )
        self._queue_running = Gauge(
            "callytics_queue_running", "Stages that a worker runs.", ["queue"], registry=registry
        )
        self._queue_oldest = Gauge(
            "callytics_queue_oldest_seconds",
            "How long the stage that waits longest does so.",
            ["queue"],
            registry=registry,
        )
        self._queue_workers = Gauge(
            "callytics_queue_workers_ready",
            "Living workers that take messages from the queue.",
            ["queue"],
            registry=registry,
        )
        self._heartbeat_age = Gauge(
            "callytics_heartbeat_age_seconds",
            "Since when a worker has said nothing.",
            ["worker"],
            registry=registry,
        )
        self._database_up = Gauge(
            "callytics_database_up", "Whether the database answers.", registry=registry
        )
        self._slm_late = Counter(
            "callytics_quick_summaries_late",
            "Quick summaries that were not made within the budget.",
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
        self._diagnoses = Counter(
            "callytics_diagnoses",
            "Diagnoses by what they rest on (text, image) and outcome: done, or the problem's code.",
            ["kind", "outcome"],
            registry=registry,
        )
        self._diagnosis_seconds = Histogram(
            "callytics_diagnosis_seconds",
            "Seconds from the arrival of a complaint to its diagnosis.",
            ["kind"],
            buckets=SECONDS,
            registry=registry,
        )
        self._batch_size = Gauge(
            "mlm_batch_size",
            "Consultations in the batch that was closed last; 0 before the first.",
            registry=registry,
        )

        self._providers = ProviderMetrics()
        registry.register(self._providers)

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

    def render(self) -> bytes:
        """The text format, with the rows as they are now."""
        with self._lock:
            try:
                with unit_of_work(self._sessions) as session:
                    self._read_state(session)
                    self._count_attempts(session)
                self._database_up.set(1)
            except SQLAlchemyError as error:
                log.warning("metrics_without_rows", error=type(error).__name__)
                self._database_up.set(0)
        return generate_latest(self.registry)

    def _read_state(self, session: Session) -> None:
        for gauge in (
            self._queue_length,
            self._queue_running,
            self._queue_oldest,
            self._queue_workers,
        ):
            gauge.clear()  # the lane of a variant goes when nothing is left of it
        for lane, health in readiness(session).queues.items():
            self._queue_length.labels(lane).set(health.queued)
            self._queue_running.labels(lane).set(health.running)
            self._queue_oldest.labels(lane).set(health.oldest_queued_s or 0)
            self._queue_workers.labels(lane).set(health.ready)
        self._providers.read(session)
        self._batch_size.set(Batches(session).latest_size())
        self._heartbeat_age.clear()
        for worker, age_s in Heartbeats(session).ages().items():
            self._heartbeat_age.labels(worker).set(age_s)

    def _count_attempts(self, session: Session) -> None:
        stats = StageStats(session)
        until = stats.now() - COMMIT_DELAY
        lived = timedelta(seconds=monotonic() - self._started)
        since = self._counted_until or until - lived
        for attempt in stats.ended(since, until):
            labels = (attempt.stage.value, attempt.variant)
            if attempt.outcome not in NO_FAILURES:
                self._stage_failures.labels(*labels, attempt.outcome).inc()
            elif attempt.outcome == "done":
                self._stage_seconds.labels(*labels).observe(attempt.seconds)
        for answer in QuickSummaries(session).answered(since, until):
            self._slm_seconds.observe(answer.seconds)
            self._slm_late.inc(answer.late)
        for diagnosis in Diagnoses(session).ended(since, until):
            self._diagnoses.labels(diagnosis.kind.value, diagnosis.outcome).inc()
            if diagnosis.outcome == StageStatus.DONE:
                self._diagnosis_seconds.labels(diagnosis.kind.value).observe(diagnosis.seconds)
        self._counted_until = until
