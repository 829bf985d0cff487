"""Deleted means deleted: audio that no call has any more leaves the store, at once or a little later."""

from datetime import timedelta

import structlog
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.audio_purges import AudioPurges
from callytics.db.engine import unit_of_work
from callytics.ports import AudioStore, UploadStore
from callytics.services.intake import INCOMING

log = structlog.get_logger(__name__)

QUIET_AFTER = timedelta(hours=1)
"""No stage writes to a deleted call's audio for longer: it notices by its lease, or hits its limit."""

INCOMING_KEPT_FOR = timedelta(days=1)


def purge(
    sessions: sessionmaker[Session], store: AudioStore, prefix: str, *, settled: bool
) -> None:
    """Delete the audio below `prefix`.

    Unless `settled`, a stage may be writing there still: the row stays, and `purge_due` comes back.
    """
    try:
        store.delete_prefix(prefix)
    except Exception as error:
        log.warning("audio_not_deleted", error=type(error).__name__)
        return
    if settled:
        with unit_of_work(sessions) as session:
            AudioPurges(session).remove(prefix)


def purge_due(sessions: sessionmaker[Session], store: UploadStore) -> None:
    """For upkeep: finish what a deletion could not, and drop uploads that became no call."""
    with unit_of_work(sessions) as session:
        prefixes = AudioPurges(session).older_than(QUIET_AFTER)
    for prefix in prefixes:
        purge(sessions, store, prefix, settled=True)
    store.delete_older(INCOMING, INCOMING_KEPT_FOR)
