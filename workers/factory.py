"""What a worker process asks for: the works of its stages, and the models that they need."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from callytics.domain.jobs import JOBS, JobKind, kinds_of
from callytics.domain.stages import PIPELINE, Queue, Stage
from callytics.ports import AudioStore, ChatModel, Model, SentimentModel
from callytics.services.job_work import JobWork
from callytics.services.stage import StageWork
from callytics.settings import Settings


def stages_of(queues: Sequence[Queue]) -> tuple[Stage, ...]:
    return tuple(spec.stage for spec in PIPELINE if spec.queue in queues)


def models_of(queues: Sequence[Queue]) -> tuple[str, ...]:
    """What the models that workers of `queues` may need are called: a stage, or a field of the settings."""
    of_jobs = (name for kind in kinds_of(queues) for name in JOBS[kind].models)
    return tuple(dict.fromkeys([*stages_of(queues), *of_jobs]))


def needed_by(queues: Sequence[Queue]) -> tuple[str, ...]:
    """Those of them without which workers of `queues` take no messages."""
    of_jobs = (name for kind in kinds_of(queues) for name in JOBS[kind].needed)
    return tuple(dict.fromkeys([*stages_of(queues), *of_jobs]))


class WorkFactory(Protocol):
    """Makes the works of a worker process, and the models that they need."""

    def __init__(self, settings: Settings) -> None: ...

    @property
    def store(self) -> AudioStore: ...

    def needs_model(self, name: str) -> bool: ...

    def load(self, name: str, sessions: sessionmaker[Session]) -> Model: ...

    def make(self, stage: Stage, model: Model | None) -> StageWork: ...

    def make_job(self, kind: JobKind, models: Mapping[str, Model]) -> JobWork:
        """`models` has what this worker has loaded so far; what the kind can do without may come later."""

    def make_reader(
        self, sessions: sessionmaker[Session], model: ChatModel
    ) -> Callable[[UUID], None]:
        """What reads conversations that go on (services/quick_summary.py)."""

    def make_classifier(
        self,
        sessions: sessionmaker[Session],
        model: SentimentModel,
        *,
        worker: str,
        variant: str,
        again: Callable[[str], None],
    ) -> Callable[[], None]:
        """What judges the texts that wait (services/classifier.py)."""
