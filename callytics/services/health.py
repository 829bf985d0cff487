"""Whether the pipeline could take a call now, judged from rows alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from callytics.db.heartbeats import Heartbeats
from callytics.db.jobs import Jobs, OpenJobs
from callytics.db.models import WorkerHeartbeat
from callytics.db.routes import book_of
from callytics.db.stage_stats import OpenStages, StageStats
from callytics.domain.jobs import JOBS, kinds_of
from callytics.domain.routes import ALONE, Lane, Route
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


IDLE = QueueHealth(workers=0, ready=0, queued=0, running=0, oldest_queued_s=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """`queues` by lane: each queue by its name, and those of other variants that have work or workers.

    `models`: of each stage that has one, status, model, revision, device and load_seconds.
    """

    queues: Mapping[str, QueueHealth]
    models: Mapping[Stage, Mapping[str, Any]]
    routes: Mapping[Queue, Route]

    @property
    def ready(self) -> bool:
        """Whether a call that is submitted now finds every model that its analysis needs."""
        return not self.missing

    @property
    def missing(self) -> Sequence[Lane]:
        """Lanes that the analysis of calls goes through, and that nobody takes messages from."""
        return [lane for lane in _fast_lanes(self.routes) if not self.queues[str(lane)].ready]

    def reason(self) -> str:
        """What a person needs to know who has to wait."""
        parts = []
        for lane in self.missing:
            stages = [spec.stage for spec in PIPELINE if spec.queue is lane.queue]
            states = [self.models[stage]["status"] for stage in stages if stage in self.models]
            parts.append(f"{lane}: {next(iter(states), 'missing')}")
        return f"The models are not ready ({', '.join(parts)})."


def readiness(session: Session) -> Readiness:
    workers = Heartbeats(session).fresh()
    routes = book_of(session).now(session)
    entries: list[tuple[str, OpenStages | OpenJobs]] = [
        *(
            (str(Lane(SPECS[one.stage].queue, one.variant)), one)
            for one in StageStats(session).open()
        ),
        *((str(Lane(JOBS[one.kind].queue, one.variant)), one) for one in Jobs(session).open()),
    ]
    lanes = [
        *QUEUES,
        *map(str, _fast_lanes(routes)),
        *(lane for lane, _ in entries),
        *(lane for worker in workers for lane in worker.queues if _queue_of(lane) in QUEUES),
    ]
    return Readiness(
        queues={
            lane: _queue_health(lane, workers, [entry for at, entry in entries if at == lane])
            for lane in dict.fromkeys(map(str, lanes))
        },
        models={stage: _model_state(stage, workers, routes) for stage in MODEL_STAGES},
        routes=routes,
    )


def _fast_lanes(routes: Mapping[Queue, Route]) -> Sequence[Lane]:
    return [
        Lane(queue, variant)
        for queue in FAST_QUEUES
        for variant in routes.get(queue, ALONE).variants
    ]


def _queue_of(lane: str) -> str:
    return lane.partition(".")[0]


def _queue_health(
    lane: str, workers: Sequence[WorkerHeartbeat], here: Sequence[OpenStages | OpenJobs]
) -> QueueHealth:
    serving = [worker for worker in workers if lane in worker.queues]
    queued = [entry for entry in here if entry.status is StageStatus.QUEUED]
    return QueueHealth(
        workers=len(serving),
        ready=sum(_takes_messages(worker, _queue_of(lane)) for worker in serving),
        queued=sum(entry.count for entry in queued),
        running=sum(entry.count for entry in here if entry.status is StageStatus.RUNNING),
        oldest_queued_s=max((entry.oldest_s for entry in queued), default=None),
    )


def _takes_messages(worker: WorkerHeartbeat, queue: str) -> bool:
    names = [spec.stage.value for spec in PIPELINE if spec.queue == queue]
    names += [name for kind in kinds_of([Queue(queue)]) for name in JOBS[kind].needed]
    said = (worker.models[name] for name in names if name in worker.models)
    return worker.state in SERVING and all(model.get("status") == "ready" for model in said)


def _model_state(
    stage: Stage, workers: Sequence[WorkerHeartbeat], routes: Mapping[Queue, Route]
) -> Mapping[str, Any]:
    """What the worker says that is furthest with this model, of those whose variant has weight."""
    queue = SPECS[stage].queue
    lanes = {str(Lane(queue, name)) for name in routes.get(queue, ALONE).variants}
    said = [
        worker.models[stage.value]
        for worker in workers
        if stage.value in worker.models and lanes.intersection(worker.queues)
    ]
    return min(said, key=lambda model: model["status"] != "ready", default=MISSING)
