"""The doctor on a deployment that lives: every finding is made to be ok, and to be not."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from api.context import make_context
from callytics.cli import deploy_findings
from callytics.cli.deploy_findings import Grade
from callytics.db.engine import unit_of_work
from callytics.db.ticks import Ticks
from callytics.domain.stages import Queue
from callytics.settings import STACK_FILE, Settings
from tests.integration.cli.conftest import Run
from tests.support.api import serving
from tests.support.calls import insert_call
from tests.support.certificates import self_signed
from tests.support.deliveries import Deliverer, FakeCallbackClient, answer
from tests.support.workers import beat, beat_lane

Sessions = sessionmaker[Session]
OTHERS = (Queue.MLM, Queue.CALLBACK, Queue.DIAGNOSIS, Queue.CONTROL)


@pytest.fixture
def healthy(sessions: Sessions) -> None:
    """Every queue has a worker, and the timetable is kept, however long this test takes."""
    for queue in Queue:
        if queue in OTHERS:
            beat_lane(sessions, queue)
        else:
            beat(sessions, queue)
    with unit_of_work(sessions) as session:
        for name in ("sweep", "tidy"):
            Ticks(session).note(name)
        session.execute(text("UPDATE ticks SET at = at + interval '1 hour'"))
        session.execute(text("UPDATE worker_heartbeats SET beat_at = beat_at + interval '1 hour'"))


def look(run: Run, *options: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and what was found: name -> grade and detail."""
    result = run("doctor", "--deploy", *options, "--json")
    findings = json.loads(result.stdout)
    for one in findings:
        assert one["mend"] or one["grade"] == "ok", one
    return result.exit_code, {one["name"]: (one["grade"], one["detail"]) for one in findings}


def test_a_deployment_that_is_well(run: Run, call: Run, healthy: None) -> None:
    code, found = look(run)
    assert {name: found for name, found in found.items() if found[0] != "ok"} == {}
    assert code == 0
    expected = {"TLS", "API", "clock", "servers", "version", "tables", "models", "queues"}
    expected |= {"sweeper", "upkeep", "metrics", "CORS", "documentation", "wrong key"}
    expected |= {"bound key", "dead letters", "Flower", "callbacks", "sizes", "broker"}
    assert found.keys() == expected


def test_nothing_answers(run: Run) -> None:
    code, found = look(run, "--api-url", "http://127.0.0.1:9")
    assert (code, found["API"][0]) == (1, "fail")


def test_the_database_of_this_machine_s_stack_says_nothing_of_another_deployment(
    run: Run, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.database_url
    published = {"settings": {"database_url": settings.database_url.get_secret_value()}}
    (tmp_path / STACK_FILE).write_text(json.dumps(published))
    monkeypatch.setenv("CALLYTICS_STATE_DIR", str(tmp_path))

    _, found = look(run, "--api-url", "http://127.0.0.1:9")

    assert not found.keys() & {"callbacks", "sizes", "broker"}


def test_without_workers_and_beat_each_missing_one_is_named(run: Run, call: Run) -> None:
    code, found = look(run)
    assert code == 1
    assert {f"queue {queue}" for queue in Queue} <= found.keys()
    assert "transcribe: missing" in found["models"][1]
    assert found["sweeper"] == ("fail", "has not worked yet")


def test_a_sweeper_that_stopped_is_seen(
    run: Run, call: Run, healthy: None, sessions: Sessions
) -> None:
    with unit_of_work(sessions) as session:
        session.execute(text("UPDATE ticks SET at = now() - interval '2 minutes'"))
    code, found = look(run)
    assert (code, found["sweeper"][0], found["upkeep"][0]) == (1, "fail", "ok")


def test_silent_workers_and_dead_letters_are_warnings(
    run: Run, call: Run, healthy: None, sessions: Sessions, settings: Settings
) -> None:
    beat(sessions, Queue.STT, age_s=60, lane="stt.v2")
    deliverer = Deliverer.make(sessions, settings, FakeCallbackClient(answer(410)))
    deliverer.run(deliverer.enqueue("https://centerlink.example/webhook"))
    with unit_of_work(sessions) as session:
        [(name,)] = session.execute(text("SELECT name FROM clients WHERE name <> 'cli'"))
    code, found = look(run, "--client", name)
    assert (code, found["metrics"][0]) == (0, "warn")
    assert "stt.v2@test" in found["metrics"][1]
    assert found["dead letters"][0] == "warn"
    assert found["callbacks"] == ("warn", "1 were given up")


def test_what_waits_without_a_message_is_seen(
    run: Run, call: Run, healthy: None, sessions: Sessions
) -> None:
    insert_call(sessions)
    with unit_of_work(sessions) as session:
        session.execute(text("UPDATE stage_runs SET queued_at = now() - interval '1 hour'"))
    code, found = look(run)
    assert (code, found["queue audio"][0]) == (0, "warn")
    assert found["broker"] == ("warn", "audio: 1 wait, 0 messages")


def test_a_wrong_secret_is_seen(run: Run, call: Run, healthy: None) -> None:
    look(run)  # as itself, so that there is a client of that name
    run("settings", "get", "client.secret", CLIENT__SECRET="wrong")
    code, found = look(run)
    assert (code, found["bound key"][0], found["wrong key"][0]) == (1, "fail", "ok")


def test_tables_of_another_version_are_seen(
    run: Run, call: Run, healthy: None, sessions: Sessions, other_version: None
) -> None:
    code, found = look(run)
    assert (code, found["tables"][0], found["servers"][0]) == (1, "fail", "fail")
    assert "callytics db upgrade" in found["servers"][1]


@pytest.fixture
def other_version(sessions: Sessions) -> Iterator[None]:
    """The tables say that they are older than they are."""
    with unit_of_work(sessions) as session:
        right = session.scalar(text("SELECT version_num FROM alembic_version"))
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    yield
    with unit_of_work(sessions) as session:
        session.execute(text("UPDATE alembic_version SET version_num = :right"), {"right": right})


def test_an_api_that_lets_pages_of_any_origin_in(
    run: Run, settings: Settings, healthy: None
) -> None:
    open_ = settings.api.model_copy(update={"cors_origins": ("*",)})
    context = make_context(settings.model_copy(update={"api": open_}))
    with serving(context) as http:
        code, found = look(run, "--api-url", str(http.base_url))
    assert (code, found["CORS"][0]) == (1, "fail")


@contextmanager
def stranger(status: int, page: bytes = b"", *, live: bytes = b"") -> Iterator[str]:
    """The address of a server that answers everything with `status` and one `page`, but for `live`; when that
    is, nobody can tell.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(live if self.path == "/health/live" else page)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return "one of these days"

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "grade"), [(200, "fail"), (401, "ok")])
def test_flower_must_ask_who_is_there(
    run: Run, call: Run, healthy: None, status: int, grade: str
) -> None:
    with stranger(status) as url:
        _, found = look(run, "--flower-url", url)
    assert found["Flower"][0] == grade


def test_what_answers_may_be_something_else(run: Run) -> None:
    with stranger(200) as url:
        code, found = look(run, "--api-url", url)
    assert (code, found["API"]) == (1, ("fail", "what answers is no Callytics server"))


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><p class=x>Welcome!</p>",
        b"Welcome!",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"data": {"model_status": {}, "queues": {"stt": null}}}',
        b'{"data": {"model_status": {}, "queues": {}, "upkeep": {"sweep": "now"}}}',
    ],
)
def test_a_page_that_is_none_of_the_api_s_costs_the_report_one_finding(
    run: Run, page: bytes
) -> None:
    with stranger(200, page, live=b'{"status": "alive"}') as url:
        code, found = look(run, "--api-url", url)
    assert code == 1
    assert (found["health"][0], found["metrics"][0], found["clock"][0]) == ("fail", "warn", "warn")
    assert {"wrong key", "bound key", "Flower", "callbacks", "sizes", "broker"} <= found.keys()


class TestCertificate:
    """The certificates of these tests are good for a day."""

    @pytest.fixture
    def tls_port(self, tmp_path: Path) -> Iterator[int]:
        pem = self_signed(tmp_path, "localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            thread = Thread(target=server.serve_forever)
            thread.start()
            yield server.server_port
            server.shutdown()
            thread.join()

    def test_one_that_nobody_trusts(self, tls_port: int) -> None:
        found = deploy_findings.certificate(f"https://localhost:{tls_port}")
        assert (found.grade, "not good" in found.detail) == (Grade.FAIL, True)

    def test_one_that_ends_soon(
        self, tls_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "localhost.pem"))
        found = deploy_findings.certificate(f"https://localhost:{tls_port}")
        assert found.grade is Grade.FAIL
        assert found.detail in {
            "the certificate is good for 1 days",
            "the certificate is good for 0 days",
        }

    def test_no_encryption_is_fine_at_home_alone(self) -> None:
        assert deploy_findings.certificate("http://127.0.0.1:8000").grade is Grade.OK
        assert deploy_findings.certificate("http://api.example").grade is Grade.FAIL
