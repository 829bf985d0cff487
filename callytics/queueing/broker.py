"""What the broker holds, to be compared with the rows; and whether it answers at all."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from time import time

import redis
from celery import Celery
from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel
from redis.backoff import NoBackoff
from redis.retry import Retry

from callytics.domain.stages import Queue
from callytics.queueing.app import KEY_PREFIX, PRIORITY_STEPS

TIMEOUT_S = 0.5


def answers(app: Celery) -> bool:
    """Whether messages can be sent now."""
    with app.connection_for_write() as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0.2)
        except OperationalError:
            return False
        return True


def backlog(app: Celery, lanes: Iterable[str] = tuple(Queue)) -> Mapping[str, int] | None:
    """Messages that no worker has fetched, of each lane over all priorities; None: nobody answers."""
    with app.connection_for_read() as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0.2)
            channel = connection.default_channel
            # Not `passive`: there kombu looks for the queue without the key prefix, and finds none.
            return {lane: channel.queue_declare(str(lane)).message_count for lane in lanes}
        except (OperationalError, *connection.connection_errors):
            return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Depths:
    """Messages that no worker has fetched, by lane; those that workers hold, and since when the oldest."""

    messages: Mapping[str, int]
    unacked: int
    unacked_oldest_s: float


class Broker:
    """Looks at the broker as `backlog` does, at what workers hold too, and in half a second or not at all:
    kombu would wait for its timeouts, which are those of a worker.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )

    def depths(self, lanes: Iterable[str]) -> Depths | None:
        """None: nobody answers."""
        names = list(lanes)
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for lane in names:
                    for step in PRIORITY_STEPS:
                        pipe.llen(_list_of(lane, step))
                pipe.hlen(f"{KEY_PREFIX}{Channel.unacked_key}")
                pipe.zrange(f"{KEY_PREFIX}{Channel.unacked_index_key}", 0, 0, withscores=True)
                *lengths, unacked, oldest = pipe.execute()
        except redis.RedisError:
            return None
        return Depths(
            messages={
                lane: sum(lengths[place : place + len(PRIORITY_STEPS)])
                for lane, place in zip(names, count(step=len(PRIORITY_STEPS)), strict=False)
            },
            unacked=unacked,
            unacked_oldest_s=max(0.0, time() - oldest[0][1]) if oldest else 0.0,
        )

    def close(self) -> None:
        self._redis.close()


def _list_of(lane: str, step: int) -> str:
    """The list of a lane's messages of one priority, as kombu names it."""
    return f"{KEY_PREFIX}{lane}{Channel.sep}{step}" if step else f"{KEY_PREFIX}{lane}"
