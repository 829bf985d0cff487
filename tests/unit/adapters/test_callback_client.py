"""Against a real receiver on loopback, which the operator allows."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from time import monotonic, time
from typing import Any
from uuid import UUID, uuid4

import pytest

from callytics.adapters.callback_client import KEPT_BYTES, HttpCallbackClient
from callytics.domain import delivery
from callytics.domain.delivery import Fault
from callytics.ports import CallbackAnswer
from callytics.settings import CallbackSettings
from tests.support.certificates import self_signed
from tests.support.receiver import CLIENT, SECRET, ScriptedReceiver, Step, receiving

BODY = '{"batch_id": "BATCH-20250913-001", "results": [{"요약": "환불 안내"}]}'.encode()

ADDRESSES = {
    "127.0.0.1": ["127.0.0.1"],
    "receiver.example": ["127.0.0.1"],
    "internal.example": ["127.0.0.1"],
    "half-internal.example": ["8.8.8.8", "10.0.0.1"],
    "nowhere.example": [],
}


def resolve(host: str, port: int) -> Sequence[str]:
    if host not in ADDRESSES:
        raise OSError("no such host")
    return ADDRESSES[host]


def post(
    url: str,
    *,
    delivery_id: UUID | None = None,
    ssl_context: ssl.SSLContext | None = None,
    resolve: Any = resolve,
    **settings: Any,
) -> CallbackAnswer:
    client = HttpCallbackClient(
        CallbackSettings(
            **{"allowed_hosts": ("127.0.0.1", "receiver.example"), "timeout_s": 10, **settings}
        ),
        resolve=resolve,
        ssl_context=ssl_context,
    )
    headers = delivery.headers(
        delivery_id=delivery_id or uuid4(),
        event=delivery.Event.BATCH_COMPLETED,
        body=BODY,
        client_id=CLIENT,
        secrets=[SECRET],
        tries=0,
        now_s=time(),
    )
    return client.post(url, headers=headers, body=BODY)


def answered(*steps: Step, **settings: Any) -> tuple[CallbackAnswer, ScriptedReceiver]:
    with receiving(*steps) as server:
        return post(server.url, **settings), server


def test_the_bytes_arrive_as_they_are_and_both_signatures_are_good() -> None:
    own_id = uuid4()
    with receiving() as server:
        answer = post(f"{server.url}?token=1", delivery_id=own_id)
    assert (answer.status, answer.fault, answer.body) == (200, None, b"thank you")
    received = server.script.seen[0]
    assert (received.body, received.faults, received.id) == (BODY, (), str(own_id))
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"].startswith("callytics/")
    assert received.headers["host"] == f"127.0.0.1:{server.server_port}"


def test_a_receiver_with_another_secret_refuses_both_signatures() -> None:
    with receiving(secrets=["another"]) as server:
        assert post(server.url).status == 401
    assert len(server.script.seen[0].faults) == 2


@pytest.mark.parametrize("status", [204, 301, 400, 410, 429, 500, 503])
def test_the_status_comes_back_with_what_is_said_beside_it(status: int) -> None:
    answer, server = answered(Step(status=status, headers={"Retry-After": "120"}))
    assert (answer.status, answer.retry_after) == (status, "120")
    assert len(server.script.seen) == 1


def test_a_redirect_is_not_followed() -> None:
    with receiving() as other:
        answer, _ = answered(Step(status=307, headers={"Location": other.url}))
    assert answer.status == 307
    assert other.script.seen == []


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        ("silent", Fault.TIMEOUT),
        ("halfway", Fault.CLOSED_HALFWAY),
        ("nonsense", Fault.BAD_ANSWER),
    ],
)
def test_no_answer_is_a_fault(how: str, fault: Fault) -> None:
    answer, _ = answered(Step(how=how), timeout_s=0.5)
    assert (answer.status, answer.fault) == (None, fault)
    assert answer.seconds < 5


def test_of_a_hundred_megabytes_two_thousand_bytes_are_kept_and_hardly_more_are_read() -> None:
    started = monotonic()
    answer, server = answered(Step(how="endless"))
    assert (answer.status, len(answer.body)) == (200, KEPT_BYTES)
    assert monotonic() - started < 5
    assert server.script.sent_bytes < 20 * 2**20  # what the sockets' buffers hold


@pytest.mark.parametrize("how", ["dripping", "cut"])
def test_once_there_is_a_status_it_decides(how: str) -> None:
    answer, _ = answered(Step(how=how), timeout_s=0.5)
    assert (answer.status, answer.fault) == (200, None)
    assert answer.seconds < 5


def test_an_answer_that_comes_too_late_is_none() -> None:
    late = Event()
    with receiving(Step(when=late)) as server:
        answer = post(server.url, timeout_s=0.3)
        late.set()
    assert (answer.status, answer.fault) == (None, Fault.TIMEOUT)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://internal.example:{port}/", Fault.NOT_HTTPS),
        ("https://internal.example:{port}/", Fault.ADDRESS_FORBIDDEN),
        ("https://half-internal.example/", Fault.ADDRESS_FORBIDDEN),
        ("https://10.0.0.1/", Fault.ADDRESS_FORBIDDEN),
        ("https://missing.example/", Fault.UNRESOLVABLE),
        ("https://nowhere.example/", Fault.UNRESOLVABLE),
        (f"https://{'x' * 64}.example/", Fault.UNRESOLVABLE),
        ("http://receiver.example:1/", Fault.UNREACHABLE),
        ("https://127.0.0.1:{port}/", Fault.TLS),
        ("ftp://127.0.0.1/", Fault.BAD_URL),
        ("https://xn--/", Fault.UNRESOLVABLE),
        ("https://", Fault.BAD_URL),
        ("http://[::1", Fault.BAD_URL),
    ],
)
def test_an_address_that_cannot_or_may_not_be_called(url: str, fault: Fault) -> None:
    def look_up(host: str, port: int) -> Sequence[str]:
        return [host] if host == "10.0.0.1" else resolve(host, port)

    with receiving() as server:
        answer = post(url.format(port=server.server_port), resolve=look_up)
    assert (answer.status, answer.fault) == (None, fault)
    assert server.script.seen == []


def test_a_name_that_is_looked_up_for_ever_ends_in_time() -> None:
    released = Event()

    def look_up(host: str, port: int) -> Sequence[str]:
        released.wait(30)
        return ["127.0.0.1"]

    started = monotonic()
    answer = post("http://receiver.example/", resolve=look_up, timeout_s=0.3)
    released.set()
    assert answer.fault is Fault.UNRESOLVABLE
    assert monotonic() - started < 5


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    answer, _ = answered()
    assert answer.status == 200


class TestHttps:
    @staticmethod
    def post(directory: Path, name: str) -> CallbackAnswer:
        """To a receiver whose certificate is trusted and made out to `name`."""
        file = self_signed(directory, name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        with receiving(ssl_context=context) as server:
            return post(
                f"https://receiver.example:{server.server_port}/",
                ssl_context=ssl.create_default_context(cafile=str(file)),
            )

    def test_the_certificate_is_checked_against_the_name_though_an_address_is_dialled(
        self, tmp_path: Path
    ) -> None:
        assert self.post(tmp_path, "receiver.example").status == 200

    def test_a_certificate_of_another_name_is_refused(self, tmp_path: Path) -> None:
        assert self.post(tmp_path, "other.example").fault is Fault.TLS

    def test_a_certificate_that_nobody_vouches_for_is_refused(self, tmp_path: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed(tmp_path, "receiver.example"))
        with receiving(ssl_context=context) as server:
            answer = post(f"https://receiver.example:{server.server_port}/")
        assert answer.fault is Fault.TLS
