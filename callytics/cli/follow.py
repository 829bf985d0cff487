"""Follows calls to their end by server-sent events, over broken connections and restarts."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

import httpx

from callytics.cli.api import Api
from callytics.cli.problems import CommandError, ExitCode, ProblemError
from callytics.cli.sse import Event
from callytics.domain.job import FINISHED, JobStatus

GIVE_UP_AFTER_S = 60.0
"""A server that does not answer for so long is taken for gone."""

RETRY_S = 0.5
MOST_STREAMS = 32


News: TypeAlias = "SimpleQueue[tuple[str, dict[str, Any] | Exception]]"


def follow(api: Api, call_ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each call as it changes (`status` and `stages`), until all have ended.

    Some are followed at a time, the first ones first: they were submitted first, too.
    """
    todo: SimpleQueue[str] = SimpleQueue()
    news: News = SimpleQueue()
    for call_id in call_ids:
        todo.put(call_id)
    for _ in range(min(len(call_ids), MOST_STREAMS)):
        # Daemons, so that Ctrl-C waits for no server.
        Thread(target=_follow_some, args=(api, todo, news), daemon=True).start()
    still_open = set(call_ids)
    while still_open:
        call_id, call = news.get()
        if isinstance(call, Exception):
            raise call
        yield call_id, call
        if call["status"] in FINISHED:
            still_open.discard(call_id)


def _follow_some(api: Api, todo: "SimpleQueue[str]", news: News) -> None:
    with suppress(Empty):
        while True:
            call_id = todo.get_nowait()
            try:
                for call in _changes(api, call_id):
                    news.put((call_id, call))
            except Exception as error:  # for `follow` to raise
                news.put((call_id, error))


def _changes(api: Api, call_id: str) -> Iterator[dict[str, Any]]:
    """The call after each event; a stream that breaks off is opened anew until the call has ended."""
    call: dict[str, Any] = {"status": JobStatus.QUEUED, "stages": []}
    down_since: float | None = None
    while call["status"] not in FINISHED:
        try:
            with api.events(call_id) as events:
                for event in events:
                    down_since = None
                    call = _after(call, event)
                    yield call
        except (httpx.TransportError, CommandError) as error:
            fault = error if isinstance(error, CommandError) else api.unreachable(error)
            down_since = down_since or time.monotonic()
            if not _may_pass(fault) or time.monotonic() > down_since + GIVE_UP_AFTER_S:
                raise fault from error
            time.sleep(RETRY_S)


def _may_pass(error: CommandError) -> bool:
    """A server or database that restarts, or too many requests."""
    if isinstance(error, ProblemError):
        return error.status >= httpx.codes.INTERNAL_SERVER_ERROR or (
            error.status == httpx.codes.TOO_MANY_REQUESTS
        )
    return error.exit_code is ExitCode.UNREACHABLE


def _after(call: dict[str, Any], event: Event) -> dict[str, Any]:
    """`call` with what the event says; events of another kind change nothing."""
    data = json.loads(event.data)
    if event.name == "status":
        return {**call, "status": data["status"]}
    if event.name == "deleted":
        raise CommandError("The call was deleted.", ExitCode.NOT_FOUND)
    if event.name == "stage":
        stages = {stage["name"]: stage for stage in call["stages"]} | {data["name"]: data}
        return {**call, "stages": list(stages.values())}
    return call
