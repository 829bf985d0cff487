"""Fetches what an `audio_url` names."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import httpcore
import httpx

from callytics import __version__
from callytics.adapters.public_network import (
    ForbiddenAddressError,
    PublicNetwork,
    Resolve,
    resolve,
)
from callytics.errors import AudioTooLargeError, AudioUrlForbiddenError, AudioUrlUnreachableError
from callytics.settings import AudioSettings

MAX_REDIRECTS = 3
READ_TIMEOUT_S = 30.0
DEFAULT_PORTS = {"http": 80, "https": 443}
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class HttpFetcher:
    """GET over http and https, without proxies, cookies or credentials; each redirect checked anew."""

    def __init__(
        self,
        settings: AudioSettings,
        *,
        resolve: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._resolve = resolve
        self._ssl_context = ssl_context

    def check(self, url: str) -> None:
        """Raise AudioUrlForbiddenError or AudioUrlUnreachableError if `fetch` would, without fetching."""
        target = _parse(url)
        with _as_audio_errors():
            self._network().addresses(target.raw_host.decode("ascii"), _port(target))

    def fetch(self, url: str) -> Iterator[bytes]:
        """The bytes at `url` in chunks; raises beside these two AudioTooLargeError."""
        target = _parse(url)
        pool = httpcore.ConnectionPool(
            ssl_context=self._ssl_context or _ssl_context(),
            max_connections=1,
            network_backend=self._network(),
        )
        with _as_audio_errors(), pool:
            for _hop in range(1 + MAX_REDIRECTS):
                with pool.stream(
                    "GET", _core_url(target), headers=_headers(target), extensions=_TIMEOUTS
                ) as response:
                    if response.status not in REDIRECTS:
                        yield from self._body(response)
                        return
                    target = _redirected(target, response)
        raise AudioUrlUnreachableError(f"`audio_url` leads on more than {MAX_REDIRECTS} times.")

    def _network(self) -> PublicNetwork:
        return PublicNetwork(
            timeout_s=self._settings.fetch_timeout_s,
            allowed_hosts=self._settings.allowed_hosts,
            resolve=self._resolve,
        )

    def _body(self, response: httpcore.Response) -> Iterator[bytes]:
        if response.status != httpx.codes.OK:
            raise AudioUrlUnreachableError(f"`audio_url` was answered with {response.status}.")
        if int(_header(response, b"content-length") or 0) > self._settings.max_bytes:
            raise AudioTooLargeError(max_bytes=self._settings.max_bytes)
        size = 0
        for chunk in response.iter_stream():
            size += len(chunk)
            if size > self._settings.max_bytes:
                raise AudioTooLargeError(max_bytes=self._settings.max_bytes)
            yield chunk


@cache
def _ssl_context() -> ssl.SSLContext:
    """It takes 50 ms to load; most processes never need it."""
    return httpcore.default_ssl_context()


_TIMEOUTS = {"timeout": {"connect": None, "read": READ_TIMEOUT_S, "write": READ_TIMEOUT_S}}


def _parse(url: str | httpx.URL) -> httpx.URL:
    try:
        target = httpx.URL(url)
        host = target.host
    except (httpx.InvalidURL, UnicodeError) as error:  # the latter of names that IDNA does not know
        raise AudioUrlForbiddenError("`audio_url` is no URL.") from error
    if target.scheme not in DEFAULT_PORTS or not host:
        raise AudioUrlForbiddenError("`audio_url` must begin with http:// or https://.")
    if target.userinfo:
        raise AudioUrlForbiddenError("`audio_url` must not carry a user name or password.")
    return target


def _port(target: httpx.URL) -> int:
    return target.port or DEFAULT_PORTS[target.scheme]


def _core_url(target: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=target.raw_scheme, host=target.raw_host, port=_port(target), target=target.raw_path
    )


def _headers(target: httpx.URL) -> list[tuple[str | bytes, str | bytes]]:
    return [
        ("Host", target.netloc),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", f"callytics/{__version__}"),
    ]


def _header(response: httpcore.Response, name: bytes) -> str | None:
    values = (value for key, value in response.headers if key.lower() == name)
    found = next(values, None)
    return found.decode("latin-1") if found is not None else None


def _redirected(target: httpx.URL, response: httpcore.Response) -> httpx.URL:
    location = _header(response, b"location")
    if not location:
        raise AudioUrlUnreachableError(f"`audio_url` was answered with {response.status}.")
    try:
        return _parse(target.join(location))
    except httpx.InvalidURL as error:
        raise AudioUrlForbiddenError("`audio_url` leads to what is no URL.") from error


@contextmanager
def _as_audio_errors() -> Iterator[None]:
    """Network faults in our own terms; their texts name addresses, so they are left behind."""
    try:
        yield
    except ForbiddenAddressError as error:
        raise AudioUrlForbiddenError from error
    except (httpcore.TimeoutException, TimeoutError) as error:
        raise AudioUrlUnreachableError("`audio_url` did not answer in time.") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        raise AudioUrlUnreachableError from error
    except OSError as error:
        raise AudioUrlUnreachableError("The host of `audio_url` is not found.") from error
