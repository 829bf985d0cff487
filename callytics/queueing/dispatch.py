"""From hints to Celery chains: by task name, immutable, one queue a stage, ids only."""

from collections.abc import Callable, Iterable

import structlog
from celery import Celery, chain
from celery.canvas import Signature
from kombu.exceptions import OperationalError

from callytics.domain.stages import Stage
from callytics.queueing.queues import MESSAGE_PRIORITY, ROUTES, STAGE_TASK
from callytics.services.stage import Hint

log = structlog.get_logger(__name__)

HARD_LIMIT_GRACE_S = 15
"""After the soft limit has been raised in the child, so long until the child is killed."""


def signature(app: Celery, hint: Hint, stage: Stage) -> Signature:
    name = STAGE_TASK[stage]
    limit_s = hint.time_limit_s(stage)
    return app.signature(
        name.value,
        kwargs={"call_id": str(hint.call_id)},
        immutable=True,
        queue=ROUTES[name].value,
        priority=MESSAGE_PRIORITY[hint.priority],
        soft_time_limit=limit_s,
        time_limit=limit_s + HARD_LIMIT_GRACE_S,
    )


def make_send(app: Celery) -> Callable[[Iterable[Hint]], None]:
    """A function that announces stages. Its failure loses nothing: the sweeper announces again."""

    def send(hints: Iterable[Hint]) -> None:
        for hint in hints:
            try:
                first, *rest = (signature(app, hint, stage) for stage in hint.stages)
                (chain(first, *rest) if rest else first).apply_async()
            except OperationalError as error:
                log.warning("hint_not_sent", call_id=str(hint.call_id), error=type(error).__name__)

    return send
