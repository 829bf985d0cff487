"""Bound keys: `client_id:timestamp:signature` says who calls and when, and proves it."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

CLIENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
"""What a client may be called: nothing that a header or the key's own colons would trip over."""

_KEY = re.compile(rf"({CLIENT_NAME.pattern}):([0-9]{{1,12}}):([0-9a-f]{{64}})", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundKey:
    """The parts of a key; `timestamp_s` is seconds since 1970, as text, since that is what is signed."""

    client_id: str
    timestamp_s: str
    signature: str


def sign(client_id: str, timestamp_s: str, secret: str) -> str:
    """hex(HMAC-SHA256(secret, "client_id:timestamp"))"""
    message = f"{client_id}:{timestamp_s}".encode()
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def make(client_id: str, secret: str, *, now_s: float) -> str:
    """A key for `client_id`, good for a few minutes from `now_s` (seconds since 1970)."""
    timestamp_s = str(int(now_s))
    return f"{client_id}:{timestamp_s}:{sign(client_id, timestamp_s, secret)}"


def parse(text: str) -> BoundKey | None:
    """The parts of `text`, or None if it has not the form of a bound key."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    client_id, timestamp_s, signature = match.groups()
    return BoundKey(client_id=client_id, timestamp_s=timestamp_s, signature=signature)


def check(key: BoundKey, secrets: Iterable[str], *, now_s: float, tolerance_s: float) -> bool:
    """Whether `key` is fresh and signed with one of `secrets`.

    Every secret is tried, in constant time, so that the answer's delay tells nothing about them.
    """
    matches = [
        hmac.compare_digest(sign(key.client_id, key.timestamp_s, secret), key.signature)
        for secret in secrets
    ]
    return any(matches) and abs(now_s - int(key.timestamp_s)) <= tolerance_s
