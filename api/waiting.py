"""Follows a call without holding a thread: for event streams and for answers that wait for the end."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from uuid import UUID

import structlog
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from api.context import ApiContext
from api.errors import DATABASE_AWAY
from callytics.db.calls import Calls
from callytics.db.engine import unit_of_work
from callytics.db.models import Call
from callytics.domain.job import FINISHED, JobStatus
from callytics.errors import CallNotFoundError

log = structlog.get_logger(__name__)


def look(context: ApiContext, client_id: UUID, call_id: UUID) -> Call:
    """The call and its stages as they are now."""
    with unit_of_work(context.sessions) as session:
        return Calls(session).progress(client_id, call_id)


async def follow(
    context: ApiContext, client_id: UUID, call_id: UUID
) -> AsyncGenerator[Call | None]:
    """The call each time that something may have changed, to its end; None last if it was deleted."""
    async with context.watch.watching(call_id) as watcher:
        while True:
            try:
                call = await run_in_threadpool(look, context, client_id, call_id)
            except CallNotFoundError:
                yield None
                return
            except DATABASE_AWAY as error:
                # PostgreSQL restarts: who waits goes on waiting.
                log.warning("follow_interrupted", error=type(error).__name__)
            else:
                yield call
                if call.status in FINISHED:
                    return
            await watcher.wait()


async def until_finished(
    request: Request, context: ApiContext, client_id: UUID, call_id: UUID
) -> JobStatus:
    """Wait for the call's end, in the time that settings give; how it stands then."""
    status = JobStatus.QUEUED
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(context.settings.api.wait_timeout_s),
            aclosing(follow(context, client_id, call_id)) as looks,
        ):
            async for call in looks:
                if call is None:
                    raise CallNotFoundError("The call was deleted before its analysis was done.")
                if await request.is_disconnected():
                    raise ClientDisconnect
                status = call.status
    return status
