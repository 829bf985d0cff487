"""Posts callbacks to where clients want them."""

import ssl
from collections.abc import Mapping, Sequence
from functools import cache
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic

import httpcore
import httpx

from callytics import __version__
from callytics.adapters.public_network import (
    ForbiddenAddressError,
    PublicNetwork,
    Resolve,
    resolve,
)
from callytics.domain.delivery import Fault
from callytics.ports import CallbackAnswer
from callytics.settings import CallbackSettings

KEPT_BYTES = 2048
"""Of an answer's body; what follows is not even read."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_HEADER = 200


class HttpCallbackClient:
    """POST without redirects, proxies or cookies; one connection a request, gone when it is over."""

    def __init__(
        self,
        settings: CallbackSettings,
        *,
        resolve: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._resolve = resolve
        self._ssl_context = ssl_context

    def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        started = monotonic()
        status, retry_after, kept = None, None, bytearray()
        fault = self._url_fault(url)
        if fault is None:
            try:
                with (
                    self._pool() as pool,
                    pool.stream(
                        "POST", _core_url(url), headers=_headers(url, headers, body), content=body
                    ) as response,
                ):
                    status = response.status
                    retry_after = _header(response, b"retry-after")
                    for chunk in response.iter_stream():
                        kept += chunk
                        if len(kept) >= KEPT_BYTES:
                            break
            # Once there is a status it decides, whatever becomes of the rest of the answer.
            except _FAULTS as error:
                fault = _fault_of(error)
        return CallbackAnswer(
            status=status,
            fault=fault if status is None else None,
            seconds=monotonic() - started,
            body=bytes(kept[:KEPT_BYTES]),
            retry_after=retry_after,
        )

    def _url_fault(self, url: str) -> Fault | None:
        """What is wrong with the address before anybody is asked; the operator may have thought better."""
        try:
            target = httpx.URL(url)
            host = target.raw_host.decode("ascii")
        except (httpx.InvalidURL, UnicodeError):
            return Fault.BAD_URL
        if target.scheme not in _DEFAULT_PORTS or not host:
            return Fault.BAD_URL
        allowed = {name.lower() for name in self._settings.allowed_hosts}
        return None if target.scheme == "https" or host.lower() in allowed else Fault.NOT_HTTPS

    def _pool(self) -> httpcore.ConnectionPool:
        timeout_s = self._settings.timeout_s
        return httpcore.ConnectionPool(
            ssl_context=self._ssl_context or _ssl_context(),
            max_connections=1,
            network_backend=PublicNetwork(
                timeout_s=timeout_s,
                allowed_hosts=self._settings.allowed_hosts,
                resolve=_Lookup(self._resolve, timeout_s),
            ),
        )


class _UnresolvableError(OSError):
    """The host has no address, or nobody says which in time."""


class _Lookup:
    """A look-up that ends in time: `getaddrinfo` knows no limit, so it runs in a thread that is left."""

    def __init__(self, resolve: Resolve, timeout_s: float) -> None:
        self._resolve = resolve
        self._timeout_s = timeout_s

    def __call__(self, host: str, port: int) -> Sequence[str]:
        found: SimpleQueue[Sequence[str] | Exception] = SimpleQueue()

        def look_up() -> None:
            try:
                found.put(self._resolve(host, port))
            except Exception as error:
                found.put(error)

        Thread(target=look_up, name="callback-lookup", daemon=True).start()
        try:
            answer = found.get(timeout=self._timeout_s)
        except Empty:
            raise _UnresolvableError from None
        if isinstance(answer, Exception):
            raise _UnresolvableError from answer
        if not answer:
            raise _UnresolvableError
        return answer


_FAULTS = (
    ForbiddenAddressError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    OSError,
)


def _fault_of(error: Exception) -> Fault:
    """The fault behind an error of the network; its text names addresses, so it is left behind."""
    cause = error.__context__  # httpcore's pool raises `from None`, which leaves this one
    named: tuple[tuple[bool, Fault], ...] = (
        (isinstance(error, ForbiddenAddressError), Fault.ADDRESS_FORBIDDEN),
        (isinstance(error, httpcore.TimeoutException), Fault.TIMEOUT),
        (isinstance(cause, _UnresolvableError), Fault.UNRESOLVABLE),
        (isinstance(cause, ssl.SSLError), Fault.TLS),
        (isinstance(error, httpcore.ConnectError), Fault.UNREACHABLE),
        (isinstance(error, httpcore.NetworkError), Fault.CLOSED_HALFWAY),
        # httpcore finds out itself that nothing more comes; that what came is no HTTP, h11 tells it.
        (isinstance(error, httpcore.ProtocolError) and cause is None, Fault.CLOSED_HALFWAY),
        (isinstance(error, httpcore.ProtocolError), Fault.BAD_ANSWER),
    )
    return next((fault for applies, fault in named if applies), Fault.UNREACHABLE)


@cache
def _ssl_context() -> ssl.SSLContext:
    """It takes 50 ms to load."""
    return httpcore.default_ssl_context()


def _core_url(url: str) -> httpcore.URL:
    target = httpx.URL(url)
    return httpcore.URL(
        scheme=target.raw_scheme,
        host=target.raw_host,
        port=target.port or _DEFAULT_PORTS[target.scheme],
        target=target.raw_path,
    )


def _headers(url: str, given: Mapping[str, str], body: bytes) -> list[tuple[str, str]]:
    return [
        ("Host", httpx.URL(url).netloc.decode("ascii")),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", f"callytics/{__version__}"),
        ("Content-Length", str(len(body))),
        *given.items(),
    ]


def _header(response: httpcore.Response, name: bytes) -> str | None:
    values = (value for key, value in response.headers if key.lower() == name)
    found = next(values, None)
    return found.decode("latin-1")[:_LONGEST_HEADER] if found is not None else None
