"""The drill: a backup of a system at work, restored elsewhere, goes on where it stood."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.orm import Session, sessionmaker
from typer.testing import Result

from callytics.adapters import backup
from callytics.adapters.audio_store import ObjectAudioStore, make_audio_store
from callytics.db.engine import make_sessions, unit_of_work
from callytics.db.models import Call, Delivery, StageRun
from callytics.db.stage_runs import StageRuns
from callytics.domain.stages import Stage, StageStatus
from callytics.embedded.postgres import binary
from callytics.errors import BackupError
from callytics.ports import call_folder
from callytics.services import calls, intake, keys
from callytics.services.intake import CallOptions, Submission
from callytics.services.upkeep import sweep
from callytics.settings import PipelineSettings, Settings
from tests.integration.cli.conftest import Run
from tests.support.api import tone
from tests.support.deliveries import Deliverer, FakeCallbackClient, answer
from tests.support.waiting import wait_until

Sessions = sessionmaker[Session]
URL = "https://centerlink.example/webhook"


@dataclass
class Site:
    """A system's rows and recordings, and who puts in new ones."""

    sessions: Sessions
    store: ObjectAudioStore
    settings: Settings
    client_id: UUID

    def submit(self) -> UUID:
        audio = intake.store_audio(self.store, [tone()], max_bytes=10**6)
        submission = Submission(client_id=self.client_id, source=audio, options=CallOptions())
        return intake.submit(self.sessions, self.store, submission, self.settings).call_id

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Calls come in one after the other, and some of them are deleted again."""
        over, came = Event(), []

        def work() -> None:
            while not over.is_set():
                came.append(self.submit())
                if len(came) % 3 == 0:
                    with unit_of_work(self.sessions) as session:
                        calls.delete(session, self.client_id, came[-2])
                    calls.delete_audio(self.store, came[-2])

        thread = Thread(target=work)
        thread.start()
        try:
            wait_until(lambda: len(came) > 3)
            yield
            before = len(came)
            wait_until(lambda: len(came) > before)
        finally:
            over.set()
            thread.join()


@pytest.fixture
def deliverer(sessions: Sessions, settings: Settings) -> Deliverer:
    return Deliverer.make(sessions, settings, FakeCallbackClient(answer(200)))


@pytest.fixture
def site(sessions: Sessions, settings: Settings, deliverer: Deliverer) -> Site:
    return Site(sessions, make_audio_store(settings), settings, deliverer.client_id)


@pytest.fixture
def restored(empty_database_url: str) -> Iterator[Engine]:
    engine = create_engine(empty_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def restored_store(tmp_path: Path) -> ObjectAudioStore:
    return ObjectAudioStore((tmp_path / "restored").as_uri())


@pytest.fixture
def there(run: Run, restored: Engine, tmp_path: Path) -> Run:
    """As `run`, on a machine with that database and that store."""
    url = restored.url.render_as_string(hide_password=False)

    def invoke(*arguments: str, **_: str) -> Result:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("CALLYTICS_DATABASE_URL", url)
            environment.setenv("CALLYTICS_AUDIO__STORE_URL", (tmp_path / "restored").as_uri())
            return run(*arguments)

    return invoke


def test_a_backup_of_a_busy_system_goes_on_elsewhere(
    run: Run,
    site: Site,
    deliverer: Deliverer,
    tmp_path: Path,
    there: Run,
    restored: Engine,
) -> None:
    running, folder = site.submit(), str(tmp_path / "backup")
    begin(site, running)
    waiting = deliverer.enqueue(URL)
    with site.busy():
        made = run("backup", "create", folder, "--json")
    assert made.exit_code == 0, made.stderr
    note = json.loads(made.stdout)
    deliverer.run(waiting)  # what happens after the backup is not in it

    done = there("backup", "restore", folder)
    assert done.exit_code == 0, done.stderr
    sessions = make_sessions(restored)
    with unit_of_work(sessions) as session:
        rows = session.scalars(select(Call)).all()
        assert len(rows) == note["calls"]
    restored_store = ObjectAudioStore((tmp_path / "restored").as_uri())
    heard = [bool(restored_store.keys(f"calls/{call.id}")) for call in rows]
    assert heard.count(False) == note["audio_missing"]
    assert b"".join(restored_store.read(f"calls/{running}/original")) == tone()
    assert_goes_on(sessions, running)
    assert_is_told_under_the_same_id(sessions, deliverer, waiting)


def begin(site: Site, call_id: UUID) -> None:
    """A worker has its first stage in hand."""
    with unit_of_work(site.sessions) as session:
        claimed = StageRuns(session).claim(
            call_id,
            Stage.PREPROCESS,
            worker="lost",
            variant="v1",
            exclusive=False,
            lease=timedelta(0),
        )
        assert claimed is not None


def assert_goes_on(sessions: Sessions, running: UUID) -> None:
    """The lease of a worker that the restored system has never had runs out, and the stage is told anew."""
    settings = PipelineSettings(retry_base_s=0.001, retry_max_s=0.001, hint_after_s=0.001)
    told: set[UUID] = set()

    def swept() -> bool:
        for hint in sweep(sessions, settings):
            told.add(getattr(hint, "call_id", running))
        return running in told

    wait_until(swept)
    with unit_of_work(sessions) as session:
        stage = session.get_one(StageRun, (running, Stage.PREPROCESS))
        assert (stage.status, stage.attempt) == (StageStatus.QUEUED, 1)


def assert_is_told_under_the_same_id(
    sessions: Sessions, deliverer: Deliverer, waiting: UUID
) -> None:
    """A callback that went out after the backup goes out again, and its receiver can see that."""
    with unit_of_work(sessions) as session:
        [again] = session.scalars(select(Delivery.id)).all()
        assert again == waiting
    deliverer.sessions = sessions
    deliverer.run(again)
    assert isinstance(deliverer.client, FakeCallbackClient)
    (_, first, body), (_, second, same_body) = deliverer.client.posted
    assert first["webhook-id"] == second["webhook-id"] == str(waiting)
    assert body == same_body


def test_the_secrets_are_worth_nothing_without_the_secret_key(
    run: Run, site: Site, tmp_path: Path, there: Run, restored: Engine
) -> None:
    folder = str(tmp_path / "backup")
    assert run("backup", "create", folder).exit_code == 0
    assert there("backup", "restore", folder).exit_code == 0
    sessions = make_sessions(restored)
    with unit_of_work(sessions) as session:
        assert keys.live_secrets(session, keys.make_cipher(site.settings), site.client_id)
    key = site.settings.secret_key
    assert key is not None
    for file in Path(folder).rglob("*"):
        assert file.is_dir() or key.get_secret_value().encode() not in file.read_bytes()


def test_a_restore_that_was_cut_short_is_given_again(
    run: Run, site: Site, tmp_path: Path, there: Run, restored: Engine
) -> None:
    site.submit()
    folder = tmp_path / "backup"
    assert run("backup", "create", str(folder)).exit_code == 0
    cut = there("backup", "restore", str(folder), "--pg-bin", str(tmp_path))
    assert (cut.exit_code, "--pg-bin" in cut.stderr) == (1, True)  # recordings are there, rows not
    assert there("backup", "restore", str(folder)).exit_code == 0
    again = there("backup", "restore", str(folder))
    assert (again.exit_code, "empty one" in again.stderr) == (1, True)
    with unit_of_work(make_sessions(restored)) as session:
        assert session.scalar(select(func.count()).select_from(Call)) == 1


def test_a_backup_that_was_cut_short_or_changed_is_none(
    run: Run, site: Site, tmp_path: Path, there: Run
) -> None:
    folder = tmp_path / "backup"
    site.submit()
    assert run("backup", "create", str(folder), "--pg-bin", str(tmp_path)).exit_code == 1
    assert not folder.exists()
    assert "no finished backup" in there("backup", "restore", str(folder)).stderr
    assert run("backup", "create", str(folder)).exit_code == 0
    assert "is there already" in run("backup", "create", str(folder)).stderr
    assert list(tmp_path.glob("backup.*")) == []  # neither what was cut short nor a lock
    with (folder / "database.dump").open("ab") as dump:
        dump.write(b"x")
    assert "not what was backed up" in there("backup", "restore", str(folder)).stderr


def test_a_recording_that_is_deleted_while_it_is_copied_is_counted(
    site: Site, tmp_path: Path, engine: Engine, restored: Engine
) -> None:
    """Its row was dumped before, and comes back without it."""
    site.submit()
    deleted = site.submit()

    class Deleting(ObjectAudioStore):
        def keys(self, prefix: str) -> list[str]:
            self.delete_prefix(call_folder(deleted))
            return super().keys(prefix)

    store = Deleting(site.settings.audio_store_url)
    note = backup.create(tmp_path / "backup", engine, store, binary)
    assert (note.calls, note.audio_files, note.audio_missing) == (2, 1, 1)
    backup.restore(tmp_path / "backup", restored, store, binary)
    with unit_of_work(make_sessions(restored)) as session:
        assert None not in session.scalars(select(Call.audio_key)).all()


def test_a_backup_of_a_store_that_has_none_of_the_recordings_fails(
    site: Site, tmp_path: Path, engine: Engine
) -> None:
    """It was not mounted, or is another one: that is not found out years later."""
    site.submit()
    store = ObjectAudioStore((tmp_path / "other").as_uri())
    with pytest.raises(BackupError, match="CALLYTICS_AUDIO__STORE_URL"):
        backup.create(tmp_path / "backup", engine, store, binary)
    assert not (tmp_path / "backup").exists()


class Held(ObjectAudioStore):
    """Has whoever copies from it wait."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked, self.go_on = Event(), Event()

    def keys(self, prefix: str) -> list[str]:
        self.asked.set()
        assert self.go_on.wait(60)
        return super().keys(prefix)


def test_of_two_backups_into_one_folder_one_is_made(
    site: Site, tmp_path: Path, engine: Engine, restored: Engine
) -> None:
    site.submit()
    folder, store = tmp_path / "backup", Held(site.settings.audio_store_url)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(backup.create, folder, engine, store, binary)
        try:
            assert store.asked.wait(60)
            with pytest.raises(BackupError, match="by another"):
                backup.create(folder, engine, site.store, binary)
        finally:
            store.go_on.set()
        note = first.result()
    assert backup.restore(folder, restored, site.store, binary) == note


def test_a_backup_is_on_the_disk_before_it_is_called_finished(
    site: Site, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.submit()
    flushed: list[Path] = []

    def note(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr("os.fsync", note)
    folder = tmp_path / "backup"
    backup.create(folder, engine, site.store, binary)
    unfinished = tmp_path / "backup.unfinished"
    made = {unfinished / path.relative_to(folder) for path in (folder, *folder.rglob("*"))}
    assert made <= set(flushed)
    assert flushed[-1] == tmp_path


def test_recordings_that_are_not_those_of_the_backup_are_noticed_before_anything_is_touched(
    site: Site, tmp_path: Path, engine: Engine, restored: Engine, restored_store: ObjectAudioStore
) -> None:
    for _ in range(2):
        site.submit()
    folder = tmp_path / "backup"
    note = backup.create(folder, engine, site.store, binary)
    assert (note.audio_files, note.audio_bytes) == (2, 2 * len(tone()))

    def refuses() -> bool:
        with pytest.raises(BackupError, match=r"2 files .*were backed up"):
            backup.restore(folder, restored, restored_store, binary)
        return restored_store.keys("") == []

    first, second = (path for path in (folder / "audio").rglob("*") if path.is_file())
    whole = first.read_bytes()
    first.write_bytes(whole[:-1])
    assert refuses()
    of_format_1(folder)
    second.unlink()
    assert refuses()
    shutil.rmtree(folder / "audio")
    assert refuses()
    rows_alone = backup.restore(folder, restored, None, binary)
    assert (rows_alone.calls, rows_alone.audio_files) == (2, None)


def test_a_backup_of_the_version_before_is_restored(
    site: Site, tmp_path: Path, engine: Engine, restored: Engine, restored_store: ObjectAudioStore
) -> None:
    site.submit()
    backup.create(tmp_path / "backup", engine, site.store, binary)
    of_format_1(tmp_path / "backup")
    assert backup.restore(tmp_path / "backup", restored, restored_store, binary).audio_files == 1
    assert len(restored_store.keys("")) == 1


def of_format_1(folder: Path) -> None:
    """Its note says nothing of the bytes."""
    note = json.loads((folder / "backup.json").read_text())
    del note["audio_bytes"]
    (folder / "backup.json").write_text(json.dumps({**note, "format": 1}))


def test_recordings_may_be_left_to_the_store(
    run: Run,
    site: Site,
    tmp_path: Path,
    there: Run,
    restored_store: ObjectAudioStore,
) -> None:
    site.submit()
    folder = str(tmp_path / "backup")
    made = run("backup", "create", folder, "--no-audio", "--json")
    assert json.loads(made.stdout)["audio_files"] is None
    assert there("backup", "restore", folder).exit_code == 0
    assert restored_store.keys("") == []
    assert not (tmp_path / "backup" / "audio").exists()  # it may lie where nothing can be written
