"""API keys: for clients of the text services that cannot sign. Made, listed, revoked, recognised."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.orm import Session

from callytics.db.api_keys import ApiKeys
from callytics.db.clients import Clients
from callytics.db.models import ApiKey, Client
from callytics.errors import InvalidApiKeyError, InvalidRequestError

PREFIX = "cak_"
"""Callytics API key: scanners for leaked secrets know keys by how they begin."""

HINT_LENGTH = len(PREFIX) + 8
KEY_BYTES = 32
NAME_LENGTH = 64


def create(session: Session, *, client: str, name: str, good_for: timedelta | None) -> str:
    """A new key of the client; returned this once, since only its digest is kept."""
    if len(name) > NAME_LENGTH:
        raise InvalidRequestError(f"The name of an API key has {NAME_LENGTH} characters at most.")
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    ApiKeys(session).add(
        Clients(session).get(client).id,
        name=name,
        hint=key[:HINT_LENGTH],
        digest=_digest(key),
        good_for=good_for,
    )
    return key


def every(session: Session, *, client: str) -> Sequence[ApiKey]:
    return ApiKeys(session).of(Clients(session).get(client).id)


def revoke(session: Session, *, client: str, hint: str) -> None:
    """Refuse from now on the key that begins with `hint`."""
    ApiKeys(session).revoke(Clients(session).get(client).id, hint)


def authenticate(session: Session, key: str) -> Client:
    """The client that `key` stands for; raises InvalidApiKeyError.

    It is looked up by its digest, so that no comparison tells how much of a guess is right.
    """
    client = ApiKeys(session).owner(_digest(key))
    if client is None:
        raise InvalidApiKeyError
    return client


def _digest(key: str) -> str:
    """A key has 256 random bits: a plain hash of it cannot be searched."""
    return hashlib.sha256(key.encode()).hexdigest()
