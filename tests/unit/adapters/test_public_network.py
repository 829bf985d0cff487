from ipaddress import IPv4Address, IPv6Address

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.adapters.public_network import ForbiddenAddressError, PublicNetwork
from callytics.domain.addresses import is_public


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_one_host_on_the_internet(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_no_notation_makes_an_address_public_that_is_not(address: IPv4Address) -> None:
    for notation in (
        f"::ffff:{address}",
        str(IPv6Address(int(IPv6Address("64:ff9b::")) + int(address))),
    ):
        assert is_public(notation) == is_public(str(address))


def network(*addresses: str, allowed: tuple[str, ...] = ()) -> PublicNetwork:
    return PublicNetwork(
        timeout_s=5, allowed_hosts=allowed, resolve=lambda host, port: list(addresses)
    )


def test_one_private_address_among_public_ones_forbids_the_host() -> None:
    with pytest.raises(ForbiddenAddressError):
        network("8.8.8.8", "10.0.0.1").addresses("example.org", 80)


def test_a_host_that_the_operator_allows_may_be_private() -> None:
    found = network("10.0.0.1", allowed=("Recordings.internal",))
    assert found.addresses("recordings.INTERNAL", 80) == ["10.0.0.1"]
    with pytest.raises(ForbiddenAddressError):
        found.addresses("other.internal", 80)


def test_the_address_is_checked_where_it_is_dialled() -> None:
    """Whatever an earlier look-up said: what is looked up for the connection is what is checked."""
    with pytest.raises(ForbiddenAddressError):
        network("127.0.0.1").connect_tcp("rebinding.example", 80)


def test_a_host_without_an_address_cannot_be_connected_to() -> None:
    def nothing(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    with pytest.raises(httpcore.ConnectError):
        PublicNetwork(timeout_s=5, resolve=nothing).connect_tcp("missing.example", 80)
