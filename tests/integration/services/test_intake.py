"""Audio into the store, rows into the database: both or neither."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.adapters.audio_store import ObjectAudioStore, make_audio_store
from callytics.db.engine import unit_of_work
from callytics.db.models import AudioPurge, Call, Client, IdempotencyKey, StageRun
from callytics.errors import AudioMissingError, AudioTooLargeError, EmptyAudioError, NotAudioError
from callytics.services import intake
from callytics.services.intake import CallOptions, StoredAudio, Submission
from callytics.services.upkeep import LAST_WRITE, tidy
from callytics.settings import Settings

AUDIO = b"RIFF\0\0\0\0WAVE" + bytes(1000)


@pytest.fixture
def store(settings: Settings) -> ObjectAudioStore:
    return make_audio_store(settings)


@pytest.fixture
def client_id(sessions: sessionmaker[Session]) -> UUID:
    client = Client(id=uuid4(), name="centerlink")
    with unit_of_work(sessions) as session:
        session.add(client)
    return client.id


def files(settings: Settings) -> list[Path]:
    return [path for path in (settings.state_dir / "audio").rglob("*") if path.is_file()]


def stored(store: ObjectAudioStore) -> StoredAudio:
    return intake.store_audio(store, [AUDIO], max_bytes=2000)


def test_what_is_stored_is_counted_and_hashed(store: ObjectAudioStore) -> None:
    audio = intake.store_audio(store, [AUDIO[:7], b"", AUDIO[7:]], max_bytes=len(AUDIO))
    assert audio.size_bytes == len(AUDIO)
    assert audio.sha256 == stored(store).sha256
    assert b"".join(store.read(audio.key)) == AUDIO


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        ([], EmptyAudioError),
        ([b"", b""], EmptyAudioError),
        ([AUDIO, AUDIO], AudioTooLargeError),
        ([b"<ht", b"ml>"], NotAudioError),
        ([b"t" * 511, b"ext"], NotAudioError),
    ],
)
def test_what_is_refused_is_not_kept(
    store: ObjectAudioStore, settings: Settings, chunks: list[bytes], error: type[Exception]
) -> None:
    with pytest.raises(error):
        intake.store_audio(store, chunks, max_bytes=1500)
    assert files(settings) == []


class Unmovable(ObjectAudioStore):
    def move(self, source: str, target: str) -> None:
        raise AudioMissingError


def test_where_the_audio_cannot_be_moved_there_is_no_call(
    sessions: sessionmaker[Session], settings: Settings, client_id: UUID
) -> None:
    store = Unmovable(settings.audio_store_url)
    submission = Submission(
        client_id=client_id, source=stored(store), options=CallOptions(), idempotency_key="k1"
    )
    with pytest.raises(AudioMissingError):
        intake.submit(sessions, store, submission, settings)

    assert files(settings) == []
    with sessions() as session:
        for table in (Call, StageRun, IdempotencyKey):
            assert session.scalars(select(table)).all() == []


class CutOffAfterMove(ObjectAudioStore):
    """As if the process died with the audio moved and its rows not committed."""

    def move(self, source: str, target: str) -> None:
        super().move(source, target)
        raise KeyboardInterrupt


def test_audio_whose_call_never_came_is_deleted_by_upkeep(
    sessions: sessionmaker[Session], settings: Settings, client_id: UUID
) -> None:
    store = CutOffAfterMove(settings.audio_store_url)
    submission = Submission(client_id=client_id, source=stored(store), options=CallOptions())
    with pytest.raises(KeyboardInterrupt):
        intake.submit(sessions, store, submission, settings)
    assert len(files(settings)) == 1
    with unit_of_work(sessions) as session:
        session.execute(update(AudioPurge).values(created_at=AudioPurge.created_at - LAST_WRITE))
    tidy(sessions, store, settings)
    assert files(settings) == []


def test_audio_of_a_call_that_came_stays(
    sessions: sessionmaker[Session], settings: Settings, client_id: UUID, store: ObjectAudioStore
) -> None:
    submission = Submission(client_id=client_id, source=stored(store), options=CallOptions())
    intake.submit(sessions, store, submission, settings)
    with sessions() as session:
        assert session.scalars(select(AudioPurge)).all() == []


class Undeletable(ObjectAudioStore):
    def delete_prefix(self, prefix: str) -> int:
        raise OSError


def test_a_call_is_taken_in_though_nothing_can_be_tidied_up(
    sessions: sessionmaker[Session], settings: Settings, client_id: UUID
) -> None:
    store = Undeletable(settings.audio_store_url)
    submission = Submission(client_id=client_id, source=stored(store), options=CallOptions())
    accepted = intake.submit(sessions, store, submission, settings)
    assert b"".join(store.read(f"calls/{accepted.call_id}/original")) == AUDIO


def test_a_fingerprint_is_of_all_that_was_sent(client_id: UUID) -> None:
    def of(source: str = "https://a.example/", **options: object) -> str:
        return Submission(
            client_id=client_id,
            source=source,
            options=CallOptions(**options),  # type: ignore[arg-type]
        ).fingerprint()

    assert of() == of()
    others = [
        of(source="https://b.example/"),
        of(consultation_id="CL-1"),
        of(metadata={"a": 1}),
        of(hotwords=("a",)),
        of(channels={"agent": 0, "customer": 1}),
    ]
    assert len({of(), *others}) == 1 + len(others)
    assert of(metadata={"a": 1, "b": 2}) == of(metadata={"b": 2, "a": 1})
