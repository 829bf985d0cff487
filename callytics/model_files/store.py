"""The model directory: a folder a model, each with a manifest that says what it is.

A folder appears under its name only when it is whole; what is still being made lies in `.partial`.
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from callytics.model_files.catalog import short_digest

MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a model's folder holds and where it came from.

    `revision` identifies the recipe it was made by (the first 12 digits of a SHA-256), or the first
    12 of a hub commit.
    """

    name: str
    revision: str
    licence: str
    source: tuple[str, ...]
    files: tuple[StoredFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelDirectory:
    root: Path

    def folder(self, name: str) -> Path:
        return self.root / name

    def partial(self, name: str) -> Path:
        """Where the model `name` is made; kept when a fetch breaks off, so that the next goes on."""
        return self.root / ".partial" / name

    def manifest(self, name: str) -> Manifest | None:
        """The manifest of the model `name`, or None if it is not here."""
        try:
            content = json.loads((self.folder(name) / MANIFEST).read_text("utf-8"))
        except FileNotFoundError:
            return None
        files = tuple(StoredFile(**file) for file in content.pop("files"))
        return Manifest(**{**content, "source": tuple(content["source"])}, files=files)

    def publish(
        self, folder: Path, *, name: str, revision: str, licence: str, source: tuple[str, ...]
    ) -> Path:
        """Describe the finished `folder` and give it the model's name, in place of an older one."""
        manifest = Manifest(
            name=name,
            revision=revision,
            licence=licence,
            source=source,
            files=describe_files(folder),
        )
        text = json.dumps(asdict(manifest), ensure_ascii=False, indent=2)
        (folder / MANIFEST).write_text(text + "\n", "utf-8")
        target, old = self.folder(name), self.partial(name) / "replaced"
        if target.exists():
            target.rename(old)
        folder.rename(target)
        shutil.rmtree(self.partial(name))
        return target

    @contextmanager
    def locked(self, name: str, *, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the model `name` against other processes; `waiting` is called if one holds it now."""
        locks = self.root / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / name).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def describe_files(folder: Path) -> tuple[StoredFile, ...]:
    """Every file below `folder`, in order of path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return tuple(
        StoredFile(
            path=path.relative_to(folder).as_posix(),
            bytes=path.stat().st_size,
            sha256=file_digest(path),
        )
        for path in paths
    )


def damaged_files(folder: Path, manifest: Manifest) -> list[str]:
    """Paths of the files that are missing or no longer the ones that were fetched."""
    return [
        file.path
        for file in manifest.files
        if not (folder / file.path).is_file() or file_digest(folder / file.path) != file.sha256
    ]


def folder_revision(folder: Path) -> str:
    """A revision for a folder that somebody else made: its files' names, sizes and times."""
    stats = ((path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file())
    return short_digest(
        [f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}" for path, stat in stats]
    )


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
