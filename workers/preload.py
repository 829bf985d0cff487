"""Loads a worker's models side by side, warms them up, and says how far it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any

import structlog
from tenacity import RetryCallState, Retrying, wait_exponential_jitter

from callytics.errors import CallyticsError
from callytics.ports import Model

log = structlog.get_logger(__name__)

LOADING, WARMING, READY, FAILED = "loading", "warming", "ready", "failed"
SERVING_STATES = frozenset({READY, FAILED})
"""Every model has been tried, and those that loaded serve."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelState:
    """What a heartbeat says of one model."""

    status: str = LOADING
    model: str | None = None
    revision: str | None = None
    device: str | None = None
    fingerprint: str | None = None
    details: Mapping[str, Any] | None = None
    load_seconds: float | None = None
    attempts: int = 0
    problem: Mapping[str, Any] | None = None


class Preloader:
    """The models of one worker process.

    A model that does not load is tried again for ever, with growing waits, in its own thread: its
    neighbours serve meanwhile.
    """

    def __init__(
        self,
        loaders: Mapping[str, Callable[[], Model]],
        on_ready: Callable[[str, Model], None],
    ) -> None:
        self._loaders = loaders
        self._on_ready = on_ready
        self._states = dict.fromkeys(loaders, ModelState())
        self._lock = Lock()
        self._settled = {name: Event() for name in loaders}

    def start(self) -> None:
        for name in self._loaders:
            # Daemons: a model that never loads does not keep a stopped worker alive.
            Thread(
                target=self._load_until_it_works, args=[name], name=f"load-{name}", daemon=True
            ).start()

    def wait_until_settled(self) -> None:
        """Until every model is ready or has failed once."""
        for event in self._settled.values():
            event.wait()

    @property
    def states(self) -> Mapping[str, ModelState]:
        with self._lock:
            return dict(self._states)

    @property
    def state(self) -> str:
        """Of the worker as a whole.

        `loading`, then `warming`, until every model has been tried; from then on the worker serves
        what it can: `ready` with all its models, `failed` with some.
        """
        found = {state.status for state in self.states.values()}
        if all(event.is_set() for event in self._settled.values()):
            return READY if found <= {READY} else FAILED
        return LOADING if LOADING in found else WARMING

    def _load_until_it_works(self, name: str) -> None:
        retrying = Retrying(
            wait=wait_exponential_jitter(multiplier=2, max=60),
            after=lambda attempt: self._note_failure(name, attempt),
        )
        try:
            retrying(self._load, name)
        finally:
            self._settled[name].set()

    def _load(self, name: str) -> None:
        started = monotonic()
        self._set(name, status=LOADING)
        model = self._loaders[name]()
        self._set(name, status=WARMING)
        model.warm_up()
        self._on_ready(name, model)
        self._set(
            name,
            status=READY,
            model=model.info.name,
            revision=model.info.revision,
            device=model.info.device,
            fingerprint=model.info.fingerprint,
            details=model.info.details,
            load_seconds=round(monotonic() - started, 2),
            problem=None,
        )
        log.info("model_ready", model=name, seconds=round(monotonic() - started, 2))

    def _note_failure(self, name: str, attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        if isinstance(error, CallyticsError):
            problem = error.as_problem()
        else:
            # No conversation is near while a model loads, so the library's words may be shown.
            problem = {"code": "model_unavailable", "detail": f"{type(error).__name__}: {error}"}
        self._set(name, status=FAILED, attempts=attempt.attempt_number, problem=problem)
        self._settled[name].set()
        log.error("model_failed", model=name, attempt=attempt.attempt_number, problem=problem)

    def _set(self, name: str, **changes: Any) -> None:
        with self._lock:
            self._states[name] = replace(self._states[name], **changes)


def all_ready(models: Mapping[str, Any], stages: Sequence[str]) -> bool:
    """Whether every model that `stages` need, of those a heartbeat names, is warm."""
    return all(models[stage]["status"] == READY for stage in stages if stage in models)
