"""Punctuation, spacing, sentences: how a turn is written, never what was said."""

from dataclasses import replace

from sqlalchemy.orm import Session

from callytics.db.models import Call
from callytics.db.turns import Turns
from callytics.domain.stages import Stage
from callytics.domain.transcript import Sentence, Turn
from callytics.ports import Computed, Progress, Punctuator


class Punctuate:
    stage = Stage.PUNCTUATE

    def __init__(self, punctuator: Punctuator) -> None:
        self._punctuator = punctuator

    def read(self, session: Session, call: Call) -> tuple[Turn, ...]:
        return Turns(session).of(call.id)

    def compute(self, turns: tuple[Turn, ...], progress: Progress) -> Computed:
        found = self._punctuator.punctuate([turn.text for turn in turns])
        rewritten = tuple(_rewritten(*pair) for pair in zip(turns, found, strict=True))
        return Computed(value=rewritten, model=self._punctuator.info)

    def write(self, session: Session, call: Call, computed: Computed) -> None:
        Turns(session).rewrite(call.id, computed.value)


def _rewritten(turn: Turn, sentences: list[str]) -> Turn:
    """`turn` in these sentences, whose sentiment nobody has judged yet."""
    return replace(
        turn,
        text=" ".join(sentences) or turn.text,
        sentences=tuple(Sentence(text=text) for text in sentences),
        sentiment=None,
    )
