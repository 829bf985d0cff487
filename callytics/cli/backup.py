"""`callytics backup`: rows and recordings into a folder, and back into an empty database."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import print_json, say
from callytics.cli.options import Json

if TYPE_CHECKING:
    from callytics.adapters.audio_store import ObjectAudioStore

app = typer.Typer(no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The backup's folder.")]
NoAudio = Annotated[
    bool, typer.Option("--no-audio", help="Rows alone: the store has a backup of its own.")
]
PgBin = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where pg_dump and pg_restore are. (default: the extra `backup` or `embedded`, else PATH)",
    ),
]


@app.command()
def create(
    folder: Folder, *, no_audio: NoAudio = False, pg_bin: PgBin = None, as_json: Json = False
) -> None:
    """Back up rows and recordings while everything runs. The secret key is not in it: keep it elsewhere."""
    from callytics.adapters import backup

    with local.engine() as engine:
        note = backup.create(folder, engine, _store(no_audio), _programs(pg_bin))
    if as_json:
        print_json(asdict(note))
        return
    say(f"{folder}: {_words(asdict(note))}")


@app.command()
def restore(
    folder: Folder, *, no_audio: NoAudio = False, pg_bin: PgBin = None, as_json: Json = False
) -> None:
    """Restore a backup into the configured database, which has no tables, and the audio store.

    Give it again if it was interrupted. Then `callytics db upgrade`, and start the workers.
    """
    from callytics.adapters import backup

    with local.engine() as engine:
        note = backup.restore(folder, engine, _store(no_audio), _programs(pg_bin))
    if as_json:
        print_json(asdict(note))
        return
    say(f"Restored {_words(asdict(note))}")
    say("Now run `callytics db upgrade`; docs/backup.md says what else to think of.")


def _store(left_out: bool) -> "ObjectAudioStore | None":
    from callytics.adapters.audio_store import make_audio_store

    return None if left_out else make_audio_store(local.settings())


def _programs(folder: Path | None) -> Callable[[str], str]:
    """PostgreSQL's programs: those of the folder, of the embedded server, or of this machine."""
    from callytics.embedded.postgres import binary
    from callytics.errors import ConfigurationError

    def find(name: str) -> str:
        if folder is not None:
            return str(folder / name)
        try:
            return binary(name)
        except ConfigurationError:
            return shutil.which(name) or name

    return find


def _words(note: Mapping[str, Any]) -> str:
    audio = note["audio_files"]
    files = "recordings left out" if audio is None else f"{audio} files of audio"
    gone = f", {note['audio_missing']} recordings were gone" if note["audio_missing"] else ""
    return f"tables at {note['schema']}, {note['calls']} calls with a recording, {files}{gone}"
