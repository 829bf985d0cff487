"""Following a call over everything that can happen to a stream, on a server that plays it."""

import json
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from callytics.cli.api import Api
from callytics.cli.follow import follow
from callytics.cli.problems import CommandError, ProblemError


def event(kind: str, /, **data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


QUEUED, RUNNING = event("status", status="queued"), event("status", status="running")
DONE = event("status", status="completed")
STAGE = event("stage", name="merge", status="done")

Play = Callable[[Sequence[bytes | int]], Api]
"""Answers in turn: the bytes of a stream that then breaks off, or a status."""


@pytest.fixture
def play() -> Iterator[Play]:
    servers: list[ThreadingHTTPServer] = []

    def serve(answers: Sequence[bytes | int]) -> Api:
        left = iter(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = next(left)
                self.send_response(answer if isinstance(answer, int) else 200)
                if isinstance(answer, int):
                    self.send_header("Content-Length", "0")
                self.end_headers()
                if isinstance(answer, bytes):
                    self.wfile.write(answer)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Tests are quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever).start()
        return Api(f"http://127.0.0.1:{server.server_port}", lambda: "key")

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_stream_that_breaks_off_is_opened_anew(play: Play) -> None:
    with play([QUEUED, RUNNING + STAGE, DONE]) as api:
        *_, (call_id, call) = follow(api, ["c"])
    assert (call_id, call["status"]) == ("c", "completed")
    assert call["stages"] == [{"name": "merge", "status": "done"}]


def test_a_server_that_restarts_is_waited_for(play: Play) -> None:
    with play([503, 429, DONE]) as api:
        assert [call["status"] for _, call in follow(api, ["c"])] == ["completed"]


def test_a_call_that_is_not_there_is_told_at_once(play: Play) -> None:
    with play([404]) as api, pytest.raises(ProblemError) as raised:
        list(follow(api, ["c"]))
    assert raised.value.status == 404


def test_a_call_that_is_deleted_meanwhile_is_told(play: Play) -> None:
    with play([QUEUED + event("deleted")]) as api, pytest.raises(CommandError, match="deleted"):
        list(follow(api, ["c"]))


def test_an_event_of_an_unknown_kind_changes_nothing(play: Play) -> None:
    with play([event("news", text="x") + DONE]) as api:
        *_, (_, call) = follow(api, ["c"])
    assert call["status"] == "completed"


def test_more_calls_than_streams_are_all_followed(play: Play) -> None:
    names = [f"c{number}" for number in range(40)]
    with play([DONE] * 40) as api:
        assert {call_id for call_id, _ in follow(api, names)} == set(names)
