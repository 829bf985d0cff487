"""Plays workers and broker for a test: real claims and records, and a call that no model has heard."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from threading import Thread
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.models import Call, Job, Summary
from callytics.db.turns import Turns
from callytics.domain.audio import Attribution, PreparedAudio, PreparedChannel
from callytics.domain.jobs import JobKind
from callytics.domain.sentiment import of_call
from callytics.domain.serial import to_json
from callytics.domain.stages import Stage
from callytics.domain.transcript import (
    Diarization,
    Interval,
    Sentence,
    Sentiment,
    SentimentLabel,
    SpeakerSegment,
    Turn,
    Word,
)
from callytics.ports import Computed, ModelInfo, Progress
from callytics.services.job import run_job
from callytics.services.job_work import JobHint, JobWork
from callytics.services.stage import AnyHint, Hint, StageContext, run_stage
from callytics.services.stages.merge import Merge
from tests.support.calls import FakeWork, NoStore

SAID = (
    ("SPEAKER_00", "안녕하세요", 0.4, 1.0),
    ("SPEAKER_00", "행복카드 고객센터 상담사입니다", 1.1, 2.0),
    ("SPEAKER_01", "환불이", 2.3, 3.0),
    ("SPEAKER_01", "안 돼요", 3.1, 4.0),
)
"""Speaker, word, start, end."""

AUDIO = PreparedAudio(
    sha256="0" * 64,
    codec="pcm_s16le",
    sample_rate_hz=8000,
    source_channels=1,
    duration_s=5.0,
    attribution=Attribution.DIARIZATION,
    channels=(
        PreparedChannel(
            index=0, key="none", speech=(Interval(start_s=0.4, end_s=4.0),), rms_dbfs=-20.0
        ),
    ),
)


class PreprocessWork(FakeWork):
    def write(self, session: Session, call: Call, computed: Computed) -> Any:
        super().write(session, call, computed)
        call.duration_s = AUDIO.duration_s
        return to_json(AUDIO)


class DiarizeWork(FakeWork):
    silent = False

    def write(self, session: Session, call: Call, computed: Computed) -> Any:
        super().write(session, call, computed)
        said = () if self.silent else SAID
        spoken = tuple(SpeakerSegment(speaker=who, start_s=a, end_s=b) for who, _, a, b in said)
        return to_json(Diarization(speech=spoken, exclusive=spoken))


class TranscribeWork(FakeWork):
    silent = False

    def write(self, session: Session, call: Call, computed: Computed) -> Any:
        super().write(session, call, computed)
        call.detected_language = "ko"
        said = () if self.silent else SAID
        return {
            "words": to_json(
                [Word(text=what, start_s=a, end_s=b, confidence=0.9) for _, what, a, b in said]
            )
        }


class MergeWork(FakeWork):
    """The real one, counted."""

    def write(self, session: Session, call: Call, computed: Computed) -> None:
        super().write(session, call, computed)
        merge = Merge()
        merge.write(session, call, merge.compute(merge.read(session, call), lambda _share: None))


class SentimentWork(FakeWork):
    """Who says that something does not work is not happy."""

    def write(self, session: Session, call: Call, computed: Computed) -> None:
        super().write(session, call, computed)
        turns = [self._judged(turn) for turn in Turns(session).of(call.id)]
        Turns(session).rewrite(call.id, turns)
        call.sentiment = of_call(turns)

    @staticmethod
    def _judged(turn: Turn) -> Turn:
        label = SentimentLabel.NEGATIVE if "안 돼요" in turn.text else SentimentLabel.POSITIVE
        sentiment = Sentiment(label=label, score=0.8)
        sentence = Sentence(text=turn.text, sentiment=sentiment)
        return replace(turn, sentences=(sentence,), sentiment=sentiment)


class SummarizeWork(FakeWork):
    def compute(self, inputs: UUID, progress: Progress) -> Computed:
        super().compute(inputs, progress)
        model = ModelInfo(name="small-chat", revision="1", device="cpu")
        return Computed(value=None, model=model, audio_s=5.0)

    def write(self, session: Session, call: Call, computed: Computed) -> dict[str, Any] | None:
        session.merge(
            Summary(
                call_id=call.id,
                text="고객이 환불을 문의함",
                provider="vllm",
                model="small-chat",
                revision="1",
                prompt_version="1",
                seconds=0.5,
                prompt_tokens=100,
                output_tokens=12,
            )
        )
        return super().write(session, call, computed)


@dataclass
class Pipeline:
    """`send` takes the hints that a broker would have been given; `run` does what workers would."""

    sessions: sessionmaker[Session]
    hints: list[Hint] = field(default_factory=list)
    job_hints: list[JobHint] = field(default_factory=list)
    jobs: dict[JobKind, JobWork] = field(default_factory=dict)
    works: dict[Stage, FakeWork] = field(
        default_factory=lambda: {
            **{stage: FakeWork(stage) for stage in Stage},
            Stage.PREPROCESS: PreprocessWork(Stage.PREPROCESS),
            Stage.DIARIZE: DiarizeWork(Stage.DIARIZE),
            Stage.TRANSCRIBE: TranscribeWork(Stage.TRANSCRIBE),
            Stage.MERGE: MergeWork(Stage.MERGE),
            Stage.SENTIMENT: SentimentWork(Stage.SENTIMENT),
            Stage.SUMMARIZE: SummarizeWork(Stage.SUMMARIZE),
        }
    )

    def send(self, hints: Iterable[AnyHint]) -> None:
        for hint in hints:
            if isinstance(hint, JobHint):
                self.job_hints.append(hint)
            else:
                self.hints.append(hint)

    def run(self) -> None:
        """Follow all hints to their end; those of jobs that this pipeline does not do stay."""
        while self.hints:
            hint = self.hints.pop(0)
            for stage in hint.stages:
                self.run_stage(stage, hint.call_id)
        while told := next((one for one in self.job_hints if one.kind in self.jobs), None):
            self.job_hints.remove(told)
            self.run_job(told.kind, told.job_id)

    def exhaust(self) -> None:
        """`run`, until every attempt was made."""
        for _ in range(8):
            told = list(self.job_hints)
            self.run()
            with unit_of_work(self.sessions) as session:
                session.execute(update(Job).values(next_attempt_at=None))
            self.send(hint for hint in told if hint.kind is JobKind.ANALYSIS)

    def run_stage(self, stage: Stage, call_id: UUID) -> None:
        run_stage(self.context(), stage, call_id)

    def run_job(self, kind: JobKind, job_id: UUID) -> None:
        run_job(self.context(), kind, job_id)

    def context(self) -> StageContext:
        return StageContext(
            sessions=self.sessions,
            works=self.works,
            store=NoStore(),
            send=self.send,
            worker="test",
            jobs=self.jobs,
        )

    def fail(self, stage: Stage, error: Exception) -> None:
        """Let the stage fail from now on."""

        def action(_progress: Progress) -> None:
            raise error

        self.works[stage].action = action

    def silence(self) -> None:
        """From now on nobody says anything."""
        for work in self.works.values():
            if isinstance(work, DiarizeWork | TranscribeWork):
                work.silent = True

    def succeed(self, stage: Stage) -> None:
        self.works[stage].action = lambda _progress: None


class Workers:
    """Follows every hint that the API sends, in a thread, until it is stopped."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._sent: SimpleQueue[list[AnyHint] | None] = SimpleQueue()
        self._thread = Thread(target=self._work)

    def send(self, hints: Iterable[AnyHint]) -> None:
        self._sent.put(list(hints))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._sent.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (hints := self._sent.get()) is not None:
            self._pipeline.send(hints)
            self._pipeline.run()
