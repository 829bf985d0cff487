"""Whether the pipeline could take a call now, judged from rows alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from callytics.db.heartbeats import Heartbeats
from callytics.db.models import WorkerHeartbeat
from callytics.db.stage_stats import OpenStages, StageStats
from callytics.domain.stages import PIPELINE, SPECS, Queue, Stage, StageStatus
from callytics.settings import ModelsSettings

SERVING = frozenset({"ready", "failed"})
"""States in which a worker takes messages; a failed one does so on the queues whose models loaded."""

MODEL_STAGES = tuple(stage for stage in Stage if stage.value in ModelsSettings.model_fields)

MISSING: Mapping[str, Any] = {"status": "missing"}
"""No living worker has the model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueHealth:
    """`ready` counts the living workers that take messages from this queue."""

    workers: int
    ready: int
    queued: int
    running: int
    oldest_queued_s: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """`models`: of each stage that has one, status, model, revision, device and load_seconds."""

    queues: Mapping[Queue, QueueHealth]
    models: Mapping[Stage, Mapping[str, Any]]

    @property
    def ready(self) -> bool:
        return all(queue.ready for queue in self.queues.values())

    @property
    def missing(self) -> Sequence[Queue]:
        """Queues that nobody takes messages from."""
        return [name for name, queue in self.queues.items() if not queue.ready]

    def reason(self) -> str:
        """What a person needs to know who has to wait."""
        parts = []
        for name in self.missing:
            stages = [spec.stage for spec in PIPELINE if spec.queue is name]
            states = [self.models[stage]["status"] for stage in stages if stage in self.models]
            parts.append(f"{name}: {next(iter(states), 'missing')}")
        return f"The models are not ready ({', '.join(parts)})."


def readiness(session: Session) -> Readiness:
    workers = Heartbeats(session).fresh()
    open_stages = StageStats(session).open()
    queues = dict.fromkeys(spec.queue for spec in PIPELINE)
    return Readiness(
        queues={queue: _queue_health(queue, workers, open_stages) for queue in queues},
        models={stage: _model_state(stage, workers) for stage in MODEL_STAGES},
    )


def _queue_health(
    queue: Queue, workers: Sequence[WorkerHeartbeat], open_stages: Sequence[OpenStages]
) -> QueueHealth:
    serving = [worker for worker in workers if queue.value in worker.queues]
    here = [entry for entry in open_stages if SPECS[entry.stage].queue is queue]
    queued = [entry for entry in here if entry.status is StageStatus.QUEUED]
    return QueueHealth(
        workers=len(serving),
        ready=sum(_takes_messages(worker, queue) for worker in serving),
        queued=sum(entry.count for entry in queued),
        running=sum(entry.count for entry in here if entry.status is StageStatus.RUNNING),
        oldest_queued_s=max((entry.oldest_s for entry in queued), default=None),
    )


def _takes_messages(worker: WorkerHeartbeat, queue: Queue) -> bool:
    stages = (spec.stage.value for spec in PIPELINE if spec.queue is queue)
    said = (worker.models[stage] for stage in stages if stage in worker.models)
    return worker.state in SERVING and all(model.get("status") == "ready" for model in said)


def _model_state(stage: Stage, workers: Sequence[WorkerHeartbeat]) -> Mapping[str, Any]:
    """What the worker says that is furthest with this model."""
    said = [worker.models[stage.value] for worker in workers if stage.value in worker.models]
    return min(said, key=lambda model: model["status"] != "ready", default=MISSING)
