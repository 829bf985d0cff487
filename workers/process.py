"""The process that runs stages: it loads the models, then serves. The pool's child imports this."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, cast
from uuid import UUID

from celery import signals

from callytics import tracing
from callytics.db.engine import make_engine, make_sessions
from callytics.domain.jobs import JOBS, JobKind, kinds_of
from callytics.domain.routes import Lane
from callytics.domain.stages import Queue, Stage
from callytics.logs import configure
from callytics.ports import ChatModel, Model, SentimentModel
from callytics.queueing.app import make_celery
from callytics.queueing.dispatch import make_classify, make_send
from callytics.services.job_work import JobWork
from callytics.services.stage import StageContext, StageWork
from callytics.settings import get_settings
from tasks.context import set_current
from workers.factory import WorkFactory, models_of, stages_of
from workers.heartbeat import Heartbeat
from workers.pinning import limit_gpu_memory, memory_fraction
from workers.preload import Preloader

QUEUES_VARIABLE = "CALLYTICS_WORKER_QUEUES"
"""How the main process tells its child, a fresh interpreter, what it serves."""


def served_lanes() -> Sequence[Lane]:
    return [Lane.parse(name) for name in os.environ[QUEUES_VARIABLE].split(",")]


class Serving:
    """One process's models, works and heartbeat."""

    def __init__(self, worker: str, factory: WorkFactory, *, exclusive: bool) -> None:
        """Returns when every model is warm or has failed once; a failed one is tried again behind."""
        lanes = served_lanes()
        settings = get_settings().serving(lanes)
        queues = [lane.queue for lane in lanes]
        if (share := memory_fraction(queues, settings)) is not None:
            limit_gpu_memory(share)
        self._factory = factory
        self._stages, self._kinds = stages_of(queues), kinds_of(queues)
        self._works: dict[Stage, StageWork] = {}
        self._jobs: dict[JobKind, JobWork] = {}
        self._models: dict[str, Model] = {}
        self._read_ahead: Callable[[UUID], None] | None = None
        self._classifier: Callable[[], None] | None = None
        self._worker = worker
        self._variants = {lane.queue: lane.variant for lane in lanes}
        self._celery = make_celery(settings)
        self._sessions = sessions = make_sessions(
            make_engine(settings, application=worker, ping=False), get_settings().models.routes
        )
        names = [name for name in models_of(queues) if factory.needs_model(name)]
        self._preloader = Preloader(
            {name: partial(factory.load, name, sessions) for name in names},
            on_ready=self._add_works,
        )
        device = os.environ.get("CUDA_VISIBLE_DEVICES") or "cpu"
        self._heartbeat = Heartbeat(sessions, worker, [*map(str, lanes)], device, self._say)
        self._heartbeat.start()
        for stage in self._stages:
            if not factory.needs_model(stage):
                self._works[stage] = factory.make(stage, None)
        self._add_jobs()
        set_current(
            StageContext(
                sessions=sessions,
                works=self._works,
                store=factory.store,
                send=make_send(self._celery),
                worker=worker,
                exclusive=exclusive,
                settings=settings.pipeline,
                variants=self._variants,
                jobs=self._jobs,
                read_ahead=self._read,
                classify=self._classify,
            )
        )
        self._preloader.start()
        self._preloader.wait_until_settled()

    def stop(self) -> None:
        self._heartbeat.stop()

    def _add_works(self, name: str, model: Model) -> None:
        """What the model `name` is for."""
        for stage in self._stages:
            if stage == name:
                self._works[stage] = self._factory.make(stage, model)
        self._models[name] = model
        self._add_jobs()
        if JobKind.QUICK_SUMMARY in self._kinds and name in JOBS[JobKind.QUICK_SUMMARY].models:
            self._read_ahead = self._factory.make_reader(self._sessions, cast("ChatModel", model))
        if name == Stage.SENTIMENT:
            self._classifier = self._factory.make_classifier(
                self._sessions,
                cast("SentimentModel", model),
                worker=self._worker,
                variant=self._variants[Queue.SENTIMENT],
                again=make_classify(self._celery),
            )

    def _add_jobs(self) -> None:
        """The kinds whose needed models are there; models load side by side, so the last one adds them."""
        for kind in self._kinds:
            needed = {name for name in JOBS[kind].needed if self._factory.needs_model(name)}
            if kind not in self._jobs and self._models.keys() >= needed:
                self._jobs[kind] = self._factory.make_job(kind, self._models)

    def _read(self, conversation_id: UUID) -> None:
        if self._read_ahead is not None:
            self._read_ahead(conversation_id)

    def _classify(self) -> None:
        if self._classifier is not None:
            self._classifier()

    def _say(self) -> tuple[str, Mapping[str, Any]]:
        said = {name: asdict(state) for name, state in self._preloader.states.items()}
        for name, model in self._models.copy().items():  # which other threads add to
            said[name]["details"] = model.info.details
        return self._preloader.state, said


def serve_in_children(make_factory: type[WorkFactory]) -> None:
    """Have every pool child of this worker serve with the works of `make_factory`."""
    serving: list[Serving] = []

    @signals.worker_process_init.connect(weak=False)  # type: ignore[untyped-decorator]
    def start(sender: str, **_: Any) -> None:
        settings = get_settings().serving(served_lanes())
        configure(settings)
        tracing.configure(settings.tracing, "worker")
        serving.append(Serving(sender, make_factory(settings), exclusive=True))

    @signals.worker_process_shutdown.connect(weak=False)  # type: ignore[untyped-decorator]
    def stop(**_: Any) -> None:
        for one in serving:
            one.stop()
        tracing.close()
