"""The same request under the same Idempotency-Key makes one call."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from api.context import ApiContext
from callytics.db.engine import unit_of_work
from callytics.db.models import Call, IdempotencyKey
from tests.support.api import CALLS, ApiClient, problem, tone
from tests.support.waiting import wait_until


def count(sessions: sessionmaker[Session]) -> int:
    with sessions() as session:
        return session.scalars(select(func.count()).select_from(Call)).one()


def audio_files(context: ApiContext) -> list[Path]:
    store = context.settings.state_dir / "audio"
    return [path for path in store.rglob("*") if path.is_file()]


def test_the_same_request_again_gets_the_same_answer(
    client: ApiClient, context: ApiContext
) -> None:
    first = client.upload(tone(), key="k1", consultation_id="CL-1")
    again = client.upload(tone(), key="k1", consultation_id="CL-1")

    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert count(context.sessions) == 1
    assert len(audio_files(context)) == 1


def test_an_upload_and_a_file_with_the_same_bytes_are_the_same_request(
    client: ApiClient, audio_root: Path
) -> None:
    (audio_root / "call.wav").write_bytes(tone())
    first = client.upload(tone(), key="k1")
    again = client.post(CALLS, json={"audio_path": "call.wav"}, headers={"Idempotency-Key": "k1"})
    assert again.json() == first.json()


@pytest.mark.parametrize(
    ("audio", "fields"),
    [(tone(0.6), {}), (tone(), {"priority": "low"}), (tone(), {"stages": "merge"})],
)
def test_another_request_under_the_same_key_is_refused(
    client: ApiClient, context: ApiContext, audio: bytes, fields: dict[str, str]
) -> None:
    client.upload(tone(), key="k1")
    problem(client.upload(audio, key="k1", **fields), 422, "idempotency_key_reused")
    assert count(context.sessions) == 1
    assert len(audio_files(context)) == 1


def test_without_a_key_each_request_makes_a_call(client: ApiClient, context: ApiContext) -> None:
    assert client.submit() != client.submit()


def test_the_keys_of_two_clients_have_nothing_to_do_with_each_other(
    client: ApiClient, new_client: Callable[..., ApiClient]
) -> None:
    other = new_client("other")
    assert client.upload(key="k1").json() != other.upload(key="k1").json()


def test_two_at_once_make_one_call(client: ApiClient, context: ApiContext) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.upload(tone(), key="k1"), range(8)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["call_id"] for answer in answers}) == 1
    assert count(context.sessions) == 1
    assert len(audio_files(context)) == 1


def test_a_twin_that_is_quicker_by_a_moment_wins(client: ApiClient, context: ApiContext) -> None:
    """Neither sees the other's row when it looks: the unique constraint decides."""
    first = client.upload(tone(), key="k1")
    with context.sessions() as session, ThreadPoolExecutor(1) as pool:
        # What a twin under another key has done before it commits.
        session.execute(update(IdempotencyKey).values(key="k2"))
        session.flush()
        slower = pool.submit(client.upload, tone(), key="k2")
        wait_until(lambda: waits_for_a_lock(context))
        session.commit()
        assert slower.result().json() == first.json()
    assert count(context.sessions) == 1
    assert len(audio_files(context)) == 1


def waits_for_a_lock(context: ApiContext) -> bool:
    with context.sessions() as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def test_after_a_day_the_key_may_be_used_anew(client: ApiClient, context: ApiContext) -> None:
    first = client.upload(tone(), key="k1")
    with unit_of_work(context.sessions) as session:
        session.execute(
            update(IdempotencyKey).values(created_at=func.now() - text("interval '25 hours'"))
        )
    again = client.upload(tone(0.7), key="k1")
    assert again.status_code == 202
    assert again.json() != first.json()


def test_a_key_of_a_deleted_call_may_be_used_anew(client: ApiClient) -> None:
    first = client.upload(tone(), key="k1")
    client.request("DELETE", f"{CALLS}/{first.json()['call_id']}")
    assert client.upload(tone(0.7), key="k1").status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_has_1_to_255_characters(client: ApiClient, key: str) -> None:
    response = client.post(
        CALLS,
        json={"audio_url": "https://public.example/call.wav"},
        headers={"Idempotency-Key": key},
    )
    problem(response, 422, "invalid_request")
