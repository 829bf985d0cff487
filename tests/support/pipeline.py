"""Plays workers and broker for the calls of a test: real claims and records, results made up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.models import Call, CallTurn, Summary
from callytics.domain.stages import Stage
from callytics.domain.transcript import Role
from callytics.ports import Computed, ModelInfo, Progress
from callytics.services.stage import Hint, StageContext, run_stage
from tests.support.calls import FakeWork, NoStore

SPOKEN: tuple[Mapping[str, Any], ...] = (
    {
        "start_s": 0.4,
        "end_s": 2.0,
        "speaker": "SPEAKER_00",
        "role": Role.AGENT,
        "role_confidence": 0.9,
        "text": "안녕하세요, 고객센터입니다.",
        "sentences": [
            {
                "text": "안녕하세요, 고객센터입니다.",
                "sentiment": {"label": "positive", "score": 0.8},
            }
        ],
        "sentiment": {"label": "positive", "score": 0.8},
        "words": [
            {"text": "안녕하세요", "start_s": 0.4, "end_s": 1.0, "confidence": 0.98},
            {"text": "고객센터입니다", "start_s": 1.1, "end_s": 2.0, "confidence": 0.91},
        ],
    },
    {
        "start_s": 2.3,
        "end_s": 4.0,
        "speaker": "SPEAKER_01",
        "role": Role.CUSTOMER,
        "role_confidence": 0.9,
        "text": "환불이 안 돼요.",
        "sentences": [
            {"text": "환불이 안 돼요.", "sentiment": {"label": "negative", "score": 0.7}}
        ],
        "sentiment": {"label": "negative", "score": 0.7},
        "words": [
            {"text": "환불이", "start_s": 2.3, "end_s": 3.0, "confidence": 0.95},
            {"text": "안 돼요", "start_s": 3.1, "end_s": 4.0, "confidence": 0.9},
        ],
    },
)
"""A call of two turns."""


class MergeWork(FakeWork):
    def write(self, session: Session, call: Call, computed: Computed) -> dict[str, Any] | None:
        call.duration_s = 5.0
        call.detected_language = "ko"
        session.execute(delete(CallTurn).where(CallTurn.call_id == call.id))
        session.add_all(
            CallTurn(call_id=call.id, index=index, **turn) for index, turn in enumerate(SPOKEN)
        )
        return super().write(session, call, computed)


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
    works: dict[Stage, FakeWork] = field(
        default_factory=lambda: {
            **{stage: FakeWork(stage) for stage in Stage},
            Stage.MERGE: MergeWork(Stage.MERGE),
            Stage.SUMMARIZE: SummarizeWork(Stage.SUMMARIZE),
        }
    )

    def send(self, hints: Iterable[Hint]) -> None:
        self.hints.extend(hints)

    def run(self) -> None:
        """Follow all hints to their end."""
        while self.hints:
            hint = self.hints.pop(0)
            for stage in hint.stages:
                self.run_stage(stage, hint.call_id)

    def run_stage(self, stage: Stage, call_id: UUID) -> None:
        run_stage(
            StageContext(
                sessions=self.sessions,
                works=self.works,
                store=NoStore(),
                send=self.send,
                worker="test",
            ),
            stage,
            call_id,
        )

    def fail(self, stage: Stage, error: Exception) -> None:
        """Let the stage fail from now on."""

        def action(_progress: Progress) -> None:
            raise error

        self.works[stage].action = action

    def succeed(self, stage: Stage) -> None:
        self.works[stage].action = lambda _progress: None
