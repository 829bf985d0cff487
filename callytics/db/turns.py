"""The `turns` table: a call's conversation, as values of the domain."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session, undefer

from callytics.db.models import CallTurn
from callytics.domain.serial import from_json, to_json
from callytics.domain.transcript import Turn


class Turns:
    def __init__(self, session: Session) -> None:
        self._session = session

    def of(self, call_id: UUID, *, words: bool = False) -> tuple[Turn, ...]:
        """The call's turns in order; their words only on request, since they are long."""
        query = select(CallTurn).where(CallTurn.call_id == call_id).order_by(CallTurn.index)
        rows = self._session.scalars(query.options(undefer(CallTurn.words)) if words else query)
        return tuple(turn_of(row, words=words) for row in rows)

    def replace(self, call_id: UUID, turns: Iterable[Turn]) -> None:
        """Store `turns` in the place of what was there."""
        self._session.execute(delete(CallTurn).where(CallTurn.call_id == call_id))
        rows = [{"call_id": call_id, **to_json(turn)} for turn in turns]
        if rows:
            self._session.execute(insert(CallTurn), rows)

    def rewrite(self, call_id: UUID, turns: Iterable[Turn]) -> None:
        """Store text, sentences and sentiment of `turns`; times, speakers, roles and words stay."""
        rows = [
            {
                "call_id": call_id,
                "index": turn.index,
                "text": turn.text,
                "sentences": to_json(turn.sentences),
                "sentiment": to_json(turn.sentiment),
            }
            for turn in turns
        ]
        if rows:
            self._session.execute(update(CallTurn), rows)

    def assign(self, call_id: UUID, turns: Iterable[Turn]) -> None:
        """Store the roles of `turns`; all else stays."""
        rows = [
            {
                "call_id": call_id,
                "index": turn.index,
                "role": turn.role,
                "role_confidence": turn.role_confidence,
            }
            for turn in turns
        ]
        if rows:
            self._session.execute(update(CallTurn), rows)


def turn_of(row: CallTurn, *, words: bool) -> Turn:
    """The row as a value of the domain; `words` says that they are loaded."""
    return from_json(
        Turn,
        {
            "index": row.index,
            "start_s": row.start_s,
            "end_s": row.end_s,
            "speaker": row.speaker,
            "text": row.text,
            "words": row.words if words else [],
            "sentences": row.sentences,
            "role": row.role,
            "role_confidence": row.role_confidence,
            "sentiment": row.sentiment,
        },
    )
