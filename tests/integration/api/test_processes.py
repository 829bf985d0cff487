"""Several processes that answer on one port count as one."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from callytics.embedded.process import free_port
from tests.support.metrics import sample_of, samples
from tests.support.waiting import wait_until

LIVE = sample_of(
    "callytics_request_seconds_count", {"method": "GET", "route": "/health/live", "status": "200"}
)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def http(port: int) -> Iterator[httpx2.Client]:
    limits = httpx2.Limits(max_keepalive_connections=0)  # whichever process is free
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=30) as client:
        yield client


@pytest.fixture
def api(environment: dict[str, str], port: int, tmp_path: Path) -> Iterator[None]:
    """Two processes, and the one that starts them."""
    environment |= {
        "CALLYTICS_API__PORT": str(port),
        "CALLYTICS_API__WORKERS": "2",
        "TMPDIR": str(tmp_path),
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"], env=environment, stdout=log, stderr=log
        )
    yield
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    assert list(tmp_path.glob("callytics-api-*")) == []


def counting(tmp_path: Path) -> set[str]:
    """The processes that have begun to count."""
    return {
        file.stem.rpartition("_")[2] for file in tmp_path.glob("callytics-api-*/histogram_*.db")
    }


def answers(http: httpx2.Client) -> bool:
    try:
        return http.get("/health/ready").status_code == 200
    except httpx2.TransportError:
        return False


@pytest.mark.usefixtures("api")
def test_what_each_counted_any_of_them_shows(tmp_path: Path, http: httpx2.Client) -> None:
    wait_until(lambda: len(counting(tmp_path)) == 2 and answers(http), 120)
    with ThreadPoolExecutor(4) as clients:
        asked = list(clients.map(lambda _: http.get("/health/live").status_code, range(20)))
    assert asked == [200] * 20
    for _ in range(8):
        assert samples(http.get("/metrics").text)[LIVE] == 20
