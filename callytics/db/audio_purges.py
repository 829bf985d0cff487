"""The `audio_purges` table: audio that is still to be deleted."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from callytics.db.models import AudioPurge


class AudioPurges:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, prefix: str) -> None:
        self._session.execute(insert(AudioPurge).values(prefix=prefix).on_conflict_do_nothing())

    def remove(self, prefix: str) -> None:
        self._session.execute(delete(AudioPurge).where(AudioPurge.prefix == prefix))

    def older_than(self, age: timedelta) -> Sequence[str]:
        return self._session.scalars(
            select(AudioPurge.prefix)
            .where(AudioPurge.created_at < func.clock_timestamp() - age)
            .order_by(AudioPurge.created_at)
        ).all()
