"""How the queues are doing, for who looks after them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from callytics.db.jobs import Jobs
from callytics.db.stage_stats import StageStats
from callytics.domain.jobs import JOBS
from callytics.domain.stages import SPECS, Queue
from callytics.services.health import QueueHealth, readiness

MEASURED_OVER = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueState:
    health: QueueHealth
    done_per_minute: float
    """Stages and jobs that were done lately."""


def queue_states(session: Session) -> Mapping[Queue, QueueState]:
    done: Counter[Queue] = Counter()
    for stage, count in StageStats(session).done_within(MEASURED_OVER).items():
        done[SPECS[stage].queue] += count
    for kind, count in Jobs(session).done_within(MEASURED_OVER).items():
        done[JOBS[kind].queue] += count
    minutes = MEASURED_OVER / timedelta(minutes=1)
    return {
        queue: QueueState(health=health, done_per_minute=done[queue] / minutes)
        for queue, health in readiness(session).queues.items()
    }
