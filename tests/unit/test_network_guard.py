import socket

import pytest


@pytest.mark.parametrize("host", ["example.com", "cafe.de"])
def test_a_test_that_looks_up_a_name_fails(host: str) -> None:
    with pytest.raises(pytest.fail.Exception, match="reached for the outside"):
        socket.getaddrinfo(host, 80)


@pytest.mark.parametrize("address", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"])
def test_a_test_that_connects_to_the_outside_fails(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as client, pytest.raises(pytest.fail.Exception):
        client.connect((address, 80))


def test_the_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1])).close()
