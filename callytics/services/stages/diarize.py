"""Who speaks when: by channel where speakers have their own, else by voice."""

from typing import Any

from sqlalchemy.orm import Session

from callytics.db.models import Call
from callytics.db.stage_runs import StageRuns
from callytics.domain.audio import Attribution, PreparedAudio, channel_label
from callytics.domain.serial import from_json, to_json
from callytics.domain.stages import Stage
from callytics.domain.transcript import Diarization, SpeakerSegment
from callytics.ports import BY_CHANNEL, AudioStore, Computed, Diarizer, Progress
from callytics.services.stages.waves import read_channel


class Diarize:
    stage = Stage.DIARIZE

    def __init__(
        self, diarizer: Diarizer, store: AudioStore, *, num_speakers: int | None = 2
    ) -> None:
        """`num_speakers` of a recording on one channel; None lets the model find it."""
        self._diarizer = diarizer
        self._store = store
        self._num_speakers = num_speakers

    def read(self, session: Session, call: Call) -> PreparedAudio:
        outputs = StageRuns(session).outputs(call.id, Stage.PREPROCESS)
        return from_json(PreparedAudio, outputs[Stage.PREPROCESS])

    def compute(self, inputs: PreparedAudio, progress: Progress) -> Computed:
        if inputs.attribution is Attribution.CHANNEL:
            return Computed(value=by_channel(inputs), model=BY_CHANNEL)
        if not inputs.has_speech:
            return Computed(value=Diarization())
        [channel] = inputs.channels
        found = self._diarizer.diarize(
            read_channel(self._store, channel.key),
            num_speakers=self._num_speakers,
            progress=progress,
        )
        return Computed(value=found, model=self._diarizer.info, audio_s=inputs.duration_s)

    def write(self, session: Session, call: Call, computed: Computed) -> dict[str, Any]:
        found: dict[str, Any] = to_json(computed.value)
        return found


def by_channel(audio: PreparedAudio) -> Diarization:
    """The channels' speech, in order of start."""
    segments = (
        SpeakerSegment(
            speaker=channel_label(channel.index), start_s=spoken.start_s, end_s=spoken.end_s
        )
        for channel in audio.channels
        for spoken in channel.speech
    )
    return Diarization(speech=tuple(sorted(segments, key=lambda segment: segment.start_s)))
