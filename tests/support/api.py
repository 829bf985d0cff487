"""The API under test, and a client of it."""

import io
import math
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import httpx2
import uvicorn

from api.app import make_app
from api.context import ApiContext
from callytics.domain import bound_key
from callytics.embedded.process import free_port
from tests.support.waiting import wait_until

CALLS = "/api/v1/calls"


class ApiClient:
    """Signs every request as the client `name`."""

    def __init__(self, http: httpx2.Client, name: str, secret: str) -> None:
        self.http = http
        self.name = name
        self.secret = secret

    def key(self, *, now_s: float | None = None) -> str:
        return bound_key.make(self.name, self.secret, now_s=now_s or time.time())

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = {"X-Bound-Key": self.key(), **options.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx2.Response:
        return self.request("POST", path, **options)

    def upload(
        self, audio: bytes | None = None, *, key: str | None = None, **fields: Any
    ) -> httpx2.Response:
        """Submit `audio` (a short tone if not given) with `fields` of the form."""
        headers = {"Idempotency-Key": key} if key else {}
        files = {"audio": ("call.wav", tone() if audio is None else audio, "audio/wav")}
        return self.post(CALLS, files=files, data=fields, headers=headers)

    def submit(self, audio: bytes | None = None, **fields: Any) -> str:
        """As `upload`: the id of the call, which must be accepted."""
        response = self.upload(audio, **fields)
        assert response.status_code == 202, response.text
        return str(response.json()["call_id"])


@contextmanager
def serving(context: ApiContext) -> Iterator[httpx2.Client]:
    """A client of a real server on loopback."""
    port = free_port()
    config = uvicorn.Config(
        make_app(context), port=port, log_config=None, timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    server.should_exit = True
    thread.join()


def tone(seconds: float = 0.5, *, rate_hz: int = 8000) -> bytes:
    """A WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        for n in range(int(seconds * rate_hz)):
            sample = int(8000 * math.sin(n * 2 * math.pi * 440 / rate_hz))
            writer.writeframesraw(sample.to_bytes(2, "little", signed=True))
    return file.getvalue()


def problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of `response`, which must have this status and code."""
    assert (response.status_code, response.headers["content-type"]) == (
        status,
        "application/problem+json",
    ), response.text
    document: dict[str, Any] = response.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["type"] == f"urn:callytics:problem:{code}"
    assert document["title"]
    assert document["detail"]
    assert document["instance"] == response.request.url.path
    assert document["request_id"] == response.headers["x-request-id"]
    return document
