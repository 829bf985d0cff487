"""Connections to public addresses only: what a client of ours names must not lead into our own network.

The address is checked where it is dialled, so no second look-up can put another one in its place.
"""

import socket
import ssl
from collections.abc import Callable, Collection, Iterable, Sequence
from time import monotonic
from typing import Any, TypeAlias

import httpcore

from callytics.domain.addresses import is_public

CONNECT_TIMEOUT_S = 10.0

Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
"""The addresses of a host, for a port; raises OSError if it has none."""


class ForbiddenAddressError(Exception):
    """The host has an address that is not public."""


def resolve(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class PublicNetwork(httpcore.SyncBackend):
    """Dials hosts whose every address is public, or that the operator allows by name.

    The connection answers or fails before `timeout_s` is over, however slowly the other side drips.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        allowed_hosts: Collection[str] = (),
        resolve: Resolve = resolve,
    ) -> None:
        self._deadline = monotonic() + timeout_s
        self._allowed = {host.lower() for host in allowed_hosts}
        self._resolve = resolve

    def addresses(self, host: str, port: int) -> Sequence[str]:
        """The addresses to dial; raises ForbiddenAddressError, or OSError if there are none."""
        try:
            found = self._resolve(host, port)
        except UnicodeError as error:  # no name that DNS could hold
            raise OSError("not a host name") from error
        if host.lower() not in self._allowed and not all(map(is_public, found)):
            raise ForbiddenAddressError
        return found

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError()
        try:
            addresses = self.addresses(host, port)
        except OSError as error:
            raise httpcore.ConnectError from error
        for address in addresses:
            limit = _shorter(timeout or CONNECT_TIMEOUT_S, self._deadline)
            try:
                stream = super().connect_tcp(address, port, limit, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _DeadlineStream(stream, self._deadline)
        raise failure


class _DeadlineStream(httpcore.NetworkStream):
    """A stream of which no operation outlives the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _shorter(timeout, self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _shorter(timeout, self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        limit = _shorter(timeout, self._deadline)
        secured = self._stream.start_tls(ssl_context, server_hostname, limit)
        return _DeadlineStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _shorter(timeout: float | None, deadline: float) -> float:
    """Seconds that an operation may take; raises httpcore.ReadTimeout once the deadline is past."""
    left = deadline - monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left if timeout is None else min(timeout, left)
