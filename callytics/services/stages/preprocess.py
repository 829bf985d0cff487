"""The recording to prepared channels; where only its address is known, it is fetched first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from callytics.db.models import Call
from callytics.domain.audio import PreparedAudio
from callytics.domain.serial import to_json
from callytics.domain.stages import Stage
from callytics.errors import AudioMissingError
from callytics.ports import AudioFetcher, AudioStore, Computed, Preparer, Progress, call_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class ToPrepare:
    call_id: UUID
    audio_key: str | None
    audio_url: str | None
    channels: Mapping[str, int] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """`fetched_bytes` is None where the recording was there already."""

    audio: PreparedAudio
    audio_key: str
    fetched_bytes: int | None


class Preprocess:
    stage = Stage.PREPROCESS

    def __init__(self, preparer: Preparer, store: AudioStore, fetcher: AudioFetcher) -> None:
        self._preparer = preparer
        self._store = store
        self._fetcher = fetcher

    def read(self, session: Session, call: Call) -> ToPrepare:
        return ToPrepare(
            call_id=call.id,
            audio_key=call.audio_key,
            audio_url=call.audio_url,
            channels=call.channels,
        )

    def compute(self, inputs: ToPrepare, progress: Progress) -> Computed:
        folder = call_folder(inputs.call_id)
        key, fetched_bytes = inputs.audio_key, None
        if key is None:
            key = f"{folder}/original"
            fetched_bytes = self._fetch(inputs.audio_url, key)
        with self._store.open_local(key) as original:
            audio = self._preparer.prepare(
                original, key_prefix=folder, channels=inputs.channels, progress=progress
            )
        return Computed(
            value=Prepared(audio=audio, audio_key=key, fetched_bytes=fetched_bytes),
            model=self._preparer.info,
            audio_s=audio.duration_s,
        )

    def write(self, session: Session, call: Call, computed: Computed) -> dict[str, Any]:
        prepared: Prepared = computed.value
        if prepared.fetched_bytes is not None:
            call.audio_key = prepared.audio_key
            call.audio_bytes = prepared.fetched_bytes
        call.audio_sha256 = call.audio_sha256 or prepared.audio.sha256
        call.duration_s = prepared.audio.duration_s
        output: dict[str, Any] = to_json(prepared.audio)
        return output

    def _fetch(self, url: str | None, key: str) -> int:
        """Store what `url` names under `key`; the number of bytes."""
        if url is None:
            raise AudioMissingError
        size = 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for chunk in self._fetcher.fetch(url):
                size += len(chunk)
                yield chunk

        self._store.write(key, counted())
        return size
