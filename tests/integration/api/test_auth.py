"""Who is let in, how often, and to what."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from api.context import ApiContext
from callytics.db.engine import unit_of_work
from callytics.db.models import ClientSecret
from callytics.domain.scopes import Scope
from callytics.embedded.process import free_port
from callytics.services import keys
from tests.support.api import CALLS, ApiClient, problem

NewClient = Callable[..., ApiClient]

OPERATIONS = [
    ("GET", ""),
    ("GET", "/events"),
    ("GET", "/transcript"),
    ("POST", "/cancel"),
    ("POST", "/rerun"),
    ("PATCH", "/speakers"),
    ("DELETE", ""),
]
BODIES = {"/rerun": {"from": "merge"}, "/speakers": {"swap": True}}


def refused(http: Any, key: str | None) -> bool:
    response = http.get(CALLS, headers=[] if key is None else [(b"X-Bound-Key", key.encode())])
    if response.status_code == 200:
        return False
    document = problem(response, 401, "invalid_bound_key")
    assert document["error"] == "Invalid bound key"
    assert response.headers["www-authenticate"] == "X-Bound-Key"
    return True


def test_a_good_key_is_let_in(client: ApiClient) -> None:
    assert not refused(client.http, client.key())


def test_a_missing_key_is_refused(http: TestClient) -> None:
    assert refused(http, None)


@pytest.mark.parametrize("key", ["", "xxx-xxx-xxx", "centerlink:1:2", "é:1:2"])
def test_what_is_no_key_is_refused(client: ApiClient, key: str) -> None:
    assert refused(client.http, key)


@pytest.mark.parametrize("age_s", [-310, 310])
def test_a_stale_key_is_refused(client: ApiClient, age_s: int) -> None:
    assert refused(client.http, client.key(now_s=time.time() - age_s))


def test_a_key_of_another_secret_is_refused(client: ApiClient) -> None:
    assert refused(client.http, ApiClient(client.http, client.name, "another").key())


def test_a_key_of_an_unknown_client_is_refused(client: ApiClient) -> None:
    assert refused(client.http, ApiClient(client.http, "nobody", client.secret).key())


def test_a_disabled_client_is_refused_until_it_is_enabled(
    client: ApiClient, context: ApiContext
) -> None:
    with unit_of_work(context.sessions) as session:
        keys.disable(session, name=client.name)
    assert refused(client.http, client.key())

    with unit_of_work(context.sessions) as session:
        keys.enable(session, name=client.name)
    assert not refused(client.http, client.key())


def test_after_a_rotation_both_secrets_are_good_until_the_older_one_expires(
    client: ApiClient, context: ApiContext
) -> None:
    with unit_of_work(context.sessions) as session:
        newer = keys.rotate(session, context.cipher, name=client.name, overlap=timedelta(hours=1))
    assert not refused(client.http, client.key())
    assert not refused(client.http, ApiClient(client.http, client.name, newer).key())

    with unit_of_work(context.sessions) as session:
        expired = ClientSecret.expires_at - timedelta(hours=2)
        session.execute(update(ClientSecret).values(expires_at=expired))
    assert refused(client.http, client.key())
    assert not refused(client.http, ApiClient(client.http, client.name, newer).key())


def test_a_client_has_two_live_secrets_at_most(client: ApiClient, context: ApiContext) -> None:
    secrets = [client.secret]
    for _ in range(2):
        with unit_of_work(context.sessions) as session:
            secrets.append(
                keys.rotate(session, context.cipher, name=client.name, overlap=timedelta(hours=1))
            )
    good = [not refused(client.http, ApiClient(client.http, client.name, s).key()) for s in secrets]
    assert good == [False, True, True]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_call_of_another_client_does_not_exist(
    client: ApiClient, new_client: NewClient, method: str, path: str
) -> None:
    call_id = client.submit()
    other = new_client("other")
    response = other.request(method, f"{CALLS}/{call_id}{path}", json=BODIES.get(path))
    problem(response, 404, "call_not_found")
    assert client.get(f"{CALLS}/{call_id}").json()["status"] == "queued"


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("call_id", ["6f1c0a52-3b0e-4c5d-9a57-2f1d8f4b7e10", "1", "None"])
def test_an_unknown_call_does_not_exist(
    client: ApiClient, method: str, path: str, call_id: str
) -> None:
    response = client.request(method, f"{CALLS}/{call_id}{path}", json=BODIES.get(path))
    problem(response, 404, "call_not_found")


@pytest.mark.parametrize(("method", "path"), [*OPERATIONS, ("POST", None)])
def test_every_operation_wants_a_key(http: TestClient, method: str, path: str | None) -> None:
    url = CALLS if path is None else f"{CALLS}/{uuid4()}{path}"
    body = BODIES.get(path or "", {})
    problem(http.request(method, url, json=body), 401, "invalid_bound_key")


def test_a_client_that_may_read_only_changes_nothing(new_client: NewClient) -> None:
    reader = new_client("reader", scopes=[Scope.READ])
    assert reader.get(CALLS).status_code == 200
    problem(reader.upload(), 403, "forbidden")
    problem(reader.request("DELETE", f"{CALLS}/{uuid4()}"), 403, "forbidden")


def test_a_client_that_may_write_only_sees_nothing(new_client: NewClient) -> None:
    writer = new_client("writer", scopes=[Scope.WRITE])
    problem(writer.get(f"{CALLS}/{writer.submit()}"), 403, "forbidden")


def test_a_client_is_told_how_many_requests_it_has_left(new_client: NewClient) -> None:
    client = new_client("centerlink", limit=3)
    answers = [client.get(CALLS) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"minute";q=3;w=60'
    assert answers[0].headers["ratelimit"] == '"minute";r=2;t=40'
    assert answers[3].headers["ratelimit"] == '"minute";r=0;t=40'
    problem(answers[3], 429, "rate_limited")
    assert answers[3].headers["retry-after"] == "40"


def test_each_client_has_a_limit_of_its_own(new_client: NewClient) -> None:
    first, second = new_client("first", limit=1), new_client("second", limit=1)
    assert first.get(CALLS).status_code == 200
    assert second.get(CALLS).status_code == 200


class TestWithoutRedis:
    @pytest.fixture
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{free_port()}/0"

    def test_nobody_is_limited(self, new_client: NewClient) -> None:
        client = new_client("centerlink", limit=1)
        answers = [client.get(CALLS) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert "ratelimit" not in answers[0].headers
