"""What the machine says of itself."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from callytics.placement import machine
from callytics.placement.machine import BusyMeter
from tests.support.waiting import wait_until


def test_work_shows_as_busy_cores() -> None:
    before, spent = machine.busy_s(), time.process_time()

    def has_worked() -> bool:
        sum(range(100_000))
        return time.process_time() - spent > 0.5

    wait_until(has_worked, every_s=0)

    assert machine.busy_s() - before >= 0.4


def test_a_meter_tells_any_span_that_it_has_seen_whole() -> None:
    meter = BusyMeter()
    meter._seen = [(0.0, 10.0), (1.0, 10.5), (2.0, 12.5)]

    assert meter.cores(0.0, 1.0) == pytest.approx(0.5)
    assert meter.cores(1.0, 2.0) == pytest.approx(2.0)
    assert meter.cores(0.5, 1.5) == pytest.approx((11.5 - 10.25) / 1.0)


def test_a_meter_looks_while_it_is_open() -> None:
    with BusyMeter() as meter:
        wait_until(lambda: len(meter._seen) >= 3)
        since, until = meter._seen[0][0], meter._seen[-1][0]
    assert meter.cores(since, until) >= 0


def test_memory_is_that_of_living_processes() -> None:
    own = machine.resident_mib(os.getpid())
    assert own > 10
    assert machine.resident_mib(os.getpid(), 2**22 + 1) == pytest.approx(own, rel=0.2)


def test_a_process_is_found_by_what_its_command_line_says() -> None:
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "--port", "17171"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert machine.with_argument("--port", "17171") == [process.pid]
        assert process.pid not in machine.with_argument("--port", "1717")
        process.communicate()


def test_without_a_driver_nothing_is_known_of_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert machine.gpu_memory_mib(1) is None


def test_memory_on_gpus_is_what_the_driver_says_of_the_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Where there is no GPU, a program answers as nvidia-smi does.
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\nprintf '11, 6090\\n12, 500\\n13, 70\\n'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    assert machine.gpu_memory_mib(11, 13) == 6160
    assert machine.gpu_memory_mib(99) == 0
