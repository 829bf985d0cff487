import socket
import subprocess
import sys
from pathlib import Path

from callytics.embedded.process import LOG_BYTES, Process, free_port, open_log


def test_a_port_that_is_taken_gives_way_to_the_next_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert free_port(taken) > taken


def test_a_port_that_is_free_is_taken() -> None:
    port = free_port()
    assert free_port(port) == port


def test_a_probe_that_raises_means_not_yet() -> None:
    def refuse(_pid: int) -> bool:
        raise ConnectionRefusedError

    assert not Process(name="part", command=(), ready=refuse).is_ready(1)


def test_a_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    for line in (b"one\n", b"two\n"):
        with open_log(tmp_path / "part.log") as log:
            log.write(line)
    assert (tmp_path / "part.log").read_bytes() == b"one\ntwo\n"


def test_a_large_log_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    path.write_bytes(b"x" * (LOG_BYTES + 1))
    open_log(path).close()
    assert path.read_bytes() == b""
    assert (tmp_path / "part.old.log").stat().st_size > LOG_BYTES


SAYS_ITS_PRIORITY = """
import os, pathlib
group = pathlib.Path("/proc/self/autogroup")
print(os.nice(0), group.read_text().split()[-1] if group.exists() else "")
"""


def test_a_part_that_steps_back_does_so_among_all_sessions() -> None:
    part = Process(name="patient", command=(sys.executable, "-c", SAYS_ITS_PRIORITY), nice=7)
    said = subprocess.run(
        part.launched(), capture_output=True, text=True, check=True, start_new_session=True
    )
    assert said.stdout.split() in (["7", "7"], ["7"])
