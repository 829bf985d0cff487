import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.addresses import callback_url_fault

ALLOWED = ("Receiver.internal", "10.0.0.7", "::1")


@pytest.mark.parametrize(
    "url",
    [
        "https://centerlink.api/webhook/analysis-complete",
        "https://centerlink.api:8443/webhook?x=1",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
        "https://한국.example/",
        "http://receiver.internal/hook",
        "http://RECEIVER.internal:8080/hook",
        "https://10.0.0.7/",
        "http://[::1]:8080/",
        "HTTPS://centerlink.api/",
    ],
)
def test_addresses_that_may_be_called_back(url: str) -> None:
    assert callback_url_fault(url, ALLOWED) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://centerlink.api/", "https"),
        ("ftp://receiver.internal/", "https"),
        ("file:///etc/passwd", "host"),
        ("centerlink", "host"),
        ("https://", "host"),
        ("https:///path", "host"),
        ("https://centerlink.api:port/", "host"),
        ("https://centerlink.api:99999/", "host"),
        ("https://centerlink.api:0/", "host"),
        ("https://[::1/", "host"),
        ("https://centerlink.api/a b", "host"),
        ("https://centerlink.api/\r\nX-Evil: 1", "host"),
        ("https://centerlink.api/\ud800", "host"),
        ("https://centerlink.api/" + "x" * 2048, "2048 bytes"),
        ("https://centerlink.api/" + "가" * 700, "2048 bytes"),
        ("https://user:password@centerlink.api/", "password"),
        ("https://@centerlink.api/", "user name"),
        ("https://127.0.0.1/", "not public"),
        ("https://10.1.2.3/", "not public"),
        ("https://169.254.169.254/latest/meta-data", "not public"),
        ("https://[::1%25eth0]/", "not public"),
        ("https://[::ffff:127.0.0.1]/", "not public"),
        ("https://[fd00::1]/", "not public"),
        ("https://2130706433/", "not public"),
        ("https://0x7f.1/", "not public"),
        ("https://127.1/", "not public"),
    ],
)
def test_addresses_that_can_never_become_right(url: str, why: str) -> None:
    fault = callback_url_fault(url, ALLOWED)
    assert fault is not None
    assert why in fault


@given(st.text(max_size=100))
def test_no_text_is_too_odd(text: str) -> None:
    callback_url_fault(text, ())
    callback_url_fault(f"https://{text}", ())
