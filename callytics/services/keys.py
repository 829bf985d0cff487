"""Clients and their secrets: made, rotated, disabled, and recognised by their bound keys."""

import secrets
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import func
from sqlalchemy.orm import Session

from callytics.db.clients import Clients
from callytics.db.models import Client, ClientSecret
from callytics.domain import bound_key
from callytics.domain.scopes import Scope
from callytics.errors import (
    ClientExistsError,
    ConfigurationError,
    InvalidBoundKeyError,
    InvalidRequestError,
)
from callytics.settings import Settings

log = structlog.get_logger(__name__)

SECRET_BYTES = 32


def make_cipher(settings: Settings) -> MultiFernet:
    """What client secrets are encrypted with; decrypts with every key, encrypts with the first."""
    if settings.secret_key is None:
        raise ConfigurationError(
            "No secret key is configured: run `callytics up`, or set CALLYTICS_SECRET_KEY."
        )
    try:
        keys = [Fernet(key.strip()) for key in settings.secret_key.get_secret_value().split(",")]
    except ValueError as error:
        raise ConfigurationError(
            "CALLYTICS_SECRET_KEY is not one or more Fernet keys: 32 bytes each, base64."
        ) from error
    return MultiFernet(keys)


def create(
    session: Session,
    cipher: MultiFernet,
    *,
    name: str,
    rate_limit_per_minute: int | None = None,
    scopes: Iterable[Scope] = tuple(Scope),
) -> str:
    """A new client; returns its secret, which is shown this once."""
    if not bound_key.CLIENT_NAME.fullmatch(name):
        raise InvalidRequestError(
            "A client's name is 1 to 64 letters, digits, dots, dashes and underscores, a letter or "
            "digit first."
        )
    clients = Clients(session)
    if clients.find(name):
        raise ClientExistsError
    client = Client(
        name=name, rate_limit_per_minute=rate_limit_per_minute, scopes=[*map(str, scopes)]
    )
    session.add(client)
    session.flush()
    return _new_secret(clients, cipher, client)


def rotate(session: Session, cipher: MultiFernet, *, name: str, overlap: timedelta) -> str:
    """A second secret; the first goes on for `overlap`, any other ends now. Returns the new one."""
    clients = Clients(session)
    client = clients.lock(name)
    newest = clients.live_secrets(client.id)[:1]
    for secret in newest:
        clients.let_expire(secret, overlap)
    clients.drop_secrets(client.id, keep=[secret.id for secret in newest])
    return _new_secret(clients, cipher, client)


def encrypt_anew(session: Session, cipher: MultiFernet) -> int:
    """Encrypt every secret with the first of the secret keys, so that the others may go; how many were.

    Those that have expired are dropped. Raises ConfigurationError, and changes nothing, where another was
    encrypted with a key that is not among them.
    """
    clients = Clients(session)
    clients.lock_all()
    clients.drop_expired()
    found = clients.all_secrets()
    for secret in found:
        try:
            secret.ciphertext = cipher.rotate(secret.ciphertext)
        except InvalidToken as error:
            name = session.get_one(Client, secret.client_id).name
            raise ConfigurationError(
                f"A secret of {name} was encrypted with a key that CALLYTICS_SECRET_KEY does not name: "
                f"add it, or run `callytics clients rotate {name} --overlap-h 0`."
            ) from error
    session.flush()
    return len(found)


def disable(session: Session, *, name: str) -> None:
    """Refuse the client's keys from now on; its calls stay."""
    client = Clients(session).lock(name)
    client.disabled_at = client.disabled_at or func.clock_timestamp()


def enable(session: Session, *, name: str) -> None:
    Clients(session).lock(name).disabled_at = None


def every(session: Session) -> Sequence[Client]:
    return Clients(session).all()


def sign(session: Session, cipher: MultiFernet, *, name: str, now_s: float) -> str:
    """A bound key for the client, for who may read the database anyway."""
    clients = Clients(session)
    client = clients.get(name)
    live = _decrypted(cipher, clients.live_secrets(client.id))
    if not live or client.disabled_at:
        raise InvalidBoundKeyError("The client is disabled or has no live secret.")
    return bound_key.make(name, live[0], now_s=now_s)


def live_secrets(session: Session, cipher: MultiFernet, client_id: UUID) -> list[str]:
    """What goes out to the client is signed with each of these; newest first, none if it is disabled."""
    client = session.get_one(Client, client_id)
    if client.disabled_at:
        return []
    return _decrypted(cipher, Clients(session).live_secrets(client_id))


def authenticate(
    session: Session, cipher: MultiFernet, text: str, *, now_s: float, tolerance_s: float
) -> Client:
    """The client that `text` is a good key of; one error for all that may be wrong with it."""
    key = bound_key.parse(text)
    clients = Clients(session)
    client, found = clients.with_live_secrets(key.client_id) if key else (None, [])
    if key is None or client is None or client.disabled_at:
        raise InvalidBoundKeyError
    live = _decrypted(cipher, found)
    if not bound_key.check(key, live, now_s=now_s, tolerance_s=tolerance_s):
        raise InvalidBoundKeyError
    return client


def _new_secret(clients: Clients, cipher: MultiFernet, client: Client) -> str:
    secret = secrets.token_urlsafe(SECRET_BYTES)
    clients.add_secret(client.id, cipher.encrypt(secret.encode()))
    return secret


def _decrypted(cipher: MultiFernet, found: Iterable[ClientSecret]) -> list[str]:
    """The secrets in clear; one that was encrypted with a key that is gone is left out."""
    clear = []
    for secret in found:
        try:
            clear.append(cipher.decrypt(secret.ciphertext).decode())
        except InvalidToken:
            log.warning("secret_not_decrypted", secret_id=str(secret.id))
    return clear
