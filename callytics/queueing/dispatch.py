"""From hints to Celery messages: by task name, immutable, one queue a stage or kind, ids only."""

from collections.abc import Callable, Iterable
from uuid import UUID

import structlog
from celery import Celery, chain
from celery.canvas import Signature
from kombu.exceptions import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.routes import variant_for
from callytics.domain.job import Priority
from callytics.domain.jobs import SHADOW_KINDS
from callytics.domain.routes import Lane
from callytics.domain.stages import Stage
from callytics.queueing.queues import (
    JOB_TASK,
    MESSAGE_PRIORITY,
    ROUTES,
    SHADOW_PRIORITY,
    STAGE_TASK,
    TaskName,
)
from callytics.services.job_work import JobHint
from callytics.services.stage import AnyHint, Hint

log = structlog.get_logger(__name__)

HARD_LIMIT_GRACE_S = 15
"""After the soft limit has been raised in the child, so long until the child is killed."""


READ_AHEAD_EXPIRES_S = 30.0
CLASSIFY_EXPIRES_S = 30.0


def signature(app: Celery, hint: Hint, stage: Stage) -> Signature:
    name = STAGE_TASK[stage]
    return app.signature(
        name.value,
        kwargs={"call_id": str(hint.call_id)},
        immutable=True,
        queue=str(hint.lane(stage)),
        priority=MESSAGE_PRIORITY[hint.priority],
        **_limits(hint.time_limit_s(stage)),
    )


def _limits(limit_s: float | None) -> dict[str, float]:
    if limit_s is None:
        return {}
    return {"soft_time_limit": limit_s, "time_limit": limit_s + HARD_LIMIT_GRACE_S}


def job_signature(app: Celery, hint: JobHint) -> Signature:
    """Shadow runs go behind everything else; those of a stage have its limits.

    Other jobs have none: most run in threads, which know none; what they wait for has its own.
    """
    name = JOB_TASK[hint.kind]
    return app.signature(
        name.value,
        kwargs={"job_id": str(hint.job_id)},
        immutable=True,
        queue=str(hint.lane),
        priority=SHADOW_PRIORITY if hint.kind in SHADOW_KINDS else MESSAGE_PRIORITY[hint.priority],
        **_limits(hint.time_limit_s),
    )


def make_send(app: Celery) -> Callable[[Iterable[AnyHint]], None]:
    """A function that announces stages and jobs. Its failure loses nothing: the sweeper tells again."""

    def send(hints: Iterable[AnyHint]) -> None:
        for hint in hints:
            try:
                _message(app, hint).apply_async()
            except OperationalError as error:
                about = hint.job_id if isinstance(hint, JobHint) else hint.call_id
                log.warning("hint_not_sent", about=str(about), error=type(error).__name__)

    return send


def _message(app: Celery, hint: AnyHint) -> Signature:
    if isinstance(hint, JobHint):
        return job_signature(app, hint)
    first, *rest = (signature(app, hint, stage) for stage in hint.stages)
    return chain(first, *rest) if rest else first


def make_read_ahead(app: Celery, sessions: sessionmaker[Session]) -> Callable[[UUID], None]:
    """A function that has the engine read the turns of a conversation that came so far.

    It only saves time later: a message that is lost, or too old to be of use, is no loss.
    """

    def read_ahead(conversation_id: UUID) -> None:
        with unit_of_work(sessions) as session:
            variant = variant_for(session, ROUTES[TaskName.READ_AHEAD], conversation_id)
        arguments = {"conversation_id": str(conversation_id)}
        _tell(
            app,
            TaskName.READ_AHEAD,
            arguments,
            Priority.LOW,
            variant=variant,
            expires_s=READ_AHEAD_EXPIRES_S,
        )

    return read_ahead


def make_classify(app: Celery) -> Callable[[str], None]:
    """A function that has a worker of a variant judge the texts that wait for it. Who waits tells again."""

    def classify(variant: str) -> None:
        _tell(
            app,
            TaskName.CLASSIFY,
            {},
            Priority.HIGH,
            variant=variant,
            expires_s=CLASSIFY_EXPIRES_S,
        )

    return classify


def _tell(
    app: Celery,
    name: TaskName,
    arguments: dict[str, str],
    priority: Priority,
    *,
    variant: str,
    expires_s: float,
) -> None:
    """A message that may be lost."""
    message = app.signature(
        name.value,
        kwargs=arguments,
        immutable=True,
        queue=str(Lane(ROUTES[name], variant)),
        priority=MESSAGE_PRIORITY[priority],
        expires=expires_s,
    )
    try:
        message.apply_async()
    except OperationalError as error:
        log.warning("not_told", task=name.value, error=type(error).__name__)
