import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from callytics.logs import configure
from callytics.settings import Settings

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _configuration_stays_here() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:], root.level = handlers, level
    structlog.configure(**config)


def lines(capsys: Capture) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_an_object_with_what_is_bound(capsys: Capture) -> None:
    configure(Settings())
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger("here").info("happened", count=2)
    (line,) = lines(capsys)
    assert {name: line[name] for name in ("event", "count", "request_id", "level")} == {
        "event": "happened",
        "count": 2,
        "request_id": "r1",
        "level": "info",
    }


@pytest.mark.parametrize("library", [True, False])
def test_of_an_exception_type_and_place_are_logged_but_never_its_text(
    capsys: Capture, library: bool
) -> None:
    configure(Settings())
    try:
        raise ValueError("고객: 010-1234-5678")
    except ValueError:
        if library:
            logging.getLogger("uvicorn.error").exception("it broke")
        else:
            structlog.get_logger().exception("it broke")
    (line,) = lines(capsys)
    assert line["error"] == "ValueError"
    assert "test_logs.py" in str(line["where"])
    assert "010" not in json.dumps(line)


@pytest.mark.parametrize("name", ["uvicorn.access", "httpx", "celery.app.trace"])
def test_what_libraries_say_about_single_requests_is_not_logged(capsys: Capture, name: str) -> None:
    configure(Settings())
    logging.getLogger(name).info("GET /api/v1/calls?consultation_id=CL-1")
    assert lines(capsys) == []


def test_uvicorn_has_no_handlers_of_its_own(capsys: Capture) -> None:
    uvicorn = logging.getLogger("uvicorn")
    uvicorn.addHandler(logging.StreamHandler())
    uvicorn.propagate = False
    configure(Settings())
    logging.getLogger("uvicorn.error").warning("once")
    assert [line["event"] for line in lines(capsys)] == ["once"]
