"""Servers that speak as much of the OpenAI chat protocol as a test wants to hear, or hardly any of it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from typing import Any

DRIP_S = 0.05


@dataclass
class ChatServer:
    """Answers every request with `status` and `body`, and remembers what it was asked."""

    status: int = 200
    body: Any = None
    raw: bytes | None = None
    """Sent instead of `body`, as it is."""
    headers: dict[str, str] = field(default_factory=dict)
    sick: int | None = None
    """How many more requests meet `status`; those after them are answered. None: all."""
    serves: list[str] | None = None
    """What its list of models says; None: it has no such list."""
    port: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    slow_s: float = 0
    """How long it thinks before it answers."""
    silent: bool = False
    drips: bool = False
    """Sends its answer a byte at a time."""
    released: Event = field(default_factory=Event)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def says(self, text: str | None, finish_reason: str = "stop", **message: Any) -> None:
        self.body = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": finish_reason,
                    "message": {"role": "assistant", "content": text, **message},
                }
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        }

    def fails(self, status: int, times: int | None = None, **headers: str) -> None:
        self.status, self.sick = status, times
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def send(self, to: BufferedIOBase, content: bytes) -> None:
        with suppress(OSError):  # who asked has gone
            if not self.drips:
                to.write(content)
                return
            for byte in content:
                if self.released.wait(DRIP_S):
                    return
                to.write(bytes([byte]))

    def next_status(self) -> int:
        if self.sick is None:
            return self.status
        self.sick -= 1
        return self.status if self.sick >= 0 else 200


@contextmanager
def chat_server(port: int = 0) -> Iterator[ChatServer]:
    script = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            script.asked.append(json.loads(self.rfile.read(length)))
            script.keys.append(self.headers["Authorization"])
            if script.silent:
                script.released.wait(30)
                return
            script.released.wait(script.slow_s)
            content = json.dumps(script.body).encode() if script.raw is None else script.raw
            status = script.next_status()
            self._answer(status, content, script.headers if status != 200 else {})

        def do_GET(self) -> None:
            served = [{"id": name, "object": "model"} for name in script.serves or ()]
            status = 404 if script.serves is None else 200
            self._answer(status, json.dumps({"object": "list", "data": served}).encode(), {})

        def _answer(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            script.send(self.wfile, content)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    script.port = server.server_port
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield script
    finally:
        script.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


DRIPS = 100
"""Bytes that come one by one: enough for 5 s."""


@dataclass
class DrippingServer:
    port: int = 0
    met: Event = field(default_factory=Event)
    """Set once somebody has connected."""
    left: Event = field(default_factory=Event)
    """Set once somebody who had connected has gone."""


@contextmanager
def dripping_server(begins: bytes) -> Iterator[DrippingServer]:
    """One that says `begins` to whoever connects, and then a byte at a time."""
    script, over = DrippingServer(), Event()

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            script.met.set()
            try:
                self.request.sendall(begins)
                for _ in range(DRIPS):
                    if over.wait(DRIP_S):
                        return
                    self.request.sendall(b"x")
            except OSError:
                script.left.set()

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        script.port = server.server_address[1]
        try:
            yield script
        finally:
            over.set()
            server.shutdown()
            thread.join()
