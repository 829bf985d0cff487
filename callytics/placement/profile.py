"""What a stage costs, and what a worker takes: every figure with where it comes from."""

import json
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from callytics.domain.jobs import JOBS, JobKind
from callytics.domain.stages import SPECS, Queue, Stage
from callytics.errors import ProfileError
from callytics.placement import profiles

ANALYSIS: Final = JobKind.ANALYSIS
Work = Stage | Literal[JobKind.ANALYSIS]
"""What is simulated: the pipeline's stages, and the analysis of a call in a batch."""

SHIPPED = ("offline", "production")


def queue_of(work: Work) -> Queue:
    return SPECS[work].queue if isinstance(work, Stage) else JOBS[work].queue


class Kind(StrEnum):
    MEASURED = "measured"
    PUBLISHED = "published"
    COMPUTED = "computed"
    ASSUMED = "assumed"


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Figure(_Block):
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    kind: Kind
    source: Annotated[str, Field(min_length=1)]
    """Where it comes from, for a person."""


NO_LOSS = Figure(
    value=0,
    kind=Kind.ASSUMED,
    source="runs on one device are taken to slow each other by sharing it alone",
)


class Spread(_Block):
    """Seconds that runs took, by what the costs below foretell: the simulation draws from these."""

    ratios: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
    kind: Kind
    source: Annotated[str, Field(min_length=1)]

    @property
    def mean(self) -> float:
        return sum(self.ratios) / len(self.ratios)


class WorkProfile(_Block):
    """What one run takes while nothing else runs on its device."""

    fixed_s: Figure
    per_audio_s: Figure
    """Beside it, for each second of audio."""
    use: Figure
    """Of its device: cores, or the share of a GPU."""
    spread: Spread

    @model_validator(mode="after")
    def _uses_its_device(self) -> Self:
        if self.use.value == 0:
            raise ValueError("`use` is above 0: what uses nothing of its device would never end")
        return self

    def seconds(self, audio_s: float) -> float:
        return self.fixed_s.value + self.per_audio_s.value * audio_s

    def mean_s(self, audio_s: float) -> float:
        return self.seconds(audio_s) * self.spread.mean


class WorkerProfile(_Block):
    """A worker process, or the engine of a chat model, whose worker only waits."""

    device: Literal["cpu", "gpu"]
    at_once: Annotated[int, Field(ge=1)] = 1
    """Runs at the same time."""
    engine: str | None = None
    """The model that an engine of its own serves (vLLM)."""
    memory_mib: Figure
    """Of the machine."""
    gpu_memory_mib: Figure | None = None
    """All that the driver sees it hold, its CUDA context too; of an engine, the share that it is given."""
    load_s: Figure | None = None


class Profile(_Block):
    name: str
    about: str
    """What was measured, where and when."""
    cores: float | None = None
    """Of the machine that it was measured on."""
    hop_s: Figure
    """From the end of a stage to the start of the next where a worker is free."""
    idle_cores: Figure
    """What the processes take while there is nothing to do."""
    loss: Figure = NO_LOSS
    """Share of a device that does no work while several runs are on it, since they wait for each other's
    threads, memory and caches."""
    works: dict[Work, WorkProfile]
    workers: dict[str, WorkerProfile]
    """By the queues that the worker serves: `stt`, `punctuate,sentiment`."""

    @property
    def queues(self) -> dict[Queue, str]:
        """Which worker serves a queue."""
        return {Queue(name): worker for worker in self.workers for name in worker.split(",")}

    @model_validator(mode="after")
    def _everything_has_a_worker(self) -> Self:
        if self.loss.value >= 1:
            raise ValueError("`loss` is below 1: a device that loses all would never end anything")
        served = [name for worker in self.workers for name in worker.split(",")]
        if unknown := set(served) - set(Queue):
            raise ValueError(f"there is no queue {', '.join(sorted(unknown))}")
        if len(served) > len(set(served)):
            raise ValueError("a queue has two workers")
        if missing := set(Stage) - set(self.works):
            raise ValueError(f"nothing is said of {', '.join(sorted(missing))}")
        for work in self.works:
            if queue_of(work) not in self.queues:
                raise ValueError(f"no worker serves the queue {queue_of(work)} of {work}")
        for name, worker in self.workers.items():
            if worker.device == "gpu" and worker.gpu_memory_mib is None:
                raise ValueError(f"{name} has a GPU and no gpu_memory_mib")
        return self

    def works_of(self, worker: str) -> tuple[Work, ...]:
        return tuple(work for work in self.works if self.queues[queue_of(work)] == worker)

    def without_analysis(self) -> "Profile":
        """As it is, for calls that no batch waits for."""
        works = {work: cost for work, cost in self.works.items() if work != ANALYSIS}
        served = {self.queues[queue_of(work)] for work in works}
        workers = {name: worker for name, worker in self.workers.items() if name in served}
        return Profile(**{**dict(self), "works": works, "workers": workers})

    def kinds_of(self, worker: str) -> tuple[Kind, ...]:
        """Where the figures of a worker and its works come from, the firmest first."""
        said = self.workers[worker]
        figures: list[Figure | Spread | None] = [said.memory_mib, said.gpu_memory_mib]
        for work in self.works_of(worker):
            cost = self.works[work]
            figures += [cost.fixed_s, cost.per_audio_s, cost.use, cost.spread]
        found = {figure.kind for figure in figures if figure is not None}
        return tuple(kind for kind in Kind if kind in found)


def load(name: str) -> Profile:
    """A shipped profile by its name, or one in a file; raises ProfileError with what is wrong."""
    path = Path(name)
    try:
        if name in SHIPPED:
            text = files(profiles).joinpath(f"{name}.json").read_text("utf-8")
        else:
            text = path.read_text("utf-8")
        return Profile.model_validate(_filled_in(json.loads(text)))
    except OSError as error:
        raise ProfileError(
            f"There is no profile {name}: name {' or '.join(SHIPPED)}, or a file that "
            "`callytics bench stages --output FILE` wrote."
        ) from error
    except ValidationError as error:
        raise ProfileError(f"{name} is no profile: {_reasons(error)}.") from error
    except ValueError as error:
        raise ProfileError(f"{name} is no JSON.") from error


def _filled_in(document: Any, *place: str) -> Any:
    """With what stands at the same place of a shipped profile, wherever one is named instead of a block."""
    if isinstance(document, dict):
        return {key: _filled_in(value, *place, key) for key, value in document.items()}
    if document not in SHIPPED or place == ("name",):
        return document
    found = load(document).model_dump(mode="json")
    for key in place:
        if key not in found:
            raise ProfileError(f"The profile {document} has nothing at {'.'.join(place)}.")
        found = found[key]
    return found


def _reasons(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'as a whole'}: "
        + fault["msg"].removeprefix("Value error, ")
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    )
