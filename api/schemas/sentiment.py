"""What clients ask of the sentiment service, and what it answers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import SerializerFunctionWrapHandler, model_serializer

from api.schemas.base import StrictSchema
from callytics.domain.transcript import SentimentLabel
from callytics.services.schema import Schema
from callytics.services.sentiment import DETAILS, Inquiry, Judged, Reason, Source

LABELS: Mapping[SentimentLabel, str] = {
    SentimentLabel.NEGATIVE: "부정",
    SentimentLabel.NEUTRAL: "중립",
    SentimentLabel.POSITIVE: "긍정",
}
"""As the customer's documents have them."""

Label = Literal["부정", "중립", "긍정"]


class _Lean(Schema):
    """Fields that have nothing to say are left out."""

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class SentimentRequest(StrictSchema):
    text: str
    """What is to be judged. HTML and control characters are taken out before."""

    return_probabilities: bool = True
    """Whether the answer has `probabilities`."""


class SentimentBatchRequest(StrictSchema):
    texts: list[str]
    """What is to be judged, each for itself; equal ones are judged once."""


class Degradation(Schema):
    code: Reason
    detail: str


class _Answered(_Lean):
    method: Literal[Source.WORD_LISTS] | None = None
    """`word_lists` where the model could not judge; else left out."""


class SentimentData(_Answered):
    text: str
    """As it was sent."""

    sentiment: Label
    score: float
    """The probability of the likeliest class; near 0.5, a model of two classes is undecided: 중립."""

    probabilities: dict[Label, float] | None = None
    """Of the classes that the model knows."""

    processing_time_ms: float


class SentimentResult(_Answered):
    text: str
    sentiment: Label
    score: float


class SentimentBatchData(Schema):
    results: list[SentimentResult]
    """One a text, in the order of the request."""

    total_count: int
    processing_time_ms: float


class _Envelope(_Lean):
    status: Literal["success", "degraded"]
    """`degraded` where word lists stand in for the model."""

    degraded: list[Degradation] | None = None
    """Why the answer is less than it could be; left out where it is not."""


class SentimentAnswer(_Envelope):
    data: SentimentData

    @classmethod
    def of(cls, asked: SentimentRequest, inquiry: Inquiry, *, seconds: float) -> Self:
        (judged,) = inquiry.judged
        shares = {LABELS[label]: round(one, 4) for label, one in judged.probabilities.items()}
        return cls.model_validate(
            {
                **_envelope(inquiry),
                "data": {
                    "text": asked.text,
                    **_verdict(judged),
                    "probabilities": shares if asked.return_probabilities and shares else None,
                    "processing_time_ms": _milliseconds(seconds),
                },
            }
        )


class SentimentBatchAnswer(_Envelope):
    data: SentimentBatchData

    @classmethod
    def of(cls, texts: Sequence[str], inquiry: Inquiry, *, seconds: float) -> Self:
        results = [
            {"text": text, **_verdict(judged)}
            for text, judged in zip(texts, inquiry.judged, strict=True)
        ]
        return cls.model_validate(
            {
                **_envelope(inquiry),
                "data": {
                    "results": results,
                    "total_count": len(results),
                    "processing_time_ms": _milliseconds(seconds),
                },
            }
        )


def _envelope(inquiry: Inquiry) -> dict[str, Any]:
    reasons = [{"code": one, "detail": DETAILS[one]} for one in sorted(inquiry.reasons)]
    return {
        "status": "degraded" if inquiry.degraded else "success",
        "degraded": reasons or None,
    }


def _verdict(judged: Judged) -> dict[str, Any]:
    by_lists = judged.source is Source.WORD_LISTS
    return {
        "sentiment": LABELS[judged.label],
        "score": round(judged.score, 4),
        "method": Source.WORD_LISTS if by_lists else None,
    }


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 1)


class SentimentHealth(Schema):
    status: Literal["healthy", "degraded", "unhealthy"]
    """`degraded` without the cache; `unhealthy` without the model."""

    model_loaded: bool
    """Whether a living worker has it loaded and warm."""

    redis_connected: bool
    timestamp: datetime


class SentimentModelInfo(Schema):
    model_name: str
    model_type: str
    """Architecture: ELECTRA, BERT, ..."""

    language: str
    num_labels: int
    max_length: int
    """Tokens that the model reads at once; longer texts are judged in parts."""

    version: str
    """The revision that is loaded."""
