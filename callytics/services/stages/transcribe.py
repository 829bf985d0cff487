"""Speech to words: each prepared channel whole, since cutting it by turns first makes it worse."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from callytics.db.models import Call
from callytics.db.stage_runs import StageRuns
from callytics.domain.audio import PreparedAudio
from callytics.domain.serial import from_json, to_json
from callytics.domain.stages import Stage
from callytics.ports import AudioStore, Computed, Progress, Transcriber, Transcription
from callytics.services.stages.waves import read_channel


@dataclass(frozen=True, kw_only=True, slots=True)
class ToHear:
    audio: PreparedAudio
    language: str | None
    hotwords: Sequence[str]


class Transcribe:
    stage = Stage.TRANSCRIBE

    def __init__(self, transcriber: Transcriber, store: AudioStore) -> None:
        self._transcriber = transcriber
        self._store = store

    def read(self, session: Session, call: Call) -> ToHear:
        outputs = StageRuns(session).outputs(call.id, Stage.PREPROCESS)
        return ToHear(
            audio=from_json(PreparedAudio, outputs[Stage.PREPROCESS]),
            language=call.language,
            hotwords=tuple(call.hotwords),
        )

    def compute(self, inputs: ToHear, progress: Progress) -> Computed:
        """The language that the first channel turned out to have is given to the others."""
        heard: list[Transcription] = []
        language = inputs.language
        channels = inputs.audio.channels
        for number, channel in enumerate(channels):
            found = self._transcriber.transcribe(
                read_channel(self._store, channel.key),
                speech=channel.speech,
                language=language,
                hotwords=inputs.hotwords,
                progress=partial(_of_channel, progress, number, len(channels)),
            )
            words = tuple(replace(word, channel=channel.index) for word in found.words)
            heard.append(replace(found, words=words))
            language = language or (found.language if words else None)
        return Computed(
            value=_together(heard),
            model=self._transcriber.info,
            audio_s=inputs.audio.duration_s * len(channels),
        )

    def write(self, session: Session, call: Call, computed: Computed) -> dict[str, Any]:
        call.detected_language = computed.value.language
        output: dict[str, Any] = to_json(computed.value)
        return output


def _of_channel(progress: Progress, number: int, channels: int, share: float) -> None:
    """`share` of the channel `number` is done: so much of all."""
    progress((number + share) / channels)


def _together(heard: Sequence[Transcription]) -> Transcription:
    """All channels' words by time; the language of the channel on which it was surest."""
    spoken = [one for one in heard if one.words]
    surest = max(spoken, key=lambda one: one.language_probability, default=None)
    return Transcription(
        words=tuple(sorted((w for one in heard for w in one.words), key=lambda w: w.start_s)),
        language=surest.language if surest else None,
        language_probability=surest.language_probability if surest else 0.0,
    )
