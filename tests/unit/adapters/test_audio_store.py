import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from time import time

import pytest

from callytics.adapters.audio_store import ObjectAudioStore
from callytics.errors import AudioMissingError, ConfigurationError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "an audio store"


@pytest.fixture
def store(directory: Path) -> ObjectAudioStore:
    return ObjectAudioStore(directory.as_uri())


def test_what_is_no_address_is_told() -> None:
    with pytest.raises(ConfigurationError, match="file:// or s3://"):
        ObjectAudioStore("/recordings")


def files(directory: Path) -> list[str]:
    return sorted(str(f.relative_to(directory)) for f in directory.rglob("*") if f.is_file())


def content(store: ObjectAudioStore, key: str) -> bytes:
    return b"".join(store.read(key))


def test_what_was_written_is_read(store: ObjectAudioStore) -> None:
    store.write("calls/1/original", [b"ab", b"", b"cd"])
    assert content(store, "calls/1/original") == b"abcd"
    with store.open_local("calls/1/original") as path:
        assert path.read_bytes() == b"abcd"


def test_writing_again_replaces(store: ObjectAudioStore) -> None:
    store.write("a", [b"old and long"])
    store.write("a", [b"new"])
    assert content(store, "a") == b"new"


def test_more_than_a_part_is_written_whole(store: ObjectAudioStore) -> None:
    chunks = [bytes([n]) * 2**20 for n in range(12)]
    store.write("large", iter(chunks))
    assert content(store, "large") == b"".join(chunks)


@pytest.mark.parametrize("megabytes", [0, 1, 12])
def test_of_a_write_that_fails_nothing_stays(
    store: ObjectAudioStore, directory: Path, megabytes: int
) -> None:
    store.write("a", [b"before"])

    def chunks() -> Iterator[bytes]:
        yield from [b"x" * 2**20] * megabytes
        raise AudioMissingError("half-way")

    with pytest.raises(AudioMissingError, match="half-way"):
        store.write("a", chunks())
    assert files(directory) == ["a"]
    assert content(store, "a") == b"before"


def test_what_is_received_is_read(store: ObjectAudioStore) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for n in range(200):
            await asyncio.sleep(0)
            yield bytes([n]) * 2**16

    asyncio.run(receive(store, chunks()))
    assert content(store, "a") == b"".join(bytes([n]) * 2**16 for n in range(200))


@pytest.mark.parametrize("megabytes", [0, 1, 12])
def test_of_an_upload_that_breaks_off_nothing_stays(
    store: ObjectAudioStore, directory: Path, megabytes: int
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(megabytes):
            yield b"x" * 2**20
        raise AudioMissingError("half-way")

    with pytest.raises(AudioMissingError, match="half-way"):
        asyncio.run(receive(store, chunks()))
    assert files(directory) == []


async def receive(store: ObjectAudioStore, chunks: AsyncIterator[bytes]) -> None:
    await store.receive("a", chunks)


def test_an_object_is_moved(store: ObjectAudioStore, directory: Path) -> None:
    store.write("incoming/1/audio", [b"abc"])
    store.move("incoming/1/audio", "calls/1/original")
    assert files(directory) == ["calls/1/original"]


def test_what_is_not_there_is_missing(store: ObjectAudioStore) -> None:
    with pytest.raises(AudioMissingError):
        store.move("a", "b")
    with pytest.raises(AudioMissingError):
        content(store, "a")
    with pytest.raises(AudioMissingError), store.open_local("a"):
        pass


def test_all_below_a_prefix_is_deleted_and_nothing_else(
    store: ObjectAudioStore, directory: Path
) -> None:
    for key in ("calls/1/original", "calls/1/deep/er", "calls/10/original"):
        store.write(key, [b"abc"])
    assert store.delete_prefix("calls/1/") == 2
    assert files(directory) == ["calls/10/original"]
    assert not (directory / "calls" / "1").exists()


def test_deleting_twice_is_harmless(store: ObjectAudioStore) -> None:
    store.write("calls/1/original", [b"abc"])
    assert [store.delete_prefix("calls/1/") for _ in range(2)] == [1, 0]


def test_what_a_killed_writer_had_staged_is_deleted_too(
    store: ObjectAudioStore, directory: Path
) -> None:
    store.write("calls/1/original", [b"abc"])
    (directory / "calls/1/channel-0.wav#1").write_bytes(b"half")
    store.delete_prefix("calls/1/")
    assert files(directory) == []


@pytest.mark.parametrize("prefix", ["../", "calls/../../"])
def test_no_prefix_leads_out_of_the_store(
    store: ObjectAudioStore, directory: Path, prefix: str
) -> None:
    (directory.parent / "other").write_bytes(b"")
    with pytest.raises(ValueError, match="illegal"):
        store.delete_prefix(prefix)
    assert (directory.parent / "other").exists()


def test_what_lies_there_long_is_deleted_with_what_was_staged(
    store: ObjectAudioStore, directory: Path
) -> None:
    for name in ("old", "new"):
        store.write(f"incoming/{name}/audio", [b"abc"])
        (directory / f"incoming/{name}/audio#1").write_bytes(b"half")
    long_ago = time() - 7200
    for file in (directory / "incoming" / "old").iterdir():
        os.utime(file, (long_ago, long_ago))

    assert store.delete_older("incoming/", timedelta(hours=1)) == 2
    assert files(directory) == ["incoming/new/audio", "incoming/new/audio#1"]
    assert store.delete_older("nothing/", timedelta(hours=1)) == 0


def test_folders_that_are_empty_long_are_deleted(store: ObjectAudioStore, directory: Path) -> None:
    for name in ("old", "new"):
        (directory / "incoming" / name).mkdir(parents=True)
    os.utime(directory / "incoming" / "old", (time() - 7200, time() - 7200))
    store.delete_older("incoming/", timedelta(hours=1))
    assert [folder.name for folder in (directory / "incoming").iterdir()] == ["new"]
