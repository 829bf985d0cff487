"""Reads what an `audio_path` names: regular files below the configured roots, nothing else."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from callytics.errors import AudioPathForbiddenError, AudioPathUnreadableError, AudioTooLargeError
from callytics.settings import AudioSettings

CHUNK_BYTES = 2**20


def read_below_roots(path: str, settings: AudioSettings) -> Iterator[bytes]:
    """The file's bytes in chunks; the path is absolute, or relative to a root.

    Raises AudioPathForbiddenError, AudioPathUnreadableError or AudioTooLargeError before the first one.
    """
    with _open(_inside(path, settings.roots)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise AudioPathUnreadableError
        if found.st_size > settings.max_bytes:
            raise AudioTooLargeError(max_bytes=settings.max_bytes)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _inside(path: str, roots: Sequence[Path]) -> list[str]:
    """Where `path` leads, symbolic links followed. Whether anything is there is not told of other places."""
    bases = [os.path.realpath(root) for root in roots]
    targets = dict.fromkeys(os.path.realpath(Path(base, path)) for base in bases)
    inside = [t for t in targets if any(Path(t).is_relative_to(base) for base in bases)]
    if not inside:
        raise AudioPathForbiddenError
    return inside


def _open(targets: Iterable[str]) -> BinaryIO:
    for target in targets:
        with suppress(OSError):
            return open(target, "rb", opener=_open_as_is)
    raise AudioPathUnreadableError


def _open_as_is(path: str, flags: int) -> int:
    # The path is resolved: a link here was put there since. Non-blocking, for named pipes.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
