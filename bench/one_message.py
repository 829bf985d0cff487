"""What batches across requests are measured against: one message, one claim, one run of the model a request.

`uvicorn --factory bench.one_message:create_app` is the API so, `python -m bench.one_message` its worker.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from fastapi import FastAPI
from sqlalchemy.orm import Session, sessionmaker

from api.app import make_app
from api.context import make_context
from callytics.domain.routes import Lane
from callytics.domain.stages import Queue
from callytics.logs import configure
from callytics.ports import SentimentModel
from callytics.queueing.app import make_celery
from callytics.queueing.dispatch import make_classify
from callytics.services.classifier import Classifier
from callytics.services.sentiment import Inquiry, Sentiments
from callytics.settings import get_settings
from workers.app import run
from workers.works import Works


class ToldEach(Sentiments):
    """Tells a worker of every request."""

    def begin(self, request_id: UUID, texts: Sequence[str], *, left_s: float) -> Inquiry:
        inquiry = super().begin(request_id, texts, left_s=left_s)
        inquiry.untold = bool(inquiry.waiting)
        return inquiry


def create_app() -> FastAPI:
    settings = get_settings()
    configure(settings)
    context = make_context(settings)
    tell = make_classify(make_celery(settings, publish_retries=2))
    sentiments = ToldEach(context.sessions, context.cache, settings.sentiment, tell=tell)
    return make_app(replace(context, sentiments=sentiments))


class OneEach(Classifier):
    """Judges one request and ends."""

    def __call__(self) -> None:
        if batch := self._claim(1, idle=True):
            self._judge(batch)


class OneEachWorks(Works):
    def make_classifier(
        self,
        sessions: sessionmaker[Session],
        model: SentimentModel,
        *,
        worker: str,
        variant: str,
        again: Callable[[str], None],
    ) -> Callable[[], None]:
        limits = self._settings.sentiment
        return OneEach(sessions, model, limits, worker=worker, variant=variant, again=again)


if __name__ == "__main__":
    sys.exit(run([Lane(Queue.SENTIMENT)], factory=OneEachWorks, child="bench.one_message_child"))
