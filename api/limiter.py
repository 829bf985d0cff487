"""How many requests a minute a client has left, counted in Redis for all API processes together."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, time

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger(__name__)

WINDOW_S = 60
TIMEOUT_S = 0.5
QUIET_S = 5.0
"""After a failure Redis is left alone for so long: requests must not queue up behind its timeout."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """`remaining` is below zero where the limit is passed; the window ends in `reset_s` seconds."""

    limit: int
    remaining: int
    reset_s: int

    @property
    def passed(self) -> bool:
        return self.remaining < 0

    def headers(self) -> dict[str, str]:
        """Fields of draft-ietf-httpapi-ratelimit-headers."""
        return {
            "RateLimit-Policy": f'"minute";q={self.limit};w={WINDOW_S}',
            "RateLimit": f'"minute";r={max(0, self.remaining)};t={self.reset_s}',
        }


class RateLimiter:
    """Fixed windows of a minute. Where Redis is away nobody is limited: a limit is no reason to be down."""

    def __init__(self, redis_url: str, *, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._quiet_until = 0.0

    def take(self, client: str, limit: int) -> Allowance | None:
        """Count a request of `client`; None if that cannot be counted now."""
        if monotonic() < self._quiet_until:
            return None
        window, passed_s = divmod(int(self._clock()), WINDOW_S)
        key = f"callytics:rate:{client}:{window}"
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.incr(key)
                pipe.expire(key, WINDOW_S)
                used = int(pipe.execute()[0])
        except redis.RedisError as error:
            self._quiet_until = monotonic() + QUIET_S
            log.warning("rate_not_limited", error=type(error).__name__)
            return None
        return Allowance(limit=limit, remaining=limit - used, reset_s=WINDOW_S - passed_s)

    def answers(self) -> bool:
        """Whether Redis is there."""
        try:
            return bool(self._redis.ping())
        except redis.RedisError:
            return False

    def close(self) -> None:
        self._redis.close()
