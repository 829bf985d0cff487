"""What the broker holds, to be compared with the rows; and whether it answers at all."""

from collections.abc import Iterable, Mapping

from celery import Celery
from kombu.exceptions import OperationalError

from callytics.domain.stages import Queue


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
