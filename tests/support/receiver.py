"""A receiver that answers as a test wants it to, and checks both signatures as a client would."""

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from callytics.adapters.callback_receiver import (
    CallbackHandler,
    CallbackReceiver,
    Received,
    Reply,
)

CLIENT, SECRET = "centerlink", "a-secret-of-the-tests"
CHUNK = bytes(64 * 1024)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """How one request is answered: with `status`, once `when` is set, or badly."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"thank you"
    when: Event | None = None
    how: str = "well"
    """`silent`: never; `halfway`: the line breaks off; `nonsense`: no HTTP; `endless`: 100 MB follow;
    `dripping`: a byte now and then; `cut`: the body ends early."""


OK = Step()


@dataclass
class Script:
    """What is answered, in order, then `otherwise`; and what came."""

    steps: list[Step] = field(default_factory=list)
    otherwise: Step = OK
    seen: list[Received] = field(default_factory=list)
    sent_bytes: int = 0
    """Of endless answers."""
    busy: int = 0
    """Requests that are being answered."""
    stop: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)

    def next(self) -> Step:
        return self.steps.pop(0) if self.steps else self.otherwise

    @property
    def ids(self) -> list[str]:
        return [received.id for received in self.seen]


class ScriptedReceiver(CallbackReceiver):
    def __init__(
        self,
        *,
        script: Script,
        client_id: str,
        secrets: Callable[[], Sequence[str]],
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(
            ("127.0.0.1", 0),
            client_id=client_id,
            secrets=secrets,
            reply=self._reply,
            ssl_context=ssl_context,
            handler=ScriptedHandler,
        )
        self.script = script

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/webhook"

    def _reply(self, received: Received) -> Reply:
        if received.faults:
            step = Step(status=401)
        else:
            with self.script.lock:
                step = self.script.next()
        with self.script.lock:
            self.script.seen.append(received)
            self.script.busy += 1
        return ScriptedReply(status=step.status, headers=step.headers, body=step.body, step=step)


@dataclass(frozen=True, kw_only=True)
class ScriptedReply(Reply):
    step: Step


class ScriptedHandler(CallbackHandler):
    server: ScriptedReceiver

    def answer(self, received: Received, reply: Reply) -> None:
        assert isinstance(reply, ScriptedReply)
        try:
            if reply.step.when is not None:
                reply.step.when.wait(30)
            getattr(self, f"_{reply.step.how}")(reply)
        finally:
            with self.server.script.lock:
                self.server.script.busy -= 1

    def _well(self, reply: Reply) -> None:
        self.send(reply)

    def _silent(self, _reply: Reply) -> None:
        self.server.script.stop.wait(30)

    def _halfway(self, _reply: Reply) -> None:
        self.wfile.write(b"HTTP/1.1 20")
        self.connection.shutdown(socket.SHUT_RDWR)

    def _nonsense(self, _reply: Reply) -> None:
        self.wfile.write(b"nonsense\r\n\r\n")

    def _cut(self, reply: Reply) -> None:
        self._head(reply, {"Content-Length": "1000"})
        self.wfile.write(b"half")

    def _endless(self, reply: Reply) -> None:
        self._head(reply, {})
        while self.server.script.sent_bytes < 100 * 2**20:
            self.wfile.write(CHUNK)
            self.server.script.sent_bytes += len(CHUNK)

    def _dripping(self, reply: Reply) -> None:
        self._head(reply, {})
        while not self.server.script.stop.wait(0.02):
            self.wfile.write(b"x")

    def _head(self, reply: Reply, headers: Mapping[str, str]) -> None:
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def receiving(
    *steps: Step,
    client_id: str = CLIENT,
    secrets: Sequence[str] = (SECRET,),
    ssl_context: ssl.SSLContext | None = None,
) -> Iterator[ScriptedReceiver]:
    """A receiver that answers `steps`, then with success; it knows `secrets` of `client_id`."""
    script = Script(steps=list(steps))
    with ScriptedReceiver(
        script=script, client_id=client_id, secrets=lambda: secrets, ssl_context=ssl_context
    ) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            script.stop.set()
            server.shutdown()
            thread.join()
