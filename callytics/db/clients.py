"""The `clients` and `client_secrets` tables."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, delete, func, or_, select, update
from sqlalchemy.orm import Session

from callytics.db.models import Client, ClientSecret
from callytics.errors import ClientNotFoundError


def _live() -> ColumnElement[bool]:
    return or_(ClientSecret.expires_at.is_(None), ClientSecret.expires_at > func.clock_timestamp())


_WITH_LIVE_SECRETS = (
    select(Client, ClientSecret)
    .outerjoin(ClientSecret, (ClientSecret.client_id == Client.id) & _live())
    .where(Client.name == bindparam("name"))
    .order_by(ClientSecret.created_at.desc())
)


class Clients:
    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, name: str) -> Client | None:
        return self._session.scalar(select(Client).where(Client.name == name))

    def get(self, name: str) -> Client:
        client = self.find(name)
        if client is None:
            raise ClientNotFoundError
        return client

    def lock(self, name: str) -> Client:
        """The client, locked until the transaction ends, so that two rotations follow one another."""
        client = self.get(name)
        self._session.refresh(client, with_for_update=True)
        return client

    def all(self) -> Sequence[Client]:
        return self._session.scalars(select(Client).order_by(Client.name)).all()

    def live_secrets(self, client_id: UUID) -> Sequence[ClientSecret]:
        """The secrets that sign good keys now, newest first."""
        return self._session.scalars(
            select(ClientSecret)
            .where(ClientSecret.client_id == client_id, _live())
            .order_by(ClientSecret.created_at.desc())
        ).all()

    def with_live_secrets(self, name: str) -> tuple[Client | None, Sequence[ClientSecret]]:
        """`find` and `live_secrets` in one round trip, for every request begins with them."""
        rows = self._session.execute(_WITH_LIVE_SECRETS, {"name": name}).all()
        client = rows[0].Client if rows else None
        return client, [row.ClientSecret for row in rows if row.ClientSecret]

    def lock_all(self) -> None:
        """As `lock`, one after the other by id; calls still come in for them."""
        query = select(Client.id).order_by(Client.id).with_for_update(key_share=True)
        self._session.execute(query).all()

    def all_secrets(self) -> Sequence[ClientSecret]:
        """Every client's."""
        return self._session.scalars(select(ClientSecret)).all()

    def add_secret(self, client_id: UUID, ciphertext: bytes) -> None:
        self._session.add(
            ClientSecret(
                client_id=client_id, ciphertext=ciphertext, created_at=func.clock_timestamp()
            )
        )
        self._session.flush()

    def let_expire(self, secret: ClientSecret, after: timedelta) -> None:
        self._session.execute(
            update(ClientSecret)
            .where(ClientSecret.id == secret.id)
            .values(expires_at=func.clock_timestamp() + after)
        )

    def drop_expired(self) -> None:
        """Every client's secrets that are good for nothing any more."""
        self._session.execute(
            delete(ClientSecret).where(ClientSecret.expires_at <= func.clock_timestamp())
        )

    def drop_secrets(self, client_id: UUID, *, keep: Sequence[UUID]) -> None:
        self._session.execute(
            delete(ClientSecret).where(
                ClientSecret.client_id == client_id, ClientSecret.id.not_in(keep)
            )
        )
