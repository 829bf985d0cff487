"""How well the configured models hear the shipped recordings: `python -m bench.accuracy`.

Character error rate (letters and digits) of each channel, diarization error rate (no collar) of what is on
one channel, and seconds of work by seconds of audio, against `samples/dialogue_ref.json` and
`samples/dialogue.rttm`.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar, cast

import jiwer

from callytics.adapters.audio_store import ObjectAudioStore
from callytics.domain.audio import SAMPLE_RATE_HZ, Attribution
from callytics.domain.stages import Stage
from callytics.domain.transcript import Interval, SpeakerSegment
from callytics.ports import Diarizer, Transcriber
from callytics.services.stages.waves import read_channel
from callytics.settings import Settings
from workers.runtimes import load
from workers.runtimes.audio import AudioPreparer
from workers.runtimes.voice_activity import SileroVoiceActivity

if TYPE_CHECKING:
    from callytics.ports import Audio

SAMPLES = Path(__file__).parents[1] / "samples"
RECORDINGS = ("dialogue_16k_mono.wav", "dialogue_8k_stereo_ulaw.wav")
SPEAKERS = ("agent", "customer")
"""Who is on which channel of a stereo recording."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """A prepared channel; `speaker` is None where both are on it."""

    recording: str
    speaker: str | None
    audio: "Audio"
    speech: Sequence[Interval]

    @property
    def duration_s(self) -> float:
        return len(self.audio) / SAMPLE_RATE_HZ


def prepared(recording: str, settings: Settings) -> Iterator[Channel]:
    """The channels of `recording` as the models get them."""
    with TemporaryDirectory() as folder:
        store = ObjectAudioStore(Path(folder).as_uri())
        preparer = AudioPreparer(settings.audio, store=store, voice_activity=SileroVoiceActivity())
        audio = preparer.prepare(
            SAMPLES / recording, key_prefix="calls/1", channels=None, progress=lambda _: None
        )
        both = audio.attribution is Attribution.DIARIZATION
        for channel in audio.channels:
            yield Channel(
                recording=recording,
                speaker=None if both else SPEAKERS[channel.index],
                audio=read_channel(store, channel.key),
                speech=channel.speech,
            )


def character_error_rate(speaker: str | None, heard: str) -> float:
    turns = json.loads((SAMPLES / "dialogue_ref.json").read_text("utf-8"))
    said = "".join(turn["text"] for turn in turns if speaker in {None, turn["speaker"]})
    return float(jiwer.cer(re.sub(r"\W", "", said), re.sub(r"\W", "", heard)))


def diarization_error_rate(segments: Sequence[SpeakerSegment], duration_s: float) -> float:
    # After the runtime, which prepares the ground for pyannote's import.
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.database.util import load_rttm
    from pyannote.metrics.diarization import DiarizationErrorRate

    (reference,) = load_rttm(SAMPLES / "dialogue.rttm").values()
    found = Annotation()
    for segment in segments:
        found[Segment(segment.start_s, segment.end_s)] = segment.speaker
    return float(DiarizationErrorRate()(reference, found, uem=Timeline([Segment(0, duration_s)])))


def timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.monotonic()
    result = work()
    return result, time.monotonic() - started


def transcribe(transcriber: Transcriber, channel: Channel) -> None:
    found, seconds = timed(
        lambda: transcriber.transcribe(
            channel.audio,
            speech=channel.speech,
            language=None,
            hotwords=(),
            progress=lambda _: None,
        )
    )
    heard = "".join(word.text for word in found.words)
    rate = character_error_rate(channel.speaker, heard)
    report(channel, f"{found.language}, CER {rate:6.1%}", seconds)


def diarize(diarizer: Diarizer, channel: Channel) -> None:
    found, seconds = timed(
        lambda: diarizer.diarize(channel.audio, num_speakers=2, progress=lambda _: None)
    )
    rate = diarization_error_rate(found.speech, channel.duration_s)
    report(channel, f"    DER {rate:6.1%}", seconds)


def report(channel: Channel, score: str, seconds: float) -> None:
    name = f"{channel.recording} ({channel.speaker or 'both'})"
    print(f"{name:44}{score}  {seconds:6.2f} s, RTF {seconds / channel.duration_s:.3f}")


def main() -> None:
    settings = Settings()
    transcriber = cast("Transcriber", load(Stage.TRANSCRIBE, settings))
    diarizer = cast("Diarizer", load(Stage.DIARIZE, settings))
    transcriber.warm_up()
    diarizer.warm_up()
    for channel in (one for name in RECORDINGS for one in prepared(name, settings)):
        transcribe(transcriber, channel)
        if channel.speaker is None:
            diarize(diarizer, channel)


if __name__ == "__main__":
    main()
