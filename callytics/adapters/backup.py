"""Backups: PostgreSQL by its own tools, the recordings that its rows name, and a note of what they are.

The rows are dumped as one snapshot sees them, and of the recordings only those that this snapshot knows are
copied: what comes in meanwhile is in neither. The folder gets its name last, so half a backup never looks
like one; rows are restored last, in one transaction, so half a restore is simply given again.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, inspect, text

from callytics import __version__
from callytics.adapters.audio_store import READ_CHUNK_BYTES, ObjectAudioStore, flush_to_disk
from callytics.db.schema_version import newest
from callytics.errors import AudioMissingError, BackupError
from callytics.ports import call_folder

DUMP, AUDIO, NOTE = "database.dump", "audio", "backup.json"
FORMAT = 2

Program = Callable[[str], str]
"""Finds PostgreSQL's own program of a name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What a backup holds."""

    format: int
    version: str
    """Of the program that made it."""
    schema: str
    """The migration that its tables stand at."""
    created_at: str
    dump_sha256: str
    calls: int
    """Of whose recordings there should be some."""
    audio_files: int | None
    """None: the recordings were left out."""
    audio_bytes: int | None = None
    """Of the recordings; None: they were left out, or the note is of format 1."""
    audio_missing: int
    """Calls without a recording: it was deleted while the backup was made."""


def create(folder: Path, engine: Engine, store: ObjectAudioStore | None, program: Program) -> Note:
    """Back up into `folder`, which is not there yet; `store` None leaves the recordings out."""
    with _unfinished(folder) as unfinished:
        note = _fill(unfinished, engine, store, program)
        (unfinished / NOTE).write_text(json.dumps(asdict(note), indent=2) + "\n")
        for path in (*unfinished.rglob("*"), unfinished):
            flush_to_disk(path)  # a name that says finished must not outlive what it names
        unfinished.rename(folder)
        flush_to_disk(folder.parent)
    return note


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """The folder to fill, which is nobody else's; one that a backup left which was cut short is emptied."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f"{folder.name}.lock")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # whoever dies lets go of it
        except BlockingIOError as error:
            raise BackupError(f"{folder} is being made by another backup.") from error
        if folder.exists():
            lock.unlink()
            raise BackupError(f"{folder} is there already: each backup wants a new folder.")
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        yield unfinished
        lock.unlink()  # not before the folder is there: who holds one that is gone sees that


def _fill(folder: Path, engine: Engine, store: ObjectAudioStore | None, program: Program) -> Note:
    with _snapshot(engine) as connection:
        schema = connection.execute(text("SELECT max(version_num) FROM alembic_version")).scalar()
        calls = _with_audio(connection)
        _dump(engine.url, connection, folder / DUMP, program)
    copied = _copy(store, _local(folder), calls) if store else None
    if copied and not any(copied):
        raise BackupError(
            f"The audio store has nothing of any of {len(calls)} calls that have a recording: check "
            "CALLYTICS_AUDIO__STORE_URL, or leave the recordings out (--no-audio)."
        )
    return Note(
        format=FORMAT,
        version=__version__,
        schema=str(schema),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        dump_sha256=_sha256(folder / DUMP),
        calls=len(calls),
        audio_files=sum(copied) if copied is not None else None,
        audio_bytes=sum(_sizes(folder)) if copied is not None else None,
        audio_missing=copied.count(0) if copied is not None else 0,
    )


def restore(folder: Path, engine: Engine, store: ObjectAudioStore | None, program: Program) -> Note:
    """Restore `folder` into a database without tables; recordings first, so that rows never lack them.

    `store` None leaves the recordings out. The note is of what was restored.
    """
    note = read_note(folder)
    if _sha256(folder / DUMP) != note.dump_sha256:
        raise BackupError(f"{folder / DUMP} is not what was backed up: take another backup.")
    if note.schema > newest():
        raise BackupError(
            f"The backup's tables are at version {note.schema}, this program knows {newest()}: "
            f"restore with Callytics {note.version} or newer."
        )
    if inspect(engine).get_table_names():
        raise BackupError("The database has tables already: restore into an empty one.")
    if store is None:
        note = replace(note, audio_files=None, audio_bytes=None)
    elif note.audio_files:
        _check_audio(folder, note)
        source = _local(folder)
        for key in source.keys(""):
            _copy_file(source, store, key)
    _run(
        [
            program("pg_restore"),
            "--single-transaction",
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
            f"--dbname={_address(engine.url)}",
            str(folder / DUMP),
        ],
        engine.url,
    )
    return note


def read_note(folder: Path) -> Note:
    try:
        said = json.loads((folder / NOTE).read_text())
        if said["format"] > FORMAT:
            raise BackupError(f"{folder} was made by a newer version ({said['version']}).")
        return Note(**said)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{folder} is no finished backup: it has no good {NOTE}.") from error


@contextmanager
def _snapshot(engine: Engine) -> Iterator[Connection]:
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        yield connection


def _with_audio(connection: Connection) -> Sequence[str]:
    found = connection.execute(text("SELECT id FROM calls WHERE audio_key IS NOT NULL"))
    return [call_folder(row.id) for row in found]


def _dump(url: URL, connection: Connection, target: Path, program: Program) -> None:
    snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar()
    _run(
        [
            program("pg_dump"),
            "--format=custom",
            "--no-unlogged-table-data",
            f"--snapshot={snapshot}",
            f"--file={target}",
            f"--dbname={_address(url)}",
        ],
        url,
    )


def _sizes(folder: Path) -> list[int]:
    """Of the recordings in `folder`."""
    return [path.stat().st_size for path in (folder / AUDIO).rglob("*") if path.is_file()]


def _check_audio(folder: Path, note: Note) -> None:
    sizes = _sizes(folder)
    if len(sizes) != note.audio_files or note.audio_bytes not in {None, sum(sizes)}:
        size = "" if note.audio_bytes is None else f" of {note.audio_bytes} bytes"
        raise BackupError(
            f"{folder / AUDIO} holds {len(sizes)} files of {sum(sizes)} bytes, and {note.audio_files} "
            f"files{size} were backed up: take another backup, or restore the rows alone (--no-audio)."
        )


def _copy(source: ObjectAudioStore, target: ObjectAudioStore, calls: Sequence[str]) -> list[int]:
    """How many files each call had."""
    return [_copy_call(source, target, folder) for folder in calls]


def _copy_call(source: ObjectAudioStore, target: ObjectAudioStore, folder: str) -> int:
    copied = 0
    for key in source.keys(folder):
        with suppress(AudioMissingError):  # deleted since it was listed
            _copy_file(source, target, key)
            copied += 1
    return copied


def _copy_file(source: ObjectAudioStore, target: ObjectAudioStore, key: str) -> None:
    """By way of a file: obstore cannot read from one store while it writes to another."""
    with source.open_local(key) as path, path.open("rb") as file:
        target.write(key, iter(lambda: file.read(READ_CHUNK_BYTES), b""))


def _local(folder: Path) -> ObjectAudioStore:
    return ObjectAudioStore((folder / AUDIO).absolute().as_uri())


def _address(url: URL) -> str:
    """For libpq, without the password: everybody may read a command line."""
    open_part = URL.create(
        "postgresql",
        username=url.username,
        host=url.host,
        port=url.port,
        database=url.database,
        query=url.query,
    )
    return open_part.render_as_string()


def _run(command: Sequence[str], url: URL) -> None:
    password = {"PGPASSWORD": url.password} if url.password else {}
    try:
        done = subprocess.run(  # noqa: S603
            command, env={**os.environ, **password}, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise BackupError(
            f"There is no {command[0]}: install PostgreSQL's client programs, of the server's version "
            "or newer, or name their folder with --pg-bin."
        ) from error
    if done.returncode != 0:
        raise BackupError(_reason(done.stderr) or f"{command[0]} ended with {done.returncode}.")


def _reason(said: str) -> str:
    """The first line of an error alone: further ones may quote a row."""
    return next((line for line in said.splitlines() if "error:" in line), "")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
