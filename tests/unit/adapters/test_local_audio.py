import os
from pathlib import Path

import pytest

from callytics.adapters.local_audio import read_below_roots
from callytics.errors import AudioPathForbiddenError, AudioPathUnreadableError, AudioTooLargeError
from callytics.settings import AudioSettings


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "first", tmp_path / "second"
    for root in (first, second):
        root.mkdir()
        (root / f"{root.name}.wav").write_bytes(root.name.encode())
    (tmp_path / "outside.wav").write_bytes(b"secret")
    return first, second


def read(path: str | Path, roots: tuple[Path, ...], max_bytes: int = 1000) -> bytes:
    settings = AudioSettings(roots=roots, max_bytes=max_bytes)
    return b"".join(read_below_roots(str(path), settings))


def test_a_path_is_absolute_or_relative_to_any_root(roots: tuple[Path, Path]) -> None:
    assert read(roots[0] / "first.wav", roots) == b"first"
    assert read("first.wav", roots) == b"first"
    assert read("second.wav", roots) == b"second"


def test_a_link_that_stays_inside_is_followed(roots: tuple[Path, Path]) -> None:
    (roots[0] / "near").symlink_to("first.wav")
    (roots[0] / "far").symlink_to(roots[1] / "second.wav")
    assert read("near", roots) == b"first"
    assert read("far", roots) == b"second"


def test_a_root_may_be_a_link_itself(roots: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to(roots[0])
    assert read("first.wav", (tmp_path / "root",)) == b"first"


@pytest.mark.parametrize(
    "path", ["../outside.wav", "folder/../../outside.wav", "link", "../first/link"]
)
def test_what_leads_outside_is_forbidden(roots: tuple[Path, Path], path: str) -> None:
    (roots[0] / "link").symlink_to(roots[0].parent / "outside.wav")
    with pytest.raises(AudioPathForbiddenError):
        read(path, roots[:1])


def test_a_sibling_whose_name_begins_alike_is_outside(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root-2").mkdir()
    (tmp_path / "root-2" / "a.wav").write_bytes(b"secret")
    with pytest.raises(AudioPathForbiddenError):
        read(tmp_path / "root-2" / "a.wav", (tmp_path / "root",))


def test_without_roots_every_path_is_forbidden(roots: tuple[Path, Path]) -> None:
    with pytest.raises(AudioPathForbiddenError):
        read(roots[0] / "first.wav", ())


def test_whether_something_is_there_is_not_told_of_the_outside(roots: tuple[Path, Path]) -> None:
    for path in ("/etc/passwd", "/etc/no-such-file", "/root/x"):
        with pytest.raises(AudioPathForbiddenError):
            read(path, roots)


@pytest.mark.parametrize("path", ["missing", ".", "pipe", "first.wav/a", "x" * 300])
def test_what_is_no_regular_file_is_unreadable(roots: tuple[Path, Path], path: str) -> None:
    os.mkfifo(roots[0] / "pipe")
    with pytest.raises(AudioPathUnreadableError):
        read(path, roots[:1])


def test_a_file_over_the_limit_is_not_read(roots: tuple[Path, Path]) -> None:
    with pytest.raises(AudioTooLargeError):
        read("first.wav", roots, max_bytes=4)
