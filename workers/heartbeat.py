"""A thread that writes a worker's heartbeat row."""

import os
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.heartbeats import BEAT_EVERY_S, Heartbeats

log = structlog.get_logger(__name__)


class Heartbeat:
    """Writes what `say` returns every few seconds, and at once when it changed."""

    LOOK_EVERY_S = 0.25

    def __init__(
        self,
        sessions: sessionmaker[Session],
        worker: str,
        queues: Sequence[str],
        device: str,
        say: Callable[[], tuple[str, Mapping[str, Any]]],
    ) -> None:
        self._sessions = sessions
        self._worker = worker
        self._queues = queues
        self._device = device
        self._say = say
        self._over = Event()
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Say a last word, so that nobody waits for this worker."""
        self._over.set()
        self._thread.join(timeout=5)
        self._write("stopped", {})

    def _run(self) -> None:
        said, wait_s = None, 0.0
        while not self._over.wait(self.LOOK_EVERY_S):
            wait_s -= self.LOOK_EVERY_S
            now = self._say()
            if now != said or wait_s <= 0:
                self._write(*now)
                said, wait_s = now, BEAT_EVERY_S

    def _write(self, state: str, models: Mapping[str, Any]) -> None:
        try:
            with unit_of_work(self._sessions, durable=False) as session:
                Heartbeats(session).beat(
                    self._worker,
                    queues=self._queues,
                    state=state,
                    pid=os.getpid(),
                    device=self._device,
                    models=models,
                )
        except SQLAlchemyError as error:
            # The next beat tries again; until then this worker counts as not ready, rightly.
            log.warning("heartbeat_not_written", error=type(error).__name__)
