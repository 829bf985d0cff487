"""Becomes another program, one that dies with its parent.

`python -I -S launch.py PARENT_PID [--unprivileged] [--nice=N] -- COMMAND...`: a program of its own and no
`preexec_fn`, which may deadlock in a parent that has threads.
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
NOBODY = 65534
CANNOT_DROP_ROOT = 125
"""Exit status where user namespaces are blocked."""


def die_with_parent(parent_pid: int) -> None:
    """SIGKILL when the thread that started this process ends, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent_pid:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGKILL)


def drop_root() -> None:
    """Enter a user namespace where root is `nobody`: files stay ours, and PostgreSQL sees no root."""
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")


def step_back(by: int) -> None:
    """Lower the priority by `by`: of this process, and of its session.

    Where the kernel weighs each session as a whole (autogroups, sched(7)), the first has no effect on
    other sessions' processes.
    """
    os.nice(by)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(by))


def main(arguments: list[str]) -> None:
    split = arguments.index("--")
    options, command = arguments[:split], arguments[split + 1 :]
    if "--unprivileged" in options:
        try:
            drop_root()
        except OSError as error:
            sys.stderr.write(f"cannot enter a user namespace: {error}\n")
            sys.exit(CANNOT_DROP_ROOT)
    for option in options:
        if option.startswith("--nice="):
            step_back(int(option.partition("=")[2]))
    # After the namespace: a change of credentials clears the death signal.
    die_with_parent(int(options[0]))
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
