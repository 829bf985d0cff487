"""What a worker process asks for: the works of its stages, and the models that they need."""

from collections.abc import Sequence
from typing import Protocol

from callytics.domain.stages import PIPELINE, Queue, Stage
from callytics.ports import AudioStore, Model
from callytics.services.stage import StageWork
from callytics.settings import Settings


def stages_of(queues: Sequence[Queue]) -> tuple[Stage, ...]:
    return tuple(spec.stage for spec in PIPELINE if spec.queue in queues)


class WorkFactory(Protocol):
    """Makes the works of a worker process, and the models that they need."""

    def __init__(self, settings: Settings) -> None: ...

    @property
    def store(self) -> AudioStore: ...

    def needs_model(self, stage: Stage) -> bool: ...

    def load(self, stage: Stage) -> Model: ...

    def make(self, stage: Stage, model: Model | None) -> StageWork: ...
