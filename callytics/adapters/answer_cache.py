"""Answers by key: in this process's memory first, then in Redis. It may always be empty, and never wrong."""

from collections.abc import Iterable, Mapping
from threading import Lock
from time import monotonic

import redis
import structlog
from cachetools import TTLCache
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger(__name__)

TIMEOUT_S = 0.5
QUIET_S = 5.0
"""After a failure Redis is left alone for so long: requests must not queue up behind its timeout."""

MEMORY_TTL_S = 60.0
"""A process keeps what it has read for so long, so that Redis's own time is kept to within a minute."""


class AnswerCache:
    """Safe for threads."""

    def __init__(self, redis_url: str, *, prefix: str, ttl_s: int, size: int) -> None:
        """Redis keeps answers for `ttl_s`; memory the `size` that were used last. Nothing of either: 0."""
        self._prefix = prefix
        self._ttl_s = ttl_s
        self._memory: TTLCache[str, bytes] = TTLCache(size, min(MEMORY_TTL_S, ttl_s))
        self._lock = Lock()
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._quiet_until = 0.0

    @property
    def connected(self) -> bool:
        """Whether Redis answered when it was last asked."""
        return monotonic() >= self._quiet_until

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """What is known of `keys`."""
        wanted = list(dict.fromkeys(keys))
        with self._lock:
            found = {key: self._memory[key] for key in wanted if key in self._memory}
        missing = [key for key in wanted if key not in found]
        if not missing or not self._ttl_s or not self.connected:
            return found
        try:
            stored = self._redis.mget([self._prefix + key for key in missing])
        except redis.RedisError as error:
            self._leave_alone(error)
            return found
        fetched = {
            key: value
            for key, value in zip(missing, stored, strict=True)
            if isinstance(value, bytes)
        }
        self._remember(fetched)
        return found | fetched

    def put(self, answers: Mapping[str, bytes]) -> None:
        if not answers or not self._ttl_s:
            return
        self._remember(answers)
        if not self.connected:
            return
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for key, answer in answers.items():
                    pipe.set(self._prefix + key, answer, ex=self._ttl_s)
                pipe.execute()
        except redis.RedisError as error:
            self._leave_alone(error)

    def answers(self) -> bool:
        """Whether Redis is there."""
        try:
            return bool(self._redis.ping())
        except redis.RedisError:
            return False

    def close(self) -> None:
        self._redis.close()

    def _remember(self, answers: Mapping[str, bytes]) -> None:
        if not self._memory.maxsize:
            return
        with self._lock:
            self._memory.update(answers)

    def _leave_alone(self, error: redis.RedisError) -> None:
        self._quiet_until = monotonic() + QUIET_S
        log.warning("cache_away", error=type(error).__name__)
