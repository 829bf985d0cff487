"""How the queues are doing, for who looks after them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from callytics.db.jobs import Jobs
from callytics.db.stage_stats import StageStats
from callytics.domain.jobs import JOBS
from callytics.domain.routes import Lane
from callytics.domain.stages import SPECS
from callytics.services.health import QueueHealth, readiness

MEASURED_OVER = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueState:
    health: QueueHealth
    done_per_minute: float
    """Stages and jobs that were done lately."""


def queue_states(session: Session) -> Mapping[str, QueueState]:
    """By lane."""
    done: Counter[str] = Counter()
    for (stage, variant), count in StageStats(session).done_within(MEASURED_OVER).items():
        done[str(Lane(SPECS[stage].queue, variant))] += count
    for (kind, variant), count in Jobs(session).done_within(MEASURED_OVER).items():
        done[str(Lane(JOBS[kind].queue, variant))] += count
    minutes = MEASURED_OVER / timedelta(minutes=1)
    return {
        lane: QueueState(health=health, done_per_minute=done[lane] / minutes)
        for lane, health in readiness(session).queues.items()
    }
