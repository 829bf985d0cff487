"""Uploads over real connections: what a client does to the wire."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from api.context import ApiContext
from tests.support.api import CALLS, ApiClient, problem, serving, tone
from tests.support.waiting import wait_until


@pytest.fixture
def http(context: ApiContext) -> Iterator[httpx2.Client]:
    with serving(context) as client:
        yield client


def begin(client: ApiClient, *, length: int, body: bytes) -> socket.socket:
    """A connection on which an upload of `length` bytes has begun with `body`."""
    url = client.http.base_url
    head = (
        f"POST {CALLS} HTTP/1.1\r\nHost: {url.host}\r\nX-Bound-Key: {client.key()}\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\n\r\n"
    )
    connection = socket.create_connection((url.host, url.port), timeout=10)
    connection.sendall(head.encode() + body)
    return connection


PART = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'


def kept(context: ApiContext) -> list[Path]:
    store = context.settings.state_dir / "audio"
    return [path for path in store.rglob("*") if path.is_file()]


def test_an_upload_that_breaks_off_leaves_nothing(client: ApiClient, context: ApiContext) -> None:
    with capture_logs() as logs:
        begin(client, length=50_000, body=PART + tone()).close()
        wait_until(lambda: [entry for entry in logs if entry.get("status") == 499])
    assert kept(context) == []
    assert client.get(CALLS).json()["data"] == []
    assert "request_crashed" not in {entry["event"] for entry in logs}


def test_an_upload_announced_too_large_is_refused_before_it_is_sent(client: ApiClient) -> None:
    with begin(client, length=10**12, body=b"") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_an_upload_that_grows_too_large_is_refused_while_it_is_sent(
    client: ApiClient, context: ApiContext
) -> None:
    pieces = iter([PART, *[b"\0" * 10_000] * 300])  # sent in chunks: no length is announced
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    problem(client.post(CALLS, content=pieces, headers=headers), 413, "audio_too_large")
    assert kept(context) == []


def test_a_form_may_arrive_cut_anywhere(client: ApiClient, context: ApiContext) -> None:
    form = (
        PART
        + tone(0.05)
        + b'\r\n--b\r\nContent-Disposition: form-data; name="consultation_id"\r\n\r\n'
        + "상담-1".encode()
        + b"\r\n--b--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for size in (1, 7, 64):
        pieces = (form[at : at + size] for at in range(0, len(form), size))
        response = client.post(CALLS, content=pieces, headers=headers)
        assert response.status_code == 202, response.text
        call = client.get(response.headers["location"]).json()
        assert call["consultation_id"] == "상담-1"
        key = f"calls/{call['call_id']}/original"
        assert b"".join(context.store.read(key)) == tone(0.05)
