"""The main process of a worker: it takes messages only for stages whose models are warm."""

import os
import socket
from collections.abc import Sequence
from threading import Thread
from time import sleep
from typing import Any

import structlog
from celery import Celery, bootsteps, signals
from celery.worker.consumer import Consumer
from celery.worker.consumer.tasks import Tasks
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from callytics import tracing
from callytics.db import schema_version
from callytics.db.engine import make_engine, make_sessions, unit_of_work
from callytics.db.heartbeats import Heartbeats
from callytics.domain.routes import Lane
from callytics.domain.stages import Queue
from callytics.logs import configure
from callytics.queueing.app import make_celery
from callytics.queueing.dispatch import make_send
from callytics.services.upkeep import hand_back
from callytics.settings import Settings, get_settings
from tasks import TASK_MODULES
from workers.factory import WorkFactory, needed_by
from workers.preload import SERVING_STATES, all_ready
from workers.process import QUEUES_VARIABLE, Serving, served_lanes

log = structlog.get_logger(__name__)

LIGHT = frozenset({Queue.CONTROL, Queue.SLM, Queue.MLM, Queue.CALLBACK, Queue.DIAGNOSIS})
"""Queues whose work is waiting for a server: threads of the main process serve them."""

SCHEMA_EVERY_S = 2.0
"""How often a worker whose database is away, or older than itself, looks whether that has changed."""


def run(lanes: Sequence[Lane], *, factory: type[WorkFactory], child: str) -> int:
    """Serve `lanes` until told to stop; the exit status.

    `factory` says how stages are run; `child` is the module that says so to a pool's child, which is a
    fresh interpreter.
    """
    settings = get_settings().serving(lanes)
    configure(settings)
    tracing.configure(settings.tracing, "worker")
    wait_for_schema(settings)
    queues, names = [lane.queue for lane in lanes], [str(lane) for lane in lanes]
    os.environ[QUEUES_VARIABLE] = ",".join(names)
    app = make_celery(settings)
    app.conf.imports = (*TASK_MODULES, child)
    app.amqp.queues.select(names)
    name = f"{'+'.join(names)}-{os.getpid()}@{socket.gethostname()}"
    threaded = LIGHT.issuperset(queues)
    app.loader.import_default_modules()
    serving = Serving(name, factory(settings), exclusive=False) if threaded else None
    _give_back_when_stopped_in_mid_stage(app, settings, name)
    app.steps["consumer"].add(Gate)
    worker = app.Worker(
        hostname=name,
        pool="threads" if threaded else "prefork",
        concurrency=sum(settings.worker(queue).concurrency for queue in queues) if threaded else 1,
        max_tasks_per_child=None if threaded else _recycle_after(queues, settings),
        loglevel=settings.log_level,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    # Else each child writes a line in Celery's own form before it is told how we log.
    os.environ.pop("_MP_FORK_LOGLEVEL_", None)
    worker.start()
    if serving:
        serving.stop()
    tracing.close()
    return int(worker.exitcode or 0)


def wait_for_schema(settings: Settings) -> None:
    """Return once the database is at this program's version or a newer one: an upgrade that starts workers
    before `callytics db upgrade` has run waits for it. One that is away may turn out to be older.
    """
    engine = make_engine(settings, application="callytics-worker")
    sessions = make_sessions(engine)
    try:
        while (lack := _lack(sessions)) is not None:
            log.warning("waiting_for_schema", detail=lack)
            sleep(SCHEMA_EVERY_S)
    finally:
        engine.dispose()


def _lack(sessions: sessionmaker[Session]) -> str | None:
    try:
        with unit_of_work(sessions) as session:
            return schema_version.lack(session)
    except SQLAlchemyError as error:
        return f"The database does not answer ({type(error).__name__})."


def _recycle_after(queues: Sequence[Queue], settings: Settings) -> int | None:
    limits = [settings.worker(queue).recycle_after for queue in queues]
    return min((limit for limit in limits if limit), default=None)


def _give_back_when_stopped_in_mid_stage(app: Celery, settings: Settings, worker: str) -> None:
    """On SIGTERM Celery lets the stage in hand finish; one that takes too long is handed back.

    (Celery's own soft shutdown always sleeps its whole timeout, also when the work ends at once.)
    """

    def give_back() -> None:
        sleep(settings.pipeline.stop_grace_s)
        engine = make_engine(settings, application=f"callytics-{worker}")
        sessions = make_sessions(engine, get_settings().models.routes)
        make_send(app)(hand_back(sessions, worker))
        os._exit(0)  # the child dies with its parent

    @signals.worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def start_clock(**_: Any) -> None:
        Thread(target=give_back, name="give-back", daemon=True).start()


class Gate(bootsteps.StartStopStep):  # type: ignore[misc]  # celery is untyped
    """Consumes a queue only while the models that its work needs are warm.

    The process that runs the stages writes its state to the heartbeat row; this one reads it there,
    as everybody does. A child that was replaced (recycled, killed) starts again from nothing, so its
    queues are left until it is ready: their messages go to other workers meanwhile.
    """

    requires = (Tasks,)
    LOOK_EVERY_S = 0.25

    def __init__(self, consumer: Consumer, **options: Any) -> None:
        super().__init__(consumer, **options)
        settings = get_settings()
        self._lanes = served_lanes()
        self._sessions = make_sessions(make_engine(settings, application="callytics-gate"))
        self._worker: str = consumer.hostname

    def start(self, consumer: Consumer) -> None:
        """Called again after each loss of the broker, with a consumer that knows nothing of us."""
        self._open: set[Lane] = set()
        self._warm_pid: int | None = None
        for lane in self._lanes:
            consumer.cancel_task_queue(str(lane))
        self._look(consumer)
        self._timer = consumer.timer.call_repeatedly(self.LOOK_EVERY_S, self._look, (consumer,))

    def stop(self, consumer: Consumer) -> None:  # noqa: ARG002 (celery passes it)
        self._timer.cancel()

    def _look(self, consumer: Consumer) -> None:
        if self._warm_pid is not None and self._warm_pid in _pids(consumer):
            return
        found = _ready_lanes(self._sessions, self._worker, self._lanes, _pids(consumer))
        if found is None:
            return
        pid, ready = found
        for lane in self._open - ready:
            consumer.cancel_task_queue(str(lane))
        for lane in ready - self._open:
            consumer.add_task_queue(str(lane))
        self._open = ready
        self._warm_pid = pid if ready == set(self._lanes) else None


def _pids(consumer: Consumer) -> set[int]:
    """The processes that run this worker's stages."""
    pool = getattr(consumer.pool, "_pool", None)
    children = getattr(pool, "_pool", None)
    return {child.pid for child in children} if children is not None else {os.getpid()}


def _ready_lanes(
    sessions: sessionmaker[Session], worker: str, lanes: Sequence[Lane], pids: set[int]
) -> tuple[int, set[Lane]] | None:
    """The process that serves and the lanes it can serve now; None while the database is away."""
    try:
        with unit_of_work(sessions) as session:
            row = Heartbeats(session).get(worker)
    except SQLAlchemyError as error:
        log.warning("gate_cannot_look", error=type(error).__name__)
        return None
    if row is None or row.pid not in pids or row.state not in SERVING_STATES:
        return 0, set()
    return row.pid, {lane for lane in lanes if all_ready(row.models, needed_by([lane.queue]))}
