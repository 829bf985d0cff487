"""Which addresses are one host on the public internet, and which callback addresses can become right."""

import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_NOT_A_HOST = (
    IPv6Network("2001::/32"),  # Teredo and
    IPv6Network("2002::/16"),  # 6to4 end at an IPv4 address of the sender's choice
    IPv6Network("3fff::/20"),  # documentation; Python 3.11 takes it for global
)

LONGEST_URL_BYTES = 2048


def is_public(address: str) -> bool:
    """Whether `address` is one host on the public internet, whatever notation hides it."""
    ip = _unwrapped(ip_address(address.partition("%")[0]))
    if isinstance(ip, IPv6Address):
        return ip.is_global and ip in _UNICAST and not any(ip in net for net in _NOT_A_HOST)
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _unwrapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv4-mapped or NAT64 address leads to."""
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:
            return ip.ipv4_mapped
        if ip in _NAT64:
            return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip


def origin_of(url: str) -> str:
    """Scheme, host and port (RFC 6454): what one server is, however many addresses it has."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80}.get(parts.scheme, 443)
    return f"{parts.scheme.lower()}://{(parts.hostname or '').lower()}:{port}"


def callback_url_fault(url: str, allowed_hosts: Collection[str]) -> str | None:
    """Why `url` can never be called back, in a few words; None if it may be.

    What its host's name leads to is seen where it is dialled, each time anew.
    """
    parts = _parts(url)
    if parts is None or not parts.hostname:
        return f"must be a URL with a host, of at most {LONGEST_URL_BYTES} bytes"
    if "@" in parts.netloc:
        return "must not carry a user name or password"
    allowed = parts.hostname in {name.lower() for name in allowed_hosts}
    if parts.scheme != "https" and not (allowed and parts.scheme == "http"):
        return "must begin with https://"
    literal = _literal(parts.hostname)
    if literal is not None and not allowed and not is_public(literal):
        return "names an address that is not public"
    return None


def _parts(url: str) -> SplitResult | None:
    """The parts of `url`; None if it is none, or longer than a column's index takes."""
    if not url.isprintable() or " " in url or len(url.encode()) > LONGEST_URL_BYTES:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.port != 0
    except ValueError:
        return None
    return parts if usable else None


def _literal(host: str) -> str | None:
    """The address that `host` spells out, also as `2130706433` or `0x7f.1`; None for a name."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError, ValueError):
        return None
