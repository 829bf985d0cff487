"""The `sentiment_requests` table: texts that somebody waits to have judged.

A request is split into parts that fit into one run of the model. A worker takes what waits of many requests
at once; who asked takes the rows with the answers. Times are the database's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from callytics.db.changes import CHANGES

PART_APART = timedelta(seconds=0.5)
"""A request's parts queue up so far behind one another: about what two cores take for each."""

HINT_GOOD_FOR = timedelta(seconds=1)
"""A worker that was told of a text so lately takes whatever waits by then."""

# What else waits is judged by the rows that stood before this statement.
_ADD = text("""
    WITH added AS (
        INSERT INTO sentiment_requests
            (id, part, variant, texts, size, status, attempt, due_at, deadline_at)
        SELECT :id, part - 1, :variant, given.said -> 'texts', (given.said -> 'size')::int, 'queued', 0,
               clock_timestamp() + (part - 1) * CAST(:apart AS interval), clock_timestamp() + :left
        FROM jsonb_array_elements(:parts) WITH ORDINALITY AS given (said, part)
    )
    SELECT NOT EXISTS (
        SELECT FROM sentiment_requests
        WHERE variant = :variant AND status = 'queued' AND attempt = 0
          AND created_at > clock_timestamp() - CAST(:hint_good_for AS interval)
    ) AS untold, set_config('synchronous_commit', 'off', true)
""").bindparams(bindparam("parts", type_=JSONB))

_CLAIM = text("""
    WITH open AS (
        SELECT id, part, size, due_at FROM sentiment_requests
        WHERE variant = :variant AND attempt < :tries AND deadline_at > clock_timestamp()
          AND (status = 'queued' OR status = 'running'
               AND (lease_until < clock_timestamp() OR worker = :worker AND :idle))
        ORDER BY due_at, id, part
        LIMIT :most
        FOR UPDATE SKIP LOCKED
    ), counted AS (
        SELECT id, part, size, sum(size) OVER (ORDER BY due_at, id, part) AS so_far FROM open
    )
    UPDATE sentiment_requests AS request SET
        status = 'running', attempt = request.attempt + 1, worker = :worker,
        lease_until = clock_timestamp() + CAST(:lease AS interval)
    FROM counted
    WHERE request.id = counted.id AND request.part = counted.part
      AND (counted.so_far <= :most OR :idle AND counted.so_far = counted.size)
    RETURNING request.id, request.part, request.attempt, request.texts, request.size,
              set_config('synchronous_commit', 'off', true)
""")

# A judgement is as good from an attempt that was thought dead: only its time was over.
_RECORD = text("""
    UPDATE sentiment_requests AS request SET
        status = 'done', judgements = given.judgements, model = :model, problem = NULL
    FROM jsonb_to_recordset(:found) AS given (id uuid, part int, judgements jsonb)
    WHERE request.id = given.id AND request.part = given.part AND request.status <> 'done'
    RETURNING pg_notify(:channel, CAST(request.id AS text)),
              set_config('synchronous_commit', 'off', true)
""").bindparams(bindparam("found", type_=JSONB), bindparam("model", type_=JSONB))

_FAIL = text("""
    UPDATE sentiment_requests SET
        status = CASE WHEN attempt < :tries THEN 'queued' ELSE 'failed' END, problem = :problem
    WHERE id = :id AND part = :part AND attempt = :attempt AND status = 'running'
    RETURNING pg_notify(:channel, CAST(id AS text)), set_config('synchronous_commit', 'off', true)
""").bindparams(bindparam("problem", type_=JSONB))

_TAKE = text("""
    DELETE FROM sentiment_requests WHERE id = ANY(:ids) AND (status IN ('done', 'failed') OR :anyway)
    RETURNING id, part, status, judgements, model, problem,
              set_config('synchronous_commit', 'off', true)
""")

_MOVE = text("""
    UPDATE sentiment_requests SET variant = :variant, status = 'queued'
    WHERE id = :id AND (status = 'queued' OR status = 'running' AND lease_until < clock_timestamp())
""")

_FORGET = text("DELETE FROM sentiment_requests WHERE deadline_at < clock_timestamp() - :age")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Texts of one request that a worker has claimed."""

    id: UUID
    part: int
    attempt: int
    texts: Sequence[str]
    size: int
    """What they cost the model (`Costed`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Costed:
    """Texts that go to the model in one run, and what they cost it, in texts of usual length."""

    texts: Sequence[str]
    size: int


class SentimentRequests:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        request_id: UUID,
        parts: Sequence[Costed],
        *,
        variant: str,
        left: timedelta,
    ) -> bool:
        """Have these texts judged while `left`; whether the workers have to be told.

        They need not be where they were told a moment ago of texts that still wait: who comes for those
        takes these too.
        """
        return bool(
            self._session.execute(
                _ADD,
                {
                    "id": request_id,
                    "parts": [{"texts": [*part.texts], "size": part.size} for part in parts],
                    "variant": variant,
                    "left": left,
                    "apart": PART_APART,
                    "hint_good_for": HINT_GOOD_FOR,
                },
            )
            .one()
            .untold
        )

    def claim(
        self, *, variant: str, worker: str, idle: bool, most: int, tries: int, lease: timedelta
    ) -> list[Part]:
        """Parts of the size `most` at most, of whoever waits longest.

        `idle`: `worker` has nothing in hand. What it left running belongs to a child that died then, and it
        takes one part at least, however large.
        """
        rows = self._session.execute(
            _CLAIM,
            {
                "variant": variant,
                "worker": worker,
                "idle": idle,
                "most": most,
                "tries": tries,
                "lease": lease,
            },
        )
        return [
            Part(id=row.id, part=row.part, attempt=row.attempt, texts=row.texts, size=row.size)
            for row in rows
        ]

    def record(self, judged: Sequence[tuple[Part, Sequence[Any]]], model: dict[str, Any]) -> None:
        """Store what `model` said."""
        found = [
            {"id": str(part.id), "part": part.part, "judgements": said} for part, said in judged
        ]
        self._session.execute(_RECORD, {"found": found, "model": model, "channel": CHANGES})

    def fail(self, part: Part, problem: dict[str, Any], *, tries: int) -> None:
        """Queue the part again, unless this was its last try."""
        self._session.execute(
            _FAIL,
            {
                "id": part.id,
                "part": part.part,
                "attempt": part.attempt,
                "tries": tries,
                "problem": problem,
                "channel": CHANGES,
            },
        )

    def take(self, request_ids: Sequence[UUID], *, anyway: bool = False) -> Sequence[Row[Any]]:
        """The parts of these requests that have ended, which are gone then; `anyway`: those that have not
        are gone too.
        """
        return self._session.execute(_TAKE, {"ids": [*request_ids], "anyway": anyway}).all()

    def move(self, request_id: UUID, variant: str) -> None:
        """Give to another variant what nobody does."""
        self._session.execute(_MOVE, {"id": request_id, "variant": variant})

    def forget(self, age: timedelta) -> None:
        """Drop what nobody has waited for since `age`."""
        self._session.execute(_FORGET, {"age": age})
