"""The Dockerfile as data: which target has which extras, and which packages those bring."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DOCKERFILE = Path("Dockerfile").read_text("utf-8")

_STAGE = re.compile(r"^FROM (?P<base>\S+) AS (?P<name>\S+)$", re.MULTILINE)
_EXTRA = re.compile(r"--extra (\S+)")


def stages() -> Mapping[str, str]:
    """Each stage's instructions, after the line that begins it."""
    found = list(_STAGE.finditer(DOCKERFILE))
    ends = [match.start() for match in found[1:]] + [len(DOCKERFILE)]
    return {
        match["name"]: DOCKERFILE[match.end() : end] for match, end in zip(found, ends, strict=True)
    }


def targets() -> Mapping[str, str]:
    """The stages that become images."""
    runtime = {match["name"] for match in _STAGE.finditer(DOCKERFILE) if match["base"] == "runtime"}
    return {name: text for name, text in stages().items() if name in runtime}


def extras_of(target: str) -> list[str]:
    """Those of the libraries that the image `target` takes."""
    libraries = re.findall(r"--from=(\S+-libraries) /venv /venv", targets()[target])
    assert len(libraries) == 1, target
    return _EXTRA.findall(stages()[libraries[0]])


@cache
def _required(name: str) -> tuple[Requirement, ...]:
    try:
        return tuple(map(Requirement, requires(name) or ()))
    except PackageNotFoundError:  # for another system, or one that this project does without
        return ()


def closure(extras: Iterable[str]) -> set[str]:
    """The packages that `callytics` with these extras brings, by what those that are installed require."""
    seen: set[tuple[str, str]] = set()
    waiting = [("callytics", extra) for extra in ("", *extras)]
    while waiting:
        here = waiting.pop()
        if here in seen:
            continue
        seen.add(here)
        name, extra = here
        for need in _required(name):
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                wanted = canonicalize_name(need.name)
                waiting += [(wanted, further) for further in ("", *need.extras)]
    return {name for name, _ in seen}


def modules_beyond(packages: set[str]) -> set[str]:
    """What can be imported on this machine and comes with none of `packages`."""
    return {
        module
        for module, sources in packages_distributions().items()
        if not packages.intersection(map(canonicalize_name, sources))
    }
