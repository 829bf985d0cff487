"""A sentiment model of two classes that needs no weights, and does what a text tells it."""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep

from callytics.domain.sentiment import Judgement
from callytics.domain.transcript import SentimentLabel
from callytics.ports import ModelInfo

NEGATIVE, NEUTRAL, POSITIVE = SentimentLabel


def judgement_of(text: str) -> Judgement:
    """Positive where the text has 감사, negative where it has 화, else undecided."""
    positive = 0.9 if "감사" in text else 0.1 if "화" in text else 0.5
    label = POSITIVE if positive > 0.6 else NEGATIVE if positive < 0.4 else NEUTRAL
    shares = {NEGATIVE: 1 - positive, POSITIVE: positive}
    return Judgement(label=label, score=max(shares.values()), probabilities=shares)


@dataclass
class ScriptedSentiment:
    """`고장` fails, `치명 PATH` kills the process the first time, `느림 SECONDS` takes so long."""

    revision: str = field(default_factory=lambda: os.environ.get("CALLYTICS_TEST_REVISION", "1"))
    asked: list[Sequence[str]] = field(default_factory=list)
    before: Callable[[Sequence[str]], None] = lambda _texts: None

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            name="scripted",
            revision=self.revision,
            device="cpu",
            details={
                "model_type": "ELECTRA",
                "labels": ["negative", "positive"],
                "max_length": 512,
            },
        )

    def warm_up(self) -> None:
        """Nothing to warm."""

    def classify(self, texts: Sequence[str]) -> list[Judgement]:
        self.asked.append(texts)
        self.before(texts)
        for text in texts:
            word, _, argument = text.partition(" ")
            if word == "고장":
                raise RuntimeError("out of memory")
            if word == "느림":
                sleep(float(argument))
            if word == "치명" and not Path(argument).exists():
                Path(argument).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return [judgement_of(text) for text in texts]
