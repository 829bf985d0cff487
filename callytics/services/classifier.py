"""Judges texts that wait, of many requests at once: what a worker of the sentiment queue does when told."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from time import monotonic, sleep
from typing import Any

import structlog
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import statement_by_statement
from callytics.db.sentiment_requests import Part, SentimentRequests
from callytics.domain.sentiment import Judgement
from callytics.errors import CallyticsError, ModelUnavailableError
from callytics.logs import where
from callytics.ports import SentimentModel
from callytics.settings import SentimentSettings

log = structlog.get_logger(__name__)

TURN_S = 1.0
"""After so long the queue's other work, the stage of a call, gets its turn."""

LOOK_S = 0.005
"""How often a batch that is not full looks for more texts."""

RECENT_S = 1.0
"""How many requests were about so lately says how many to expect."""


class Classifier:
    """Takes what waits, up to a batch, until nothing does.

    A batch waits for its least number of texts only while as many requests are about: one caller alone
    never waits. A batch that fails is done again one part at a time, so that a bad text fails alone.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        model: SentimentModel,
        settings: SentimentSettings,
        *,
        worker: str,
        variant: str,
        again: Callable[[str], None],
        turn_s: float = TURN_S,
    ) -> None:
        """`model` is that of `variant`; `again` has this called once more, after whatever else its queue
        holds.
        """
        self._sessions = sessions
        self._model = model
        self._settings = settings
        self._worker = worker
        self._again = again
        self._variant = variant
        self._turn_s = turn_s
        self._expected = 1
        self._expected_until = 0.0

    def __call__(self) -> None:
        """Judge until nothing waits, or for a turn. Called twice, it finds nothing to do."""
        turn_ends = monotonic() + self._turn_s
        while batch := self._gather():
            self._expected, self._expected_until = len(batch), monotonic() + RECENT_S
            self._judge(batch)
            if monotonic() > turn_ends:
                self._again(self._variant)
                return

    def _gather(self) -> list[Part]:
        batch = self._claim(self._settings.max_batch, idle=True)
        if not batch or monotonic() > self._expected_until:
            return batch
        least = min(self._settings.min_batch, self._expected)
        give_up = monotonic() + self._settings.batch_wait_s
        while _texts(batch) < least and (left_s := give_up - monotonic()) > 0:
            room = self._settings.max_batch - sum(part.size for part in batch)
            if room <= 0:
                break
            sleep(min(LOOK_S, left_s))
            batch += self._claim(room, idle=False)
        return batch

    def _claim(self, most: int, *, idle: bool) -> list[Part]:
        with statement_by_statement(self._sessions) as session:
            return SentimentRequests(session).claim(
                variant=self._variant,
                worker=self._worker,
                idle=idle,
                most=most,
                tries=self._settings.tries,
                # Nobody waits longer than that for the answer of a worker that hangs.
                lease=timedelta(seconds=self._settings.timeout_s / self._settings.tries),
            )

    def _judge(self, batch: Sequence[Part]) -> None:
        texts = [text for part in batch for text in part.texts]
        try:
            found = iter(self._model.classify(texts))
        except Exception as error:
            # Its text may quote what was sent.
            log.warning("texts_not_judged", error=type(error).__name__, where=where(error))
            if len(batch) > 1:
                for part in batch:
                    self._judge([part])
            else:
                self._fail(batch[0], error)
            return
        judged = [(part, [_told(next(found)) for _ in part.texts]) for part in batch]
        info = self._model.info
        model = {
            "name": info.name,
            "revision": info.revision,
            "fingerprint": info.fingerprint,
            "together": len(texts),
        }
        with statement_by_statement(self._sessions) as session:
            SentimentRequests(session).record(judged, model)

    def _fail(self, part: Part, error: Exception) -> None:
        problem = error if isinstance(error, CallyticsError) else ModelUnavailableError()
        with statement_by_statement(self._sessions) as session:
            SentimentRequests(session).fail(part, problem.as_problem(), tries=self._settings.tries)


def _texts(batch: Sequence[Part]) -> int:
    return sum(len(part.texts) for part in batch)


def _told(judgement: Judgement) -> dict[str, Any]:
    """As it is stored: the label, and the probabilities."""
    shares = {label.value: round(share, 6) for label, share in judgement.probabilities.items()}
    return {"label": judgement.label.value, "probabilities": shares}
