"""Whose turn it is in a queue and what its workers have loaded, at this moment and in one round trip: every
request of a text service begins with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import text
from sqlalchemy.orm import Session

from callytics.db.heartbeats import FRESH_FOR
from callytics.db.routes import book_of
from callytics.domain.routes import MODEL_OF, Lane
from callytics.domain.stages import Queue

_STANDING = text("""
    SELECT (SELECT weights FROM model_routes WHERE queue = :queue ORDER BY id DESC LIMIT 1),
           (SELECT jsonb_agg(jsonb_build_array(queues, models -> :model)) FROM worker_heartbeats
            WHERE models ? :model AND state <> 'stopped'
              AND beat_at > clock_timestamp() - CAST(:fresh_for AS interval))
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """The weights of a queue's route, and what living workers of each lane say of its model."""

    weights: Mapping[str, int]
    said: Mapping[str, Sequence[Mapping[str, Any]]]

    @classmethod
    def look(cls, session: Session, queue: Queue) -> Self:
        weights, said = session.execute(
            _STANDING, {"queue": queue, "model": MODEL_OF[queue], "fresh_for": FRESH_FOR}
        ).one()
        return cls(
            weights=book_of(session).default(queue).weights if weights is None else weights,
            said=_by_lane(said or ()),
        )

    def models(self, lane: Lane) -> Sequence[Mapping[str, Any]]:
        return self.said.get(str(lane), ())


def _by_lane(
    said: Sequence[tuple[Sequence[str], Mapping[str, Any]]],
) -> Mapping[str, Sequence[Any]]:
    found: dict[str, list[Any]] = {}
    for queues, model in said:
        for lane in queues:
            found.setdefault(lane, []).append(model)
    return found
