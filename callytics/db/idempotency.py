"""The `idempotency_keys` table."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from callytics.db.models import IdempotencyKey


class IdempotencyKeys:
    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, client_id: UUID, key: str, ttl: timedelta) -> IdempotencyKey | None:
        """What came of the key within `ttl`; an older row is dropped, so the key may be used anew."""
        self._session.execute(
            delete(IdempotencyKey).where(
                IdempotencyKey.client_id == client_id,
                IdempotencyKey.key == key,
                IdempotencyKey.created_at < func.clock_timestamp() - ttl,
            )
        )
        return self._session.scalar(
            select(IdempotencyKey).where(
                IdempotencyKey.client_id == client_id, IdempotencyKey.key == key
            )
        )

    def claim(
        self,
        client_id: UUID,
        key: str,
        request_hash: str,
        *,
        call_id: UUID | None = None,
        answer: dict[str, Any] | None = None,
    ) -> bool:
        """Tie the key to what came of it; False if somebody else has just done so.

        Where another transaction is about to, this waits for its end.
        """
        claimed = self._session.scalar(
            insert(IdempotencyKey)
            .values(
                client_id=client_id,
                key=key,
                request_hash=request_hash,
                call_id=call_id,
                answer=answer,
            )
            .on_conflict_do_nothing()
            .returning(IdempotencyKey.key)
        )
        return claimed is not None

    def prune(self, ttl: timedelta) -> None:
        """Drop what is older than `ttl`."""
        self._session.execute(
            delete(IdempotencyKey).where(IdempotencyKey.created_at < func.clock_timestamp() - ttl)
        )
