"""Follows a call without holding a thread: for event streams and for answers that wait for the end."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import structlog
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from api.watch import CallWatch
from callytics.db.calls import Calls
from callytics.db.engine import unit_of_work
from callytics.db.models import Call
from callytics.domain.job import FINISHED
from callytics.errors import CallNotFoundError

log = structlog.get_logger(__name__)


def look(sessions: sessionmaker[Session], client_id: UUID, call_id: UUID) -> Call:
    """The call and its stages as they are now."""
    with unit_of_work(sessions) as session:
        return Calls(session).progress(client_id, call_id)


async def follow(
    sessions: sessionmaker[Session], watch: CallWatch, client_id: UUID, call_id: UUID
) -> AsyncIterator[Call | None]:
    """The call each time that something may have changed, to its end; None last if it was deleted."""
    async with watch.watching(call_id) as watcher:
        while True:
            try:
                call = await run_in_threadpool(look, sessions, client_id, call_id)
            except CallNotFoundError:
                yield None
                return
            except OperationalError as error:
                # PostgreSQL restarts: who waits goes on waiting.
                log.warning("follow_interrupted", error=type(error).__name__)
            else:
                yield call
                if call.status in FINISHED:
                    return
            await watcher.wait()


async def until_finished(
    sessions: sessionmaker[Session],
    watch: CallWatch,
    client_id: UUID,
    call_id: UUID,
    timeout_s: float,
) -> bool:
    """Wait for the call's end; False if it has not come after `timeout_s`."""
    try:
        async with asyncio.timeout(timeout_s):
            async for call in follow(sessions, watch, client_id, call_id):
                if call is None:
                    raise CallNotFoundError("The call was deleted before its analysis was done.")
    except TimeoutError:
        return False
    return True
