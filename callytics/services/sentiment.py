"""What a client's texts sound like: cleaned, looked up, judged by a worker; else by lists of words."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import statement_by_statement
from callytics.db.sentiment_requests import Costed, SentimentRequests
from callytics.db.serving import Standing
from callytics.domain import sentiment_words
from callytics.domain.routes import FIRST, Lane, assign, key_of
from callytics.domain.stages import Queue, StageStatus
from callytics.domain.text_cleaning import clean
from callytics.domain.transcript import SentimentLabel
from callytics.errors import (
    EmptyTextError,
    InvalidRequestError,
    ModelsNotReadyError,
    ModelUnavailableError,
    TextTooLongError,
)
from callytics.ports import AnswerCache
from callytics.settings import SentimentSettings

MOST_NAMED = 100
"""So many faulty texts of a request are named; that there are more is told by their number."""


USUAL_CHARS = 64
"""A text of up to so many characters costs the model one unit, of twice as many two: what goes to it at
once takes about as long whether it is many short texts or one long."""


class Source(StrEnum):
    MODEL = "model"
    CACHE = "cache"
    WORD_LISTS = "word_lists"


class Reason(StrEnum):
    """Why an answer is less than what was asked for."""

    MODEL_NOT_READY = "model_not_ready"
    MODEL_TIMEOUT = "model_timeout"
    MODEL_FAILED = "model_failed"
    CACHE_UNAVAILABLE = "cache_unavailable"


DETAILS: Mapping[Reason, str] = {
    Reason.MODEL_NOT_READY: "No living worker has the sentiment model loaded.",
    Reason.MODEL_TIMEOUT: "The model did not answer in time.",
    Reason.MODEL_FAILED: "The model failed on each try.",
    Reason.CACHE_UNAVAILABLE: "The cache does not answer; the model judged every text anew.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """A sentiment model as a living worker has it loaded."""

    name: str
    revision: str
    fingerprint: str
    details: Mapping[str, Any]


def look(session: Session) -> Standing:
    """As it is at this moment: from the switch to another model on none is asked that it leaves out."""
    return Standing.look(session, Queue.SENTIMENT)


def serving(standing: Standing, variant: str) -> Sequence[Serving]:
    """The models that workers of `variant` are ready to judge with; while one replaces another, both."""
    found = {
        model["fingerprint"]: Serving(
            name=model["model"],
            revision=model["revision"],
            fingerprint=model["fingerprint"],
            details=model["details"],
        )
        for model in standing.models(Lane(Queue.SENTIMENT, variant))
        if model.get("status") == "ready" and "fingerprint" in model
    }
    return list(found.values())


def variants(standing: Standing) -> Sequence[str]:
    """Those that have texts to judge, the one with most of them first."""
    weights = standing.weights
    return sorted(filter(weights.get, weights), key=lambda name: -weights[name])


def _variant_of(standing: Standing, texts: Sequence[str]) -> str:
    """The same for the same texts, as long as the route is."""
    return assign(Queue.SENTIMENT, key_of("\n".join(texts)), standing.weights)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """`probabilities` are those of the labels that the model knows; word lists know none."""

    label: SentimentLabel
    score: float
    probabilities: Mapping[SentimentLabel, float]
    source: Source


@dataclass(kw_only=True, slots=True)
class Inquiry:
    """One request's texts on their way to being judged."""

    id: UUID
    texts: Sequence[str]
    """Cleaned, in the order of the request."""
    variant: str = FIRST
    """Of the model that is asked."""
    found: dict[str, Judged] = field(default_factory=dict)
    waiting: dict[int, Sequence[str]] = field(default_factory=dict)
    """The texts of the parts that a worker is still to answer."""
    untold: bool = False
    """Whether the workers have to be told of those."""
    reasons: set[Reason] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    """`name@revision` of what judged."""
    together: list[int] = field(default_factory=list)
    """How many texts went to the model with each of the parts."""

    @property
    def judged(self) -> Sequence[Judged]:
        """Of each text, in order."""
        return [self.found[text] for text in self.texts]

    @property
    def unjudged(self) -> Sequence[str]:
        return [text for text in dict.fromkeys(self.texts) if text not in self.found]

    @property
    def degraded(self) -> bool:
        """Whether word lists stand in for the model anywhere."""
        return any(one.source is Source.WORD_LISTS for one in self.found.values())


class Sentiments:
    def __init__(
        self,
        sessions: sessionmaker[Session],
        cache: AnswerCache,
        settings: SentimentSettings,
        *,
        tell: Callable[[str], None],
    ) -> None:
        """`tell` has a worker of a variant look for texts that wait for it."""
        self._sessions = sessions
        self._cache = cache
        self._settings = settings
        self._tell = tell

    def begin(self, request_id: UUID, texts: Sequence[str], *, left_s: float) -> Inquiry:
        """What is known of `texts` already, and the rest on its way to a worker, for `left_s` seconds.

        Raises TextTooLongError or EmptyTextError, which name the texts by their place.
        """
        inquiry = Inquiry(id=request_id, texts=_cleaned(texts, self._settings))
        with statement_by_statement(self._sessions) as session:
            standing = look(session)
            inquiry.variant = _variant_of(standing, inquiry.texts)
            models = serving(standing, inquiry.variant)
            if len(models) == 1:
                self._look_up(inquiry, models[0])
            missing = inquiry.unjudged
            if missing and not models:
                inquiry.reasons.add(Reason.MODEL_NOT_READY)
            elif missing:
                parts = list(_parts(missing, self._settings.max_batch))
                inquiry.waiting = {number: part.texts for number, part in enumerate(parts)}
                inquiry.untold = SentimentRequests(session).add(
                    request_id, parts, variant=inquiry.variant, left=timedelta(seconds=left_s)
                )
        return inquiry

    def tell(self, inquiry: Inquiry) -> None:
        """Have a worker come for what waits. By itself, since a broker that is away may take its time."""
        self._tell(inquiry.variant)

    def _look_up(self, inquiry: Inquiry, model: Serving) -> None:
        """By the model that would answer now: another one's answers are not looked at."""
        keys = {text: _key(model.fingerprint, text) for text in inquiry.texts}
        stored = self._cache.get(keys.values())
        for text, key in keys.items():
            if key in stored:
                inquiry.found[text] = _judged(json.loads(stored[key]), Source.CACHE)
                inquiry.models.add(f"{model.name}@{model.revision}")

    def try_again(self, inquiry: Inquiry) -> None:
        """Tell the workers once more, those of another variant if the route is another one by now."""
        with statement_by_statement(self._sessions) as session:
            variant = _variant_of(look(session), inquiry.texts)
            if variant != inquiry.variant:
                SentimentRequests(session).move(inquiry.id, variant)
                inquiry.variant = variant
        self.tell(inquiry)

    def collect(self, inquiries: Sequence[Inquiry]) -> None:
        """Take what workers have answered since, each request's own."""
        self._take({one.id: one for one in inquiries})

    def give_up(self, inquiry: Inquiry) -> None:
        """As `collect`, and wait for the rest no more."""
        self._take({inquiry.id: inquiry}, anyway=True)
        if inquiry.waiting:
            inquiry.waiting.clear()
            inquiry.reasons.add(Reason.MODEL_TIMEOUT)

    def _take(self, inquiries: Mapping[UUID, Inquiry], *, anyway: bool = False) -> None:
        with statement_by_statement(self._sessions) as session:
            rows = SentimentRequests(session).take([*inquiries], anyway=anyway)
        answers: dict[str, bytes] = {}
        for row in rows:
            inquiry = inquiries[row.id]
            texts = inquiry.waiting.pop(row.part)
            if row.status == StageStatus.DONE:
                answers |= self._read(inquiry, texts, row)
            else:
                failed = row.status == StageStatus.FAILED
                inquiry.reasons.add(Reason.MODEL_FAILED if failed else Reason.MODEL_TIMEOUT)
        self._cache.put(answers)

    def _read(self, inquiry: Inquiry, texts: Sequence[str], row: Row[Any]) -> dict[str, bytes]:
        """Note the answers of one part; as they go into the cache, under the model that gave them."""
        inquiry.models.add(f"{row.model['name']}@{row.model['revision']}")
        inquiry.together.append(row.model["together"])
        for text, said in zip(texts, row.judgements, strict=True):
            inquiry.found[text] = _judged(said, Source.MODEL)
        return {
            _key(row.model["fingerprint"], text): json.dumps(said).encode()
            for text, said in zip(texts, row.judgements, strict=True)
        }

    def end(self, inquiry: Inquiry) -> None:
        """Judge by word lists what no model has judged; raises ModelsNotReadyError or
        ModelUnavailableError where that is not wanted.
        """
        missing = inquiry.unjudged
        if missing and not self._settings.degrade:
            reason = min(inquiry.reasons)
            kind = (
                ModelsNotReadyError if reason is Reason.MODEL_NOT_READY else ModelUnavailableError
            )
            raise kind(DETAILS[reason], retry_after_s=2)
        for text in missing:
            label, score = sentiment_words.judge(text)
            inquiry.found[text] = Judged(
                label=label, score=score, probabilities={}, source=Source.WORD_LISTS
            )
        if not self._cache.connected and self._settings.cache_ttl_s:
            inquiry.reasons.add(Reason.CACHE_UNAVAILABLE)


def _parts(texts: Iterable[str], most: int) -> Iterator[Costed]:
    """`texts` in parts of the size `most` at most, but for a text that is longer by itself."""
    part: list[str] = []
    size = 0
    for text in texts:
        cost = -(-len(text) // USUAL_CHARS)
        if part and size + cost > most:
            yield Costed(texts=part, size=size)
            part, size = [], 0
        part.append(text)
        size += cost
    if part:
        yield Costed(texts=part, size=size)


def _cleaned(texts: Sequence[str], settings: SentimentSettings) -> Sequence[str]:
    if len(texts) > settings.max_texts:
        raise TextTooLongError(
            f"A request holds {settings.max_texts} texts at most: send these in several.",
            max_texts=settings.max_texts,
        )
    _refuse(
        TextTooLongError,
        f"A text has {settings.max_chars} characters at most.",
        (number for number, text in enumerate(texts) if len(text) > settings.max_chars),
    )
    if sum(map(len, texts)) > settings.max_request_chars:
        raise TextTooLongError(
            f"The texts of a request have {settings.max_request_chars} characters at most together: "
            "send them in several.",
            max_request_chars=settings.max_request_chars,
        )
    cleaned = [clean(text) for text in texts]
    _refuse(
        EmptyTextError,
        None,
        (number for number, text in enumerate(cleaned) if not text),
    )
    return cleaned


def _refuse(kind: type[InvalidRequestError], message: str | None, faulty: Iterable[int]) -> None:
    """Raise `kind` if any text is `faulty`, naming the texts by their place."""
    places = list(faulty)
    if places:
        raise kind(message, texts=places[:MOST_NAMED], faulty_texts=len(places))


def _key(fingerprint: str, text: str) -> str:
    """SHA-256 over the model, as its fingerprint tells it from every other, and the cleaned text."""
    return hashlib.sha256(f"{fingerprint}\n{text}".encode()).hexdigest()


def _judged(said: Mapping[str, Any], source: Source) -> Judged:
    shares = {SentimentLabel(label): share for label, share in said["probabilities"].items()}
    return Judged(
        label=SentimentLabel(said["label"]),
        score=max(shares.values()),
        probabilities=shares,
        source=source,
    )
