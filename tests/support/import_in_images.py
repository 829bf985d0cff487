"""`python -m tests.support.import_in_images`: imports modules as if only an image's packages were there.

Standard input: `[{"image", "missing", "modules"}, ...]`; standard output: what went wrong, `{image: words}`.
What the first one has, every image has: so it is imported once, and each other one begins in a copy of that.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.importlib import MetaPathFinderProtocol


class Without:
    """What finds modules, but not those of packages that an image does not have."""

    def __init__(self, finders: "Sequence[MetaPathFinderProtocol]") -> None:
        self._finders = finders
        self.missing: frozenset[str] = frozenset()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in self.missing:
            return None
        found = (finder.find_spec(name, path, target) for finder in self._finders)
        return next((spec for spec in found if spec), None)

    def find_distributions(self, *context: Any) -> Iterator[Distribution]:
        for finder in self._finders:
            if hasattr(finder, "find_distributions"):
                yield from finder.find_distributions(*context)


FINDER = Without(tuple(sys.meta_path))


def try_out(image: dict[str, Any]) -> str | None:
    FINDER.missing = frozenset(image["missing"])
    for module in image["modules"]:
        try:
            importlib.import_module(module)
        except Exception as error:
            return f"{module}: {type(error).__name__}: {error}"
    return None


def in_a_copy(image: dict[str, Any]) -> str | None:
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, json.dumps(try_out(image)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    outcome: str | None = json.loads(said) if said else "the process died"
    return outcome


if __name__ == "__main__":
    sys.meta_path[:] = [FINDER]
    first, *others = json.load(sys.stdin)
    outcomes = {first["image"]: try_out(first)}
    outcomes |= {image["image"]: in_a_copy(image) for image in others}
    json.dump({image: words for image, words in outcomes.items() if words}, sys.stdout)
