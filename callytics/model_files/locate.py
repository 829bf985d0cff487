"""Where a model's files are: a folder, a name in the model directory, or a hub id."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from callytics.errors import ModelUnavailableError
from callytics.model_files import hub
from callytics.model_files.catalog import CATALOG
from callytics.model_files.store import Manifest, ModelDirectory, damaged_files, folder_revision
from callytics.settings import ModelSettings, Settings

BUNDLED_RUNTIMES = frozenset({"kiwi"})
"""Runtimes whose model is a dependency of theirs."""

SERVED_RUNTIMES = frozenset({"openai"})
"""Runtimes whose model another server loads, unless it is in the catalog: then ours serves it."""


class Found(StrEnum):
    """Where a configured model's files are."""

    FOLDER = "folder"
    MODEL_DIR = "model directory"
    HUB_CACHE = "hub cache"
    HUB = "hub"
    """Not here yet; its library fetches it when it loads."""
    BUNDLED = "bundled"
    SERVER = "server"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfiguredModel:
    """A line of `callytics models list`; what is not known is None."""

    task: str
    runtime: str
    model: str
    found: Found
    path: Path | None = None
    bytes: int | None = None
    licence: str | None = None
    revision: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A line of `callytics models check`: `problem` is None where every file is as it was fetched."""

    model: str
    problem: str | None


def resolve(
    name: str, settings: Settings, *, named_by: str = "CALLYTICS_MODELS__...__MODEL"
) -> Path | str:
    """The folder of the model `name`, or `name` itself if it is a hub id whose files are not here.

    Raises ModelUnavailableError, saying what to do, where there is neither; another is `named_by` that.
    """
    folder = _folder(name, settings)
    if folder is not None:
        return folder
    if hub.is_hub_id(name):
        return hub.cached(name, settings) or name
    if name in CATALOG:
        raise ModelUnavailableError(f"{name} is not here yet: run `callytics models fetch {name}`.")
    raise ModelUnavailableError(
        f"{name} is no folder, no model of the catalog and no hub id: put its files into "
        f"{settings.model_dir / name}, or name another ({named_by})."
    )


def revision_of(where: Path | str, wanted: str | None) -> str:
    """What identifies the files at `where`: of a manifest, a hub commit, or a folder's state."""
    if isinstance(where, str):
        return wanted or "unpinned"
    if where.parent.name == "snapshots":  # the hub's cache names a folder by its commit
        return where.name[:12]
    manifest = _manifest(where)
    return manifest.revision if manifest else folder_revision(where)


def configured(settings: Settings) -> tuple[tuple[str, ModelSettings], ...]:
    """Each task and the model that is configured for it; those of its variants as `transcribe.v2`."""
    return tuple(
        found
        for task, model in settings.models
        if model is not None
        for found in (
            (task, model),
            *((f"{task}.{name}", model.variant(name)) for name in model.variants),
        )
    )


def needs_fetching(model: ModelSettings) -> bool:
    """Whether `fetch` has anything to do with the configured `model`."""
    if model.model in CATALOG:
        return True
    served = model.runtime in SERVED_RUNTIMES | BUNDLED_RUNTIMES
    return not served and not Path(model.model).is_dir() and hub.is_hub_id(model.model)


def list_models(settings: Settings) -> tuple[ConfiguredModel, ...]:
    """Every configured model and where it is found."""
    return tuple(_describe(task, model, settings) for task, model in configured(settings))


def check(settings: Settings, names: Iterable[str] | None = None) -> tuple[Checked, ...]:
    """Whether the files of the models `names` (None: those that are configured) are in order."""
    wanted = names or dict.fromkeys(model.model for _, model in configured(settings))
    return tuple(_check(name, settings) for name in wanted)


def _folder(name: str, settings: Settings) -> Path | None:
    candidates = (settings.model_dir / name, Path(name).expanduser())
    return next((folder for folder in candidates if folder.is_dir()), None)


def _describe(task: str, model: ModelSettings, settings: Settings) -> ConfiguredModel:
    entry = CATALOG.get(model.model)
    found, path = _find(model, settings)
    manifest = _manifest(path)
    return ConfiguredModel(
        task=task,
        runtime=model.runtime,
        model=model.model,
        found=found,
        path=path,
        bytes=manifest.bytes if manifest else entry.bytes if entry else None,
        licence=manifest.licence if manifest else entry.licence if entry else None,
        revision=revision_of(path, None) if path else model.revision,
    )


def _find(model: ModelSettings, settings: Settings) -> tuple[Found, Path | None]:
    if model.runtime in BUNDLED_RUNTIMES:
        return Found.BUNDLED, None
    folder = _folder(model.model, settings)
    if folder is not None:
        return Found.MODEL_DIR if _manifest(folder) else Found.FOLDER, folder
    if model.runtime in SERVED_RUNTIMES and model.model not in CATALOG:
        return Found.SERVER, None
    if not hub.is_hub_id(model.model):
        return Found.MISSING, None
    snapshot = hub.cached(model.model, settings)
    return (Found.HUB_CACHE, snapshot) if snapshot else (Found.HUB, None)


def _manifest(folder: Path | None) -> Manifest | None:
    return ModelDirectory(root=folder.parent).manifest(folder.name) if folder else None


def _check(name: str, settings: Settings) -> Checked:
    model = next((model for _, model in configured(settings) if model.model == name), None)
    found, folder = _find(model or ModelSettings(runtime="", model=name), settings)
    return Checked(model=name, problem=_problem(name, found, folder))


def _problem(name: str, found: Found, folder: Path | None) -> str | None:
    if found is Found.MISSING and name not in CATALOG:
        return "not here; put its files into a folder of this name in the model directory"
    if found is Found.MISSING or found is Found.HUB:
        return f"not here; run `callytics models fetch {name}`"
    manifest = _manifest(folder)
    if folder is None or manifest is None:
        return None
    damaged = damaged_files(folder, manifest)
    return f"damaged: {', '.join(damaged)}; delete {folder} and fetch it again" if damaged else None
