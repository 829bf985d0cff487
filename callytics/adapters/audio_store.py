"""Audio by key, on a local disk or in any object store that obstore knows."""

import os
import shutil
from collections.abc import AsyncIterable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from callytics.errors import AudioMissingError, ConfigurationError
from callytics.settings import Settings

READ_CHUNK_BYTES = 2**20
PARTS_AT_ONCE = 4
"""Parts of 5 MiB that one upload keeps in memory."""


class ObjectAudioStore:
    """`write` and `receive` are atomic: obstore stages the parts and drops them when the chunks fail."""

    def __init__(self, url: str) -> None:
        """`url` is what obstore takes: `file:///path`, `s3://bucket/prefix`, ..."""
        self._store: ObjectStore
        self._directory: Path | None = None
        if url.startswith("file://"):
            store = LocalStore.from_url(url, mkdir=True)
            self._store, self._directory = store, Path(store.prefix or "/")
        else:
            try:
                self._store = from_url(url)
            except ValueError as error:
                raise ConfigurationError(
                    "CALLYTICS_AUDIO__STORE_URL is no address: it begins with file:// or s3://"
                ) from error

    def write(self, key: str, chunks: Iterable[bytes]) -> None:
        obstore.put(self._store, key, iter(chunks), max_concurrency=PARTS_AT_ONCE)

    async def receive(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        await obstore.put_async(self._store, key, chunks, max_concurrency=PARTS_AT_ONCE)

    def move(self, source: str, target: str) -> None:
        try:
            obstore.rename(self._store, source, target)
        except FileNotFoundError as error:
            raise AudioMissingError from error
        if self._directory:
            moved = self._directory / target
            for each in (moved, moved.parent):
                flush_to_disk(each)

    def read(self, key: str) -> Iterator[bytes]:
        try:
            stream = obstore.get(self._store, key).stream(min_chunk_size=READ_CHUNK_BYTES)
        except FileNotFoundError as error:
            raise AudioMissingError from error
        return (bytes(chunk) for chunk in stream)

    def keys(self, prefix: str) -> list[str]:
        """What is stored below `prefix`."""
        found = obstore.list(self._store, prefix=prefix or None)
        return [entry["path"] for batch in found for entry in batch]

    @contextmanager
    def open_local(self, key: str) -> Iterator[Path]:
        if self._directory:
            path = self._directory / key
            if not path.is_file():
                raise AudioMissingError
            yield path
            return
        with NamedTemporaryFile(prefix="callytics-") as copy:
            for chunk in self.read(key):
                copy.write(chunk)
            copy.flush()
            yield Path(copy.name)

    def delete_prefix(self, prefix: str) -> int:
        deleted = 0
        for batch in obstore.list(self._store, prefix=prefix):
            obstore.delete(self._store, [entry["path"] for entry in batch])
            deleted += len(batch)
        if self._directory:
            # obstore does not list what a writer that was killed has staged.
            with suppress(FileNotFoundError):
                shutil.rmtree(self._directory / prefix)
        return deleted

    def delete_older(self, prefix: str, age: timedelta) -> int:
        oldest = datetime.now(UTC) - age
        if self._directory:
            return _delete_older_files(self._directory / prefix, oldest.timestamp())
        old = [
            entry["path"]
            for batch in obstore.list(self._store, prefix=prefix)
            for entry in batch
            if entry["last_modified"] < oldest
        ]
        obstore.delete(self._store, old)
        return len(old)


def make_audio_store(settings: Settings) -> ObjectAudioStore:
    return ObjectAudioStore(settings.audio_store_url)


def flush_to_disk(path: Path) -> None:
    """Keep what a file holds, or the names in a folder, through a power cut, as PostgreSQL keeps its rows."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete_older_files(directory: Path, oldest: float) -> int:
    """What obstore has staged included, which it does not list; folders go when they were empty long."""
    deleted = 0
    for folder, folders, names in os.walk(directory, topdown=False):
        old = [path for name in names if (path := Path(folder, name)).stat().st_mtime < oldest]
        for path in old:
            path.unlink()
        deleted += len(old)
        if not (folders or names) and Path(folder).stat().st_mtime < oldest:
            Path(folder).rmdir()
    return deleted
