"""`callytics callback-receiver` as a process, called back by the real client."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session, sessionmaker

from callytics.adapters.callback_client import HttpCallbackClient
from callytics.db.engine import unit_of_work
from callytics.domain import delivery
from callytics.services import keys
from callytics.settings import CallbackSettings, Settings

CLI = (sys.executable, "-m", "callytics.cli", "callback-receiver", "--port", "0")
BATCH = delivery.batch_payload(
    batch_id="BATCH-20250913-001",
    results=[
        delivery.AnalysedConsultation(
            consultation_id="CL-1",
            summary={"customer": "환불 문의", "agent": "절차 안내", "result": "접수 완료"},
            keywords=["환불", "절차"],
            titles={"keyword": "환불_절차", "descriptive": "환불 절차 안내"},
            quality_score=0.93,
            seconds=4.2,
        )
    ],
    errors=[delivery.FailedConsultation(consultation_id="CL-2", code="x", detail="Why.")],
    total_seconds=4.2,
    completed_at=datetime(2025, 9, 13, tzinfo=UTC),
    status="completed_with_errors",
    run=1,
)


@contextmanager
def receiver(environment: dict[str, str], *options: str) -> Iterator[tuple[str, list[str]]]:
    """Its address, and what it has printed by the time that it has ended."""
    printed: list[str] = []
    with subprocess.Popen(
        [*CLI, *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stderr.readline()
        address = re.search(r"http://\S+/", said)
        assert address, said + process.stderr.read()
        try:
            yield address[0], printed
        finally:
            process.send_signal(signal.SIGINT)
            printed += process.stdout.read().splitlines()
            assert process.wait(30) == 0


def post(url: str, secret: str, body: bytes = BATCH, **given: Any) -> int | None:
    headers = delivery.headers(
        delivery_id=given.get("delivery_id", uuid4()),
        event=delivery.Event.BATCH_COMPLETED,
        body=body,
        client_id="cli",
        secrets=[secret],
        tries=0,
        now_s=time(),
    )
    client = HttpCallbackClient(CallbackSettings(allowed_hosts=("127.0.0.1",)))
    return client.post(url, headers=headers, body=body).status


def test_it_shows_what_a_batch_says(environment: dict[str, str]) -> None:
    with receiver(environment, "--client", "cli", "--secret", "s3cret") as (url, printed):
        assert post(url, "s3cret") == 200
        assert post(url, "another") == 401
    text = "\n".join(printed)
    for said in ("batch.completed", "BATCH-20250913-001", "CL-1", "접수 완료", "CL-2: x: Why."):
        assert said in text
    assert "signatures good; answered 200" in printed
    assert any(line.endswith("answered 401") for line in printed)


def test_for_a_script_a_line_each(environment: dict[str, str]) -> None:
    own = uuid4()
    options = ("--client", "cli", "--secret", "s3cret", "--json")
    with receiver(environment, *options) as (url, printed):
        assert [post(url, "s3cret", delivery_id=own) for _ in range(2)] == [200, 200]
        assert post(url, "s3cret", b"no json") == 400
    lines = [json.loads(line) for line in printed]
    assert [line["signatures"] for line in lines] == ["good"] * 3
    assert [line["repeated"] for line in lines] == [False, True, False]
    assert [line["webhook_id"] for line in lines[:2]] == [str(own)] * 2
    assert lines[0]["payload"] == json.loads(BATCH)


def test_it_fails_as_often_as_it_is_told_to(environment: dict[str, str]) -> None:
    options = ("--client", "cli", "--secret", "s3cret", "--fail-share", "1")
    with receiver(environment, *options) as (url, _):
        assert post(url, "s3cret") == 500


def test_on_the_stack_s_machine_it_knows_the_secrets_that_are_live(
    environment: dict[str, str], settings: Settings, sessions: sessionmaker[Session]
) -> None:
    cipher = keys.make_cipher(settings)
    with unit_of_work(sessions) as session:
        first = keys.create(session, cipher, name="cli")
    with receiver(environment, "--client", "cli") as (url, _):
        assert post(url, first) == 200
        with unit_of_work(sessions) as session:
            second = keys.rotate(session, cipher, name="cli", overlap=timedelta(hours=1))
        assert [post(url, first), post(url, second)] == [200, 200]
