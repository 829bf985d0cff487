"""Wakes those who wait for a change: one listening connection a process, however many wait."""

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import psycopg
import structlog
from sqlalchemy import make_url

from callytics.db.changes import CHANGES

log = structlog.get_logger(__name__)

RECONNECT_S = 1.0
POLL_S = 2.0
"""Who waits looks again after so long even if nothing was heard."""


class Watcher:
    """Somebody who waits for the next change of one call, job or batch."""

    def __init__(self, poll_s: float) -> None:
        self._poll_s = poll_s
        self._changed = asyncio.Event()

    def wake(self) -> None:
        self._changed.set()

    async def wait(self, at_most_s: float = math.inf) -> None:
        """Until something has changed since the last wait, or it is time to look anyway."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), min(self._poll_s, at_most_s))
        self._changed.clear()


class ChangeWatch:
    def __init__(self, database_url: str, *, poll_s: float = POLL_S) -> None:
        self._poll_s = poll_s
        url = make_url(database_url).set(drivername="postgresql")
        self._conninfo = url.render_as_string(hide_password=False)
        self._watchers: defaultdict[UUID, set[Watcher]] = defaultdict(set)

    @asynccontextmanager
    async def watching(self, about: UUID) -> AsyncIterator[Watcher]:
        watcher = Watcher(self._poll_s)
        self._watchers[about].add(watcher)
        try:
            yield watcher
        finally:
            self._watchers[about].discard(watcher)
            if not self._watchers[about]:
                del self._watchers[about]

    @property
    def watchers(self) -> int:
        """How many wait."""
        return sum(map(len, self._watchers.values()))

    async def run(self) -> None:
        """Listen until cancelled; a lost connection is made anew."""
        while True:
            try:
                await self._listen()
            except psycopg.Error as error:
                log.warning("not_listening", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo,
            autocommit=True,
            application_name="callytics-watch",
            connect_timeout=5,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
        )
        async with connection:
            await connection.execute(f"LISTEN {CHANGES}")
            self._wake_all()  # what happened while nobody listened
            async for notice in connection.notifies():
                for watcher in self._watchers.get(UUID(notice.payload), ()):
                    watcher.wake()

    def _wake_all(self) -> None:
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.wake()
