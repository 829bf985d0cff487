"""The `api_keys` table."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session

from callytics.db.models import ApiKey, Client
from callytics.errors import ApiKeyNotFoundError

_OWNER = (
    select(Client)
    .join(ApiKey, ApiKey.client_id == Client.id)
    .where(
        ApiKey.digest == bindparam("digest"),
        ApiKey.revoked_at.is_(None),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.clock_timestamp()),
        Client.disabled_at.is_(None),
    )
)


class ApiKeys:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self, client_id: UUID, *, name: str, hint: str, digest: str, good_for: timedelta | None
    ) -> None:
        self._session.add(
            ApiKey(
                client_id=client_id,
                name=name,
                hint=hint,
                digest=digest,
                expires_at=None if good_for is None else func.clock_timestamp() + good_for,
            )
        )
        self._session.flush()

    def owner(self, digest: str) -> Client | None:
        """The enabled client that the live key with this digest stands for."""
        return self._session.scalar(_OWNER, {"digest": digest})

    def of(self, client_id: UUID) -> Sequence[ApiKey]:
        """Every key of the client, the newest first."""
        return self._session.scalars(
            select(ApiKey).where(ApiKey.client_id == client_id).order_by(ApiKey.created_at.desc())
        ).all()

    def revoke(self, client_id: UUID, hint: str) -> None:
        """Raises ApiKeyNotFoundError if no key of the client begins so."""
        found = self._session.scalar(
            select(ApiKey)
            .where(ApiKey.client_id == client_id, ApiKey.hint == hint)
            .with_for_update()
        )
        if found is None:
            raise ApiKeyNotFoundError
        found.revoked_at = found.revoked_at or func.clock_timestamp()
