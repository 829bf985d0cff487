"""What the presets leave to be said about the model that looks at photos."""

import pytest
from pydantic import ValidationError

from callytics.settings import PRESETS, ProviderSettings, Settings

SERVER = "CALLYTICS_MODELS__DIAGNOSIS_IMAGE__SERVER"


def test_offline_there_is_no_model_for_photos() -> None:
    assert Settings(preset="offline").models.diagnosis_image is None


def test_with_an_address_there_is_one_as_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER, "http://gpu:8000/v1")
    found = Settings(preset="offline").models.diagnosis_image

    assert found
    assert found.model_dump(exclude_unset=True) == {
        **PRESETS["production"]["diagnosis_image"],
        "server": "http://gpu:8000/v1",
    }


def test_a_model_that_there_is_no_task_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLYTICS_MODELS__DIAGNOSIS__SERVER", "http://gpu:8000/v1")
    with pytest.raises(ValidationError):
        Settings()


def test_what_a_wrong_setting_holds_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLYTICS_DATABASE__PASSWORD", "hunter2")
    monkeypatch.setenv("CALLYTICS_PROVIDERS__OPENAI__APIKEY", "hunter2-key")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert caught.value.error_count() == 2
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValidationError) as of_block:
        ProviderSettings.model_validate({"apikey": "hunter2"})
    assert "hunter2" not in str(of_block.value)
