"""Runs a catalog entry's `convert` or `build` in a fresh interpreter, which gives its memory back.

Such a function takes the folders that it reads, by entry name, and an empty folder to fill:

    def build(sources: Mapping[str, Path], target: Path) -> None: ...
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from callytics.errors import ModelFetchError


def build(function: str, sources: Mapping[str, Path], target: Path) -> None:
    """Fill `target` by `function` (`module:function`); raises ModelFetchError with its last words."""
    target.mkdir(parents=True)
    given = json.dumps({name: str(path) for name, path in sources.items()})
    finished = subprocess.run(  # noqa: S603 (our own module, no shell)
        [sys.executable, "-m", __name__, function, given, str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        last = (finished.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ModelFetchError(f"{function} failed: {last}")


def main(function: str, sources: str, target: str) -> None:
    module, _, name = function.partition(":")
    folders = {entry: Path(path) for entry, path in json.loads(sources).items()}
    getattr(import_module(module), name)(folders, Path(target))


if __name__ == "__main__":
    main(*sys.argv[1:])
