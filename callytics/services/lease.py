"""What every claim needs while it computes: a lease that is kept alive, a database that may restart."""

import random
from collections.abc import Callable
from contextvars import copy_context
from datetime import timedelta
from threading import Event, Thread
from types import TracebackType
from typing import Self, TypeVar

import structlog
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from callytics.db.engine import unit_of_work
from callytics.errors import StageAbandonedError
from callytics.settings import PipelineSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Lease:
    """Keeps a claim alive while its work computes, and notices when it is lost."""

    TICK_S = 2.0

    def __init__(
        self,
        sessions: sessionmaker[Session],
        lease_s: float,
        renew: Callable[[Session, float | None], bool],
        *,
        name: str,
    ) -> None:
        """`renew` prolongs the claim and notes the share that is done; False if the claim is lost."""
        self._sessions = sessions
        self._lease_s = lease_s
        self._renew = renew
        self._share: float | None = None
        self._lost = Event()
        self._over = Event()
        # In the context of the attempt, which its lines name.
        self._thread = Thread(
            target=copy_context().run, args=[self._run], name=f"lease-{name}", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()

    def progress(self, share: float) -> None:
        """Note that `share` (0..1) is done; raises StageAbandonedError once the claim is lost."""
        self._share = share
        if self._lost.is_set():
            raise StageAbandonedError

    def _run(self) -> None:
        while not self._over.wait(min(self.TICK_S, self._lease_s / 3)):
            try:
                with unit_of_work(self._sessions, durable=False) as session:
                    held = self._renew(session, self._share)
            except SQLAlchemyError as error:
                # The model goes on: whether the claim still held is decided when it is recorded.
                log.warning("lease_not_renewed", error=type(error).__name__)
                continue
            if not held:
                self._lost.set()
                return


def retry_delay(attempt: int, settings: PipelineSettings) -> timedelta:
    """Wait before the attempt after `attempt`: doubling, capped, with full jitter on its upper half."""
    ceiling = min(settings.retry_max_s, settings.retry_base_s * 2 ** min(attempt - 1, 30))
    return timedelta(seconds=ceiling * random.uniform(0.5, 1.0))  # noqa: S311 (no secret)


def while_database_returns(action: Callable[[], T]) -> T:
    """Run `action`, again while PostgreSQL restarts or no connection is free: a result that took an hour is
    not thrown away.
    """
    for attempt in Retrying(
        retry=retry_if_exception_type((OperationalError, PoolTimeoutError)),
        stop=stop_after_delay(60),
        wait=wait_random_exponential(multiplier=0.1, max=3),
        reraise=True,
    ):
        with attempt:
            result = action()
    return result
