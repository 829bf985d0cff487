"""Whether the pipeline could take a call now, judged from rows alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from callytics.db.heartbeats import Heartbeats
from callytics.db.jobs import Jobs, OpenJobs
from callytics.db.models import WorkerHeartbeat
from callytics.db.stage_stats import OpenStages, StageStats
from callytics.domain.jobs import JOBS, kinds_of
from callytics.domain.stages import PIPELINE, SPECS, Queue, Stage, StageStatus
from callytics.settings import ModelsSettings

SERVING = frozenset({"ready", "failed"})
"""States in which a worker takes messages; a failed one does so on the queues whose models loaded."""

FAST_QUEUES = tuple(dict.fromkeys(spec.queue for spec in PIPELINE))
"""What the analysis of a call goes through."""

QUEUES = tuple(dict.fromkeys([*FAST_QUEUES, *(spec.queue for spec in JOBS.values())]))
"""All queues whose work stands in rows."""

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
        """Whether a call that is submitted now finds every model that its analysis needs."""
        return not self.missing

    @property
    def missing(self) -> Sequence[Queue]:
        """Queues of the analysis of calls that nobody takes messages from."""
        return [name for name in FAST_QUEUES if not self.queues[name].ready]

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
    entries: list[tuple[Queue, OpenStages | OpenJobs]] = [
        *((SPECS[entry.stage].queue, entry) for entry in StageStats(session).open()),
        *((JOBS[entry.kind].queue, entry) for entry in Jobs(session).open()),
    ]
    return Readiness(
        queues={
            queue: _queue_health(queue, workers, [entry for at, entry in entries if at is queue])
            for queue in QUEUES
        },
        models={stage: _model_state(stage, workers) for stage in MODEL_STAGES},
    )


def _queue_health(
    queue: Queue, workers: Sequence[WorkerHeartbeat], here: Sequence[OpenStages | OpenJobs]
) -> QueueHealth:
    serving = [worker for worker in workers if queue.value in worker.queues]
    queued = [entry for entry in here if entry.status is StageStatus.QUEUED]
    return QueueHealth(
        workers=len(serving),
        ready=sum(_takes_messages(worker, queue) for worker in serving),
        queued=sum(entry.count for entry in queued),
        running=sum(entry.count for entry in here if entry.status is StageStatus.RUNNING),
        oldest_queued_s=max((entry.oldest_s for entry in queued), default=None),
    )


def _takes_messages(worker: WorkerHeartbeat, queue: Queue) -> bool:
    names = [spec.stage.value for spec in PIPELINE if spec.queue is queue]
    names += [name for kind in kinds_of([queue]) for name in JOBS[kind].models]
    said = (worker.models[name] for name in names if name in worker.models)
    return worker.state in SERVING and all(model.get("status") == "ready" for model in said)


def _model_state(stage: Stage, workers: Sequence[WorkerHeartbeat]) -> Mapping[str, Any]:
    """What the worker says that is furthest with this model."""
    said = [worker.models[stage.value] for worker in workers if stage.value in worker.models]
    return min(said, key=lambda model: model["status"] != "ready", default=MISSING)
