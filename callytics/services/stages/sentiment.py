"""How each sentence sounds, and from that each turn, each role and the call."""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy.orm import Session

from callytics.db.models import Call
from callytics.db.turns import Turns
from callytics.domain.sentiment import of_call, of_turn
from callytics.domain.stages import Stage
from callytics.domain.transcript import Sentence, Sentiment, Turn
from callytics.ports import Computed, Progress, SentimentModel


class AnalyseSentiment:
    stage = Stage.SENTIMENT

    def __init__(self, model: SentimentModel) -> None:
        self._model = model

    def read(self, session: Session, call: Call) -> tuple[Turn, ...]:
        return Turns(session).of(call.id)

    def compute(self, turns: tuple[Turn, ...], progress: Progress) -> Computed:
        texts = [sentence.text for turn in turns for sentence in turn.sentences]
        found = iter([judgement.sentiment for judgement in self._model.classify(texts)])
        judged = tuple(_judged(turn, found) for turn in turns)
        return Computed(value=judged, model=self._model.info)

    def write(self, session: Session, call: Call, computed: Computed) -> None:
        Turns(session).rewrite(call.id, computed.value)
        call.sentiment = of_call(computed.value)


def _judged(turn: Turn, found: Iterator[Sentiment]) -> Turn:
    """`turn` with the next of `found` for each of its sentences."""
    sentences = tuple(
        Sentence(text=sentence.text, sentiment=next(found)) for sentence in turn.sentences
    )
    return replace(turn, sentences=sentences, sentiment=of_turn(sentences))
