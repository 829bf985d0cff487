"""The `metric_sums` table: counters and histograms that every API process shows alike.

What ends is logged in rows anyway (db/measures.py says where). The sweeper, and whoever is scraped, adds what
ended since the last time, in one transaction with the mark of how far that went: nothing is counted twice,
nor lost when a process dies, whichever process is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import Any

from sqlalchemy import (
    Float,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import Insert, array, insert
from sqlalchemy.orm import Session

from callytics.db.measures import MEASURES, Measure
from callytics.db.models import Base, MetricMark, MetricSum

_SUMS = Base.metadata.tables[MetricSum.__tablename__]

FOLD_LOCK = 0x666F6C64  # "fold": one at a time, whoever it is
SETTLED = timedelta(seconds=0.5)
LONGEST_WRITE = timedelta(minutes=1)

# Rows say when they ended before their transaction commits. So what is counted ends where the oldest
# transaction that writes began, but for one that goes on for a minute: it must not hold up everything.
# One that first writes long after it began would have what was counted since counted twice: the mark stays
# where it is then, unless it lies ahead of a clock that was set back.
_UNTIL = text("""
    SELECT greatest(
        CASE WHEN :since <= clock_timestamp() THEN :since END,
        clock_timestamp() - CAST(:longest_write AS interval),
        least(
            clock_timestamp() - CAST(:settled AS interval),
            (
                SELECT min(xact_start) FROM pg_stat_activity
                WHERE datname = current_database() AND backend_xid IS NOT NULL
                  AND pid <> pg_backend_pid()
            )
        )
    )
""").bindparams(settled=SETTLED, longest_write=LONGEST_WRITE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """What was observed up to the bound `le`, and above the next lower one."""

    labels: Sequence[str]
    le: float
    observations: int
    total: float


class MetricSums:
    def __init__(self, session: Session) -> None:
        self._session = session

    def count(self, metric: str, *labels: str, times: int = 1) -> None:
        """Count what no log tells of."""
        if times:
            row = {"metric": metric, "labels": list(labels), "le": inf}
            counted = {"observations": times, "total": times}
            self._session.execute(_added(insert(_SUMS).values(**row, **counted)))

    def fold(self) -> None:
        """Add what ended since the last time, unless another process is at it.

        A clock of the database that is set back costs what ended in
        the time that comes twice.
        """
        if not self._session.scalar(select(func.pg_try_advisory_xact_lock(FOLD_LOCK))):
            return
        since = self._session.scalar(select(MetricMark.counted_until))
        if since is None:
            self._session.execute(insert(MetricMark).values(counted_until=func.clock_timestamp()))
            return
        until = self._session.execute(_UNTIL, {"since": since}).scalar_one()
        for addition in _ADDITIONS:
            self._session.execute(addition, {"since": since, "until": until})
        self._session.execute(update(MetricMark).values(counted_until=until))

    def all(self) -> Mapping[str, Sequence[Observed]]:
        """By metric."""
        rows = self._session.execute(
            select(*_SUMS.c).order_by(_SUMS.c.metric, _SUMS.c.labels, _SUMS.c.le)
        )
        found: dict[str, list[Observed]] = {}
        for row in rows:
            found.setdefault(row.metric, []).append(
                Observed(
                    labels=row.labels, le=row.le, observations=row.observations, total=row.total
                )
            )
        return found


def _added(rows: Insert) -> Insert:
    """To what was observed before."""
    sums = {name: _SUMS.c[name] + rows.excluded[name] for name in ("observations", "total")}
    return rows.on_conflict_do_update(index_elements=["metric", "labels", "le"], set_=sums)


def _addition(measure: Measure) -> Insert:
    """The statement that adds what ended after `since`, up to `until`."""
    named: list[Any] = [cast(label, Text) for label in measure.labels.values()]
    ended = select(
        array(named, type_=Text).label("labels"),
        cast(measure.value, Float).label("value"),
    ).where(measure.ended > bindparam("since"), measure.ended <= bindparam("until"), *measure.where)
    seen = ended.subquery("seen")
    bounds = [(seen.c.value <= bound, literal(bound, Float)) for bound in measure.bounds]
    le = case(*bounds, else_=inf) if bounds else literal(inf)
    placed = select(seen, cast(le, Float).label("le")).subquery("placed")
    found = select(
        literal(measure.name),
        placed.c.labels,
        placed.c.le,
        func.count(),
        func.sum(placed.c.value),
    ).group_by(placed.c.labels, placed.c.le)
    columns = ["metric", "labels", "le", "observations", "total"]
    return _added(insert(_SUMS).from_select(columns, found))


_ADDITIONS = [_addition(measure) for measure in MEASURES if measure.ended is not None]
