"""The other end of a callback: a server that checks what is delivered, for people and for tests.

It is written as a client would write it: the bound key by HMAC, the body with the public library, with
nothing taken over from the code that signs.
"""

import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from time import time
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

TOLERANCE_S = 300
LONGEST_BODY_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """One request. `faults` is empty where both signatures are good."""

    id: str
    event: str
    headers: Mapping[str, str]
    body: bytes
    faults: tuple[str, ...]
    repeated: bool
    """It was accepted before, under the same id."""

    @property
    def payload(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    status: int = 204
    headers: Mapping[str, str] | None = None
    body: bytes = b""


def bound_key_fault(text: str, *, client_id: str, secrets: Sequence[str]) -> str | None:
    """What is wrong with an X-Bound-Key of `client_id`; None if nothing is."""
    parts = text.split(":")
    if len(parts) != 3 or parts[0] != client_id or not parts[1].isdigit():  # noqa: PLR2004
        return "the bound key is missing, or another client's"
    name, timestamp_s, signature = parts
    if abs(time() - int(timestamp_s)) > TOLERANCE_S:
        return "the bound key is stale"
    for secret in secrets:
        message = f"{name}:{timestamp_s}".encode()
        expected = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
        if hmac.compare_digest(expected, signature):
            return None
    return "the bound key is not signed with this secret"


def webhook_fault(body: bytes, headers: Mapping[str, str], *, secrets: Sequence[str]) -> str | None:
    """What is wrong with the Standard Webhooks headers; None if nothing is."""
    fault = "there is no secret to check the webhook signature with"
    for secret in secrets:
        try:
            key = "whsec_" + base64.b64encode(secret.encode()).decode()
            Webhook(key).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError) as error:
            fault = f"the webhook signature: {error}"
        else:
            return None
    return fault


class CallbackReceiver(ThreadingHTTPServer):
    """Checks every callback to `client_id`, and answers what `reply` says; an id is accepted once."""

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        *,
        client_id: str,
        secrets: Callable[[], Sequence[str]],
        reply: Callable[[Received], Reply],
        ssl_context: ssl.SSLContext | None = None,
        handler: type["CallbackHandler"] | None = None,
    ) -> None:
        super().__init__(address, handler or CallbackHandler)
        if ssl_context is not None:
            self.socket = ssl_context.wrap_socket(self.socket, server_side=True)
        self._client_id = client_id
        self._secrets = secrets
        self._reply = reply
        self._lock = Lock()
        self.accepted: dict[str, int] = {}
        """Id -> how often it was answered with success."""

    def receive(self, headers: Mapping[str, str], body: bytes) -> tuple[Received, Reply]:
        secrets = self._secrets()
        lower = {name.lower(): value for name, value in headers.items()}
        faults = (
            bound_key_fault(
                lower.get("x-bound-key", ""), client_id=self._client_id, secrets=secrets
            ),
            webhook_fault(body, lower, secrets=secrets),
        )
        own_id = lower.get("webhook-id", "")
        received = Received(
            id=own_id,
            event=lower.get("x-callytics-event", ""),
            headers=lower,
            body=body,
            faults=tuple(fault for fault in faults if fault),
            repeated=own_id in self.accepted,
        )
        reply = self._reply(received)
        if 200 <= reply.status < 300:  # noqa: PLR2004 (the class of successes)
            with self._lock:
                self.accepted[own_id] = self.accepted.get(own_id, 0) + 1
        return received, reply

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up may."""


class CallbackHandler(BaseHTTPRequestHandler):
    server: CallbackReceiver
    timeout = 60

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LONGEST_BODY_BYTES:
            self.send(Reply(status=413))
            return
        received, reply = self.server.receive(dict(self.headers), self.rfile.read(int(length)))
        self.answer(received, reply)

    def answer(self, received: Received, reply: Reply) -> None:  # noqa: ARG002 (for who overrides)
        self.send(reply)

    def send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in (reply.headers or {}).items():
            self.send_header(name, value)
        if reply.status != 204:  # noqa: PLR2004 (No Content)
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Quiet."""
