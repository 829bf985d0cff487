"""Taking a call in: audio into the store, rows into the database, both or neither."""

import hashlib
import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.audio_purges import AudioPurges
from callytics.db.engine import unit_of_work
from callytics.db.idempotency import IdempotencyKeys
from callytics.db.models import Call, StageRun
from callytics.domain.job import Priority
from callytics.domain.sniff import HEAD_BYTES, is_certainly_not_audio
from callytics.domain.stages import EVERY_STAGE, SPECS, Stage, plan
from callytics.errors import (
    AudioTooLargeError,
    EmptyAudioError,
    IdempotencyKeyReusedError,
    NotAudioError,
)
from callytics.ports import INCOMING, AudioStore, UploadStore, call_folder
from callytics.services.delivery import check_callback_url
from callytics.services.stage import AnyHint, advance
from callytics.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class CallOptions:
    """What a client may ask for beside the audio (the HTTP schema says what each of them means)."""

    consultation_id: str | None = None
    callback_url: str | None = None
    priority: Priority = Priority.NORMAL
    language: str | None = None
    hotwords: tuple[str, ...] = ()
    channels: Mapping[str, int] | None = None
    stages: tuple[Stage, ...] = EVERY_STAGE
    analyse: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredAudio:
    """Audio in the store that belongs to no call yet; the only object in `folder`."""

    folder: str
    size_bytes: int
    sha256: str

    @property
    def key(self) -> str:
        return f"{self.folder}/audio"


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A call to take in: stored audio, or the address of some."""

    client_id: UUID
    source: StoredAudio | str
    options: CallOptions
    idempotency_key: str | None = None

    def fingerprint(self) -> str:
        """SHA-256 over all that the client sent: two requests with the same one are the same request."""
        source = self.source.sha256 if isinstance(self.source, StoredAudio) else self.source
        said = json.dumps([source, asdict(self.options)], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The call, and what the broker is to be told of it (nothing if it was there before)."""

    call_id: UUID
    hints: Sequence[AnyHint] = ()


def store_audio(store: AudioStore, chunks: Iterable[bytes], *, max_bytes: int) -> StoredAudio:
    """Put audio into the store; nothing stays there if it is empty, too large or certainly no audio."""
    meter = _Meter(max_bytes)
    store.write(meter.stored().key, meter.through(chunks))
    return meter.stored()


async def receive_audio(
    store: UploadStore, chunks: AsyncIterable[bytes], *, max_bytes: int
) -> StoredAudio:
    """As `store_audio`, for an upload."""
    meter = _Meter(max_bytes)
    await store.receive(meter.stored().key, meter.through_async(chunks))
    return meter.stored()


def discard(store: AudioStore, audio: StoredAudio) -> None:
    """Drop audio that no call has taken. What is left behind here upkeep finds."""
    try:
        store.delete_prefix(audio.folder)
    except Exception as error:
        log.warning("incoming_not_discarded", folder=audio.folder, error=type(error).__name__)


def submit(
    sessions: sessionmaker[Session], store: AudioStore, submission: Submission, settings: Settings
) -> Accepted:
    """Make the call's rows and give it its audio; the same request under the same key makes one call."""
    try:
        if submission.options.callback_url is not None:
            check_callback_url(submission.options.callback_url, settings.callbacks)
        ttl = timedelta(hours=settings.api.idempotency_ttl_h)
        try:
            return _accept(sessions, store, submission, ttl)
        except _KeyTakenError:
            # A twin of this request was quicker by a moment; by now its row is there.
            return _accept(sessions, store, submission, ttl)
    finally:
        if isinstance(submission.source, StoredAudio):
            discard(store, submission.source)


class _KeyTakenError(Exception):
    """Another transaction has claimed the Idempotency-Key in the meantime."""


def _accept(
    sessions: sessionmaker[Session], store: AudioStore, submission: Submission, ttl: timedelta
) -> Accepted:
    call_id = uuid4()
    folder = call_folder(call_id)
    with unit_of_work(sessions) as session:
        earlier = _earlier(session, submission, ttl)
        if earlier is not None:
            return Accepted(call_id=earlier)
        # Until the call's rows are there, its audio is nobody's: upkeep deletes it if they never come.
        AudioPurges(session).add(folder)
    with unit_of_work(sessions) as session:
        call = _add_call(session, call_id, submission)
        key = submission.idempotency_key
        if key is not None and not IdempotencyKeys(session).claim(
            submission.client_id, key, submission.fingerprint(), call_id=call.id
        ):
            raise _KeyTakenError
        hints = advance(session, call)
        AudioPurges(session).remove(folder)
        if isinstance(submission.source, StoredAudio) and call.audio_key is not None:
            store.move(submission.source.key, call.audio_key)
    log.info("call_accepted", call_id=str(call.id))
    return Accepted(call_id=call.id, hints=hints)


def _earlier(session: Session, submission: Submission, ttl: timedelta) -> UUID | None:
    """The call that this Idempotency-Key has already made."""
    if submission.idempotency_key is None:
        return None
    known = IdempotencyKeys(session).find(submission.client_id, submission.idempotency_key, ttl)
    if known is None:
        return None
    if known.request_hash != submission.fingerprint():
        raise IdempotencyKeyReusedError
    return known.call_id


def _add_call(session: Session, call_id: UUID, submission: Submission) -> Call:
    options = submission.options
    stages = plan(options.stages)
    call = Call(
        id=call_id,
        client_id=submission.client_id,
        consultation_id=options.consultation_id,
        priority=options.priority,
        language=options.language,
        hotwords=list(options.hotwords),
        channels=dict(options.channels) if options.channels else None,
        stages=[stage.value for stage in stages],
        callback_url=options.callback_url,
        analyse=options.analyse,
        details=dict(options.metadata),
        **_audio_columns(call_id, submission.source),
    )
    session.add(call)
    session.flush()
    session.add_all(
        StageRun(call_id=call_id, stage=stage, attempt_limit=SPECS[stage].max_attempts)
        for stage in stages
    )
    session.flush()
    return call


def _audio_columns(call_id: UUID, source: StoredAudio | str) -> dict[str, Any]:
    if isinstance(source, str):
        return {"audio_url": source}
    return {
        "audio_key": f"{call_folder(call_id)}/original",
        "audio_bytes": source.size_bytes,
        "audio_sha256": source.sha256,
    }


class _Meter:
    """Counts and hashes audio on its way into the store, and stops what is too large or no audio."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._folder = f"{INCOMING}{uuid4()}"
        self._digest = hashlib.sha256()
        self._size = 0
        self._head = b""

    def stored(self) -> StoredAudio:
        return StoredAudio(
            folder=self._folder, size_bytes=self._size, sha256=self._digest.hexdigest()
        )

    def through(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._see(chunk)
            yield chunk
        self._finish()

    async def through_async(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self._see(chunk)
            yield chunk
        self._finish()

    def _see(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._max_bytes:
            raise AudioTooLargeError(max_bytes=self._max_bytes)
        self._digest.update(chunk)
        missing = HEAD_BYTES - len(self._head)
        if missing > 0:
            self._head += chunk[:missing]
            if len(self._head) == HEAD_BYTES:
                self._judge()

    def _finish(self) -> None:
        # Raised while the store still expects more, so that it keeps nothing.
        if self._size == 0:
            raise EmptyAudioError
        if len(self._head) < HEAD_BYTES:
            self._judge()

    def _judge(self) -> None:
        if is_certainly_not_audio(self._head):
            raise NotAudioError
