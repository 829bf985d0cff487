"""What `callytics doctor --deploy` sees in the rows, where it is given the deployment's database."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from callytics.cli.deploy_findings import Finding, ok, warn

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from callytics.settings import Settings

GIB = 2**30


def examine(settings: "Settings") -> Iterator[Finding]:
    from sqlalchemy.exc import SQLAlchemyError

    from callytics.cli import local
    from callytics.cli.problems import CommandError
    from callytics.db.engine import unit_of_work

    if settings.database_url is None:
        return
    try:
        with local.sessions() as sessions, unit_of_work(sessions) as session:
            yield _dead(session)
            yield _sizes(session)
            yield from _broker(session, settings)
    except (SQLAlchemyError, CommandError) as error:
        detail = str(error) if isinstance(error, CommandError) else type(error).__name__
        yield warn("rows", detail, "correct CALLYTICS_DATABASE_URL, or unset it")


def _dead(session: "Session") -> Finding:
    from callytics.db.deliveries import Deliveries

    dead = Deliveries(session).standing().dead
    if dead:
        mend = "callytics deliveries list --dead, then deliveries replay"
        return warn("callbacks", f"{dead} were given up", mend)
    return ok("callbacks", "none was given up")


def _sizes(session: "Session") -> Finding:
    from sqlalchemy import func, select

    from callytics.db.models import Call

    rows = session.scalars(select(func.pg_database_size(func.current_database()))).one()
    kept = Call.audio_purged_at.is_(None)
    audio = session.scalar(select(func.sum(Call.audio_bytes)).where(kept)) or 0
    detail = f"{rows / GIB:.2f} GiB of rows, {int(audio) / GIB:.2f} GiB of recordings as sent"
    return ok("sizes", detail)


def _broker(session: "Session", settings: "Settings") -> Iterator[Finding]:
    """Rows that wait longer than the sweeper lets them, without a message that tells of them."""
    from callytics.queueing.app import make_celery
    from callytics.queueing.broker import backlog
    from callytics.services.health import readiness

    if settings.redis_url is None:
        return
    found = readiness(session).queues
    messages = backlog(make_celery(settings, publish_retries=2), found)
    if messages is None:
        yield warn("broker", "does not answer here", "correct CALLYTICS_REDIS_URL, or unset it")
        return
    late_s = 6 * settings.pipeline.hint_after_s
    lost = [
        f"{lane}: {one.queued} wait, {messages[lane]} messages"
        for lane, one in found.items()
        if messages[lane] < one.queued and (one.oldest_queued_s or 0) > late_s and one.ready
    ]
    if lost:
        yield warn("broker", "; ".join(lost), "look whether the sweeper runs")
    else:
        yield ok("broker", "holds a message for whatever waits")
