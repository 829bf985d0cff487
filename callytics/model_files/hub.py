"""The model hub, where one can be reached. Its client comes with the model libraries, so not always."""

import re
import shutil
from pathlib import Path
from typing import Any

from callytics.errors import ModelFetchError
from callytics.model_files.catalog import HubSource
from callytics.settings import Settings

_REACH_TIMEOUT_S = 5.0

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def is_hub_id(name: str) -> bool:
    """Whether `name` has the form of one: `owner/model`."""
    return _HUB_ID.fullmatch(name) is not None


def reachable() -> bool:
    """Whether the hub answers at all; asked before a download, never while a model loads."""
    import httpx  # noqa: PLC0415 (a worker that loads its models does not need it)

    try:
        from huggingface_hub import constants  # noqa: PLC0415
    except ImportError:
        return False
    if constants.is_offline_mode():
        return False
    try:
        httpx.head(constants.ENDPOINT, timeout=_REACH_TIMEOUT_S)
    except httpx.HTTPError:
        return False
    return True


def download(source: HubSource, target: Path, settings: Settings) -> None:
    """Fill `target` with the files of `source` at its pinned commit."""
    wanted = list(source.files)
    _snapshot(
        source.repo, settings, revision=source.revision, allow_patterns=wanted, local_dir=target
    )
    shutil.rmtree(target / ".cache", ignore_errors=True)  # the library's own book-keeping


def fetch_cached(repo: str, settings: Settings) -> Path:
    """Bring a whole repository into the hub's own cache, where the model's library looks for it."""
    if not is_hub_id(repo):
        raise ModelFetchError(f"{repo} is no model of the catalog and no hub id.")
    return _snapshot(repo, settings, revision=_revision(repo, settings))


def cached(repo: str, settings: Settings) -> Path | None:
    """The folder of `repo` in the hub's own cache; None: it is not there, or nothing here can look."""
    try:
        return _snapshot(repo, settings, revision=_revision(repo, settings), local_files_only=True)
    except ModelFetchError:
        return None


def _snapshot(repo: str, settings: Settings, **options: Any) -> Path:
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415
    except ImportError as error:
        raise ModelFetchError(
            "The hub's client is not installed here: it comes with the extra `models`."
        ) from error
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    try:
        return Path(snapshot_download(repo, token=token, **options))
    except Exception as error:  # the library's errors have no common root
        raise ModelFetchError(f"The hub gave no {repo}: {type(error).__name__}.") from error


def _revision(repo: str, settings: Settings) -> str | None:
    """The revision that the settings name for `repo`."""
    return next(
        (model.revision for _, model in settings.models if model and model.model == repo), None
    )
