"""The first stages on a real database and store, with models that say what the test tells them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from callytics.adapters.audio_store import ObjectAudioStore
from callytics.db.models import Call, StageRun
from callytics.db.turns import Turns
from callytics.domain.stages import Stage, plan
from callytics.domain.transcript import Diarization, Interval, SpeakerSegment, Turn, Word
from callytics.ports import ModelInfo, Progress, Transcription
from callytics.services.stage import Outcome, StageContext, StageWork, run_stage
from callytics.services.stages.diarize import Diarize
from callytics.services.stages.merge import Merge
from callytics.services.stages.preprocess import Preprocess
from callytics.services.stages.transcribe import Transcribe
from callytics.settings import AudioSettings
from tests.support.calls import insert_call
from workers.runtimes.audio import AudioPreparer
from workers.runtimes.voice_activity import SileroVoiceActivity

if TYPE_CHECKING:
    from callytics.ports import Audio


@dataclass
class FakeFetcher:
    """Has the bytes of some addresses."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def check(self, url: str) -> None:
        """All addresses are fine here."""

    def fetch(self, url: str) -> Iterator[bytes]:
        self.asked.append(url)
        content = self.files[url]
        for begin in range(0, len(content), 1000):
            yield content[begin : begin + 1000]


@dataclass
class FakeDiarizer:
    segments: Sequence[SpeakerSegment] = ()
    """Who speaks, one at a time and so also all in all."""
    asked: list[tuple[int, int | None]] = field(default_factory=list)
    info: ModelInfo = field(
        default_factory=lambda: ModelInfo(name="fake", revision="1", device="cpu")
    )

    def warm_up(self) -> None:
        """Nothing to warm."""

    def diarize(
        self, audio: "Audio", *, num_speakers: int | None, progress: Progress
    ) -> Diarization:
        self.asked.append((len(audio), num_speakers))
        return Diarization(speech=tuple(self.segments), exclusive=tuple(self.segments))


@dataclass
class FakeTranscriber:
    """Gives the next list of words for each channel it hears."""

    words: list[Sequence[Word]] = field(default_factory=list)
    info: ModelInfo = field(
        default_factory=lambda: ModelInfo(name="fake", revision="1", device="cpu")
    )

    def warm_up(self) -> None:
        """Nothing to warm."""

    def transcribe(
        self,
        audio: "Audio",
        *,
        speech: Sequence[Interval],
        language: str | None,
        hotwords: Sequence[str],
        progress: Progress,
    ) -> Transcription:
        words = tuple(self.words.pop(0)) if self.words else ()
        return Transcription(words=words, language="ko", language_probability=0.9)


class Desk:
    """Runs stages of calls as a worker does."""

    def __init__(self, sessions: sessionmaker[Session], folder: Path) -> None:
        self.sessions = sessions
        self.store = ObjectAudioStore((folder / "store").as_uri())
        self.fetcher = FakeFetcher()
        self.diarizer = FakeDiarizer()
        self.transcriber = FakeTranscriber()
        preparer = AudioPreparer(
            AudioSettings(), store=self.store, voice_activity=SileroVoiceActivity()
        )
        self.works: Mapping[Stage, StageWork] = {
            Stage.PREPROCESS: Preprocess(preparer, self.store, self.fetcher),
            Stage.DIARIZE: Diarize(self.diarizer, self.store),
            Stage.TRANSCRIBE: Transcribe(self.transcriber, self.store),
            Stage.MERGE: Merge(),
        }

    def call(self, audio: bytes | None = None, **columns: Any) -> UUID:
        """A call up to its merge, whose recording is `audio`, or else behind an `audio_url`."""
        call_id = insert_call(self.sessions, plan([Stage.MERGE]), **columns)
        if audio is not None:
            self.store.write(f"calls/{call_id}/original", [audio])
        return call_id

    def run(self, call_id: UUID, *stages: Stage) -> None:
        context = StageContext(
            sessions=self.sessions,
            works=self.works,
            store=self.store,
            send=lambda _hints: None,
            worker="w1",
        )
        for stage in stages or self.works:
            assert run_stage(context, stage, call_id) in {Outcome.DONE, Outcome.FAILED}

    def row(self, call_id: UUID) -> Call:
        with self.sessions() as session:
            return session.get_one(Call, call_id)

    def stage(self, call_id: UUID, stage: Stage) -> StageRun:
        with self.sessions() as session:
            run = session.get_one(StageRun, (call_id, stage))
            _ = run.output
            return run

    def turns(self, call_id: UUID) -> tuple[Turn, ...]:
        with self.sessions() as session:
            return Turns(session).of(call_id, words=True)
