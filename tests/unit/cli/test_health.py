import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from callytics.settings import BEAT_FILE
from tests.unit.cli.conftest import Run


@pytest.fixture
def beat_file(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / BEAT_FILE


def aged(path: Path, age_s: float) -> None:
    path.touch()
    then = time.time() - age_s
    os.utime(path, (then, then))


def test_beat_is_well_when_the_broker_took_a_message_lately(run: Run, beat_file: Path) -> None:
    aged(beat_file, 5)
    result = run("health", "beat")
    assert (result.exit_code, result.output) == (0, "ready\n")


def test_beat_is_not_well_before_its_first_message(run: Run, beat_file: Path) -> None:
    result = run("health", "beat")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has sent nothing yet" in result.stderr


def test_beat_is_not_well_when_its_last_message_is_long_ago(run: Run, beat_file: Path) -> None:
    aged(beat_file, 300)
    result = run("health", "beat", "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert said["part"] == "beat"
    assert said["ready"] is False
    assert said["problem"].startswith("Beat sent its last message 30")


def test_a_slow_timetable_has_its_time(run: Run, beat_file: Path) -> None:
    aged(beat_file, 300)
    assert run("health", "beat", PIPELINE__SWEEP_EVERY_S="120").exit_code == 0


@pytest.mark.parametrize("part", ["api", "flower"])
def test_what_does_not_answer_is_not_well(run: Run, part: str) -> None:
    # Nobody may listen on port 1 without being root, and nobody does.
    result = run("health", part, API__PORT="1", FLOWER__PORT="1")
    assert result.exit_code == 1
    assert "does not answer (ConnectError)" in result.stderr


class Answers(BaseHTTPRequestHandler):
    """The API: it answers, and says that PostgreSQL is away. Flower: all is well."""

    def do_GET(self) -> None:
        status, kind, body = {
            "/health/ready": (
                503,
                "application/problem+json",
                json.dumps({"detail": "Not answering: database."}),
            ),
            "/healthcheck": (200, "text/plain", "OK"),
        }[self.path]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield str(server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_api_is_not_well_when_it_cannot_take_requests(run: Run, port: str) -> None:
    result = run("health", "api", API__HOST="0.0.0.0", API__PORT=port)
    assert result.exit_code == 1
    assert f"http://127.0.0.1:{port}/health/ready answers 503" in result.stderr
    assert "Not answering: database." in result.stderr


def test_flower_is_well_when_it_answers(run: Run, port: str) -> None:
    result = run("health", "flower", FLOWER__HOST="0.0.0.0", FLOWER__PORT=port)
    assert (result.exit_code, result.stdout) == (0, "ready\n")


def test_a_worker_without_a_database_is_not_well_and_no_password_is_shown(run: Run) -> None:
    result = run("health", "worker", DATABASE_URL="postgresql+psycopg://u:hunter2@127.0.0.1:1/x")
    assert result.exit_code == 6
    assert "The database does not answer" in result.stderr
    assert "hunter2" not in result.output
