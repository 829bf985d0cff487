"""Against a real server on loopback, whose name the fetcher is allowed."""

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

import pytest

from callytics.adapters.fetch import HttpFetcher
from callytics.errors import (
    AudioTooLargeError,
    AudioUrlForbiddenError,
    AudioUrlUnreachableError,
    CallyticsError,
)
from callytics.settings import AudioSettings
from tests.support.certificates import self_signed

BODY = b"RIFF" + bytes(range(256)) * 100


class Handler(BaseHTTPRequestHandler):
    """Answers as the path says; notes the requests' headers."""

    seen: ClassVar[list[tuple[str, dict[str, str]]]]
    stop: threading.Event

    def do_GET(self) -> None:
        type(self).seen.append((self.path, dict(self.headers)))
        route = getattr(self, f"_{self.path.split('/')[1].partition('?')[0]}")
        route()

    def _call(self) -> None:
        self._head(200, {"Content-Length": str(len(BODY))})
        self.wfile.write(BODY)

    def _status(self) -> None:
        self._head(int(self.path.split("/")[2]), {"Content-Length": "0"})

    def _announced(self) -> None:
        self._head(200, {"Content-Length": "1000000"})

    def _endless(self) -> None:
        self._head(200, {})
        while not self.stop.is_set():
            self.wfile.write(BODY)

    def _dripping(self) -> None:
        self._head(200, {})
        while not self.stop.wait(0.05):
            self.wfile.write(b"x")
            self.wfile.flush()

    def _dripping_head(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not self.stop.wait(0.05):
            self.wfile.write(b"x")
            self.wfile.flush()

    def _silent(self) -> None:
        self.stop.wait(30)

    def _short(self) -> None:
        self._head(200, {"Content-Length": str(len(BODY) + 10)})
        self.wfile.write(BODY)

    def _nonsense(self) -> None:
        self.wfile.write(b"nonsense\r\n\r\n")

    def _to(self) -> None:
        """`/to/N/URL`: a redirect with status N."""
        status, _, location = self.path.removeprefix("/to/").partition("/")
        self._head(int(status), {"Location": location, "Content-Length": "0"})

    def _hops(self) -> None:
        """`/hops/N`: N redirects, then the recording."""
        left = int(self.path.split("/")[2])
        if left == 0:
            self._call()
        else:
            self._head(302, {"Location": f"/hops/{left - 1}", "Content-Length": "0"})

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The fetcher hangs up: so it should."""


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[tuple[int, type[Handler]]]:
    class Noting(Handler):
        seen: ClassVar = []
        stop = threading.Event()

    with Server(("127.0.0.1", 0), Noting) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port, Noting
        finally:
            Noting.stop.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[tuple[int, type[Handler]]]:
    with serving() as found:
        yield found


@pytest.fixture
def base(server: tuple[int, type[Handler]]) -> str:
    return f"http://records.example:{server[0]}"


ADDRESSES = {
    "records.example": ["127.0.0.1"],
    "internal.example": ["127.0.0.1"],
    "fallback.example": ["127.0.0.2", "127.0.0.1"],
    "127.0.0.1": ["127.0.0.1"],
}


def resolve(host: str, port: int) -> Sequence[str]:
    if host not in ADDRESSES:
        raise OSError("no such host")
    return ADDRESSES[host]


def fetcher(**settings: Any) -> HttpFetcher:
    allowed = ("records.example", "fallback.example")
    return HttpFetcher(
        AudioSettings(**{"allowed_hosts": allowed, "max_bytes": 100_000, **settings}),
        resolve=resolve,
    )


def fetch(url: str, **settings: Any) -> bytes:
    return b"".join(fetcher(**settings).fetch(url))


def test_the_bytes_come_as_they_are(base: str, server: tuple[int, type[Handler]]) -> None:
    assert fetch(f"{base}/call?token=1") == BODY
    path, headers = server[1].seen[0]
    assert path == "/call?token=1"
    assert headers["Host"] == f"records.example:{server[0]}"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"].startswith("callytics/")


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_a_few_redirects_are_followed(base: str, hops: int) -> None:
    assert fetch(f"{base}/hops/{hops}") == BODY


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_every_kind_of_redirect_is_followed(base: str, status: int) -> None:
    assert fetch(f"{base}/to/{status}/{base}/call") == BODY


def fails(url: str, kind: type[CallyticsError], **settings: Any) -> str:
    with pytest.raises(kind) as caught:
        fetch(url, **settings)
    assert "127.0.0.1" not in caught.value.detail
    return caught.value.detail


def test_too_many_redirects_are_not(base: str) -> None:
    fails(f"{base}/hops/4", AudioUrlUnreachableError)


@pytest.mark.parametrize(
    "target",
    [
        "http://internal.example:{port}/call",
        "http://127.0.0.1:{port}/call",
        "file:///etc/passwd",
        "ftp://records.example/call",
        "http://user:password@records.example:{port}/call",
        "http://[::1",
        "//internal.example:{port}/call",
    ],
)
def test_a_redirect_leads_nowhere_that_the_address_may_not(
    base: str, server: tuple[int, type[Handler]], target: str
) -> None:
    fails(f"{base}/to/302/{target.format(port=server[0])}", AudioUrlForbiddenError)
    assert len(server[1].seen) == 1


def test_a_private_address_is_not_dialled(server: tuple[int, type[Handler]]) -> None:
    fails(f"http://internal.example:{server[0]}/call", AudioUrlForbiddenError)
    assert server[1].seen == []


def test_a_proxy_of_the_environment_is_not_used(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert fetch(f"{base}/call") == BODY


def test_where_one_address_does_not_answer_the_next_is_tried(
    server: tuple[int, type[Handler]],
) -> None:
    assert fetch(f"http://fallback.example:{server[0]}/call") == BODY


@pytest.mark.parametrize("path", ["announced", "endless", "call"])
def test_no_more_than_the_limit_is_taken(base: str, path: str) -> None:
    fails(f"{base}/{path}", AudioTooLargeError, max_bytes=10_000)


@pytest.mark.parametrize("status", [204, 206, 304, 401, 404, 500])
def test_another_status_is_no_recording(base: str, status: int) -> None:
    assert str(status) in fails(f"{base}/status/{status}", AudioUrlUnreachableError)


@pytest.mark.parametrize("path", ["short", "nonsense", "to/302/"])
def test_a_broken_answer_is_no_recording(base: str, path: str) -> None:
    fails(f"{base}/{path}", AudioUrlUnreachableError)


@pytest.mark.parametrize("path", ["dripping", "dripping_head", "silent"])
def test_the_time_is_limited_however_the_server_spends_it(base: str, path: str) -> None:
    started = monotonic()
    fails(f"{base}/{path}", AudioUrlUnreachableError, fetch_timeout_s=0.4)
    assert monotonic() - started < 5


@pytest.mark.parametrize(
    "url", ["http://missing.example/", f"http://{'x' * 64}.example/", "http://records.example:1/"]
)
def test_what_is_not_there_cannot_be_fetched(url: str) -> None:
    fails(url, AudioUrlUnreachableError)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "call.wav",
        "records.example/call",
        "http://",
        "http:///call",
        "javascript:1",
        "http://xn--/",
    ],
)
def test_what_is_no_http_address_is_refused(url: str) -> None:
    fails(url, AudioUrlForbiddenError)


def test_an_address_can_be_checked_without_being_fetched(
    base: str, server: tuple[int, type[Handler]]
) -> None:
    fetcher().check(f"{base}/call")
    with pytest.raises(AudioUrlForbiddenError):
        fetcher().check("http://internal.example/call")
    with pytest.raises(AudioUrlUnreachableError):
        fetcher().check("http://missing.example/call")
    assert server[1].seen == []


class TestHttps:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Callable[[str], Path]:
        return partial(self_signed, tmp_path)

    @staticmethod
    def fetch(port: int, trusted: Path) -> bytes:
        context = ssl.create_default_context(cafile=str(trusted))
        settings = AudioSettings(allowed_hosts=("records.example",))
        https = HttpFetcher(settings, resolve=resolve, ssl_context=context)
        return b"".join(https.fetch(f"https://records.example:{port}/call"))

    def test_the_certificate_is_checked_against_the_name_though_an_address_is_dialled(
        self, certificate: Callable[[str], Path]
    ) -> None:
        file = certificate("records.example")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        asked_for: list[str] = []
        context.sni_callback = lambda _socket, name, _context: asked_for.append(str(name))
        with serving(context) as (port, _):
            assert self.fetch(port, file) == BODY
        assert asked_for == ["records.example"]

    def test_a_certificate_of_another_name_is_refused(
        self, certificate: Callable[[str], Path]
    ) -> None:
        file = certificate("other.example")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        with serving(context) as (port, _), pytest.raises(AudioUrlUnreachableError):
            self.fetch(port, file)
