"""The `ticks` table: when the timetable's work was last done, by which one sees that beat lives."""

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from callytics.db.models import Tick


class Ticks:
    def __init__(self, session: Session) -> None:
        self._session = session

    def note(self, name: str) -> None:
        """When the work is done: in its last transaction, or after it."""
        now = {"at": func.clock_timestamp()}
        self._session.execute(
            insert(Tick)
            .values(name=name, **now)
            .on_conflict_do_update(index_elements=["name"], set_=now)
        )

    def ages(self) -> Mapping[str, float]:
        """Seconds since each was done."""
        age = func.extract("epoch", func.clock_timestamp() - Tick.at)
        rows = self._session.execute(select(Tick.name, age.label("age_s")))
        return {row.name: float(row.age_s) for row in rows}
