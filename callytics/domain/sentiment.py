"""What a text sounds like; and from sentences to turns, speakers and the call: means weighted by length."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from callytics.domain.serial import to_json
from callytics.domain.transcript import Role, Sentence, Sentiment, SentimentLabel, Turn


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What a model says of a text.

    `probabilities`: of the labels that the model knows, two or three; they add up to 1. `score` is the
    highest of them. `label` is the one that has it, or neutral where a model of two cannot decide.
    """

    label: SentimentLabel
    score: float
    probabilities: Mapping[SentimentLabel, float]

    @property
    def sentiment(self) -> Sentiment:
        return Sentiment(label=self.label, score=round(self.score, 4))


def of_turn(sentences: Iterable[Sentence]) -> Sentiment | None:
    """The turn's sentiment: None if no sentence has one.

    Each sentence votes with its probabilities, as often as it has letters: its label with its score,
    the other labels with what is left, in equal parts. The label with most votes wins, and its share
    is the score.
    """
    return _mean([(one.sentiment, _letters(one.text)) for one in sentences if one.sentiment])


def of_call(turns: Sequence[Turn]) -> dict[str, Any] | None:
    """`{label, score, by_role: {role: {label, score}}}`; None if no turn has a sentiment.

    Turns vote as sentences do in `of_turn`; `by_role` has the roles that occur.
    """
    whole = _of_turns(turns)
    if whole is None:
        return None
    by_role = {role: _of_turns([one for one in turns if one.role is role]) for role in Role}
    return {
        **to_json(whole),
        "by_role": {role.value: to_json(found) for role, found in by_role.items() if found},
    }


def _of_turns(turns: Iterable[Turn]) -> Sentiment | None:
    return _mean([(one.sentiment, _letters(one.text)) for one in turns if one.sentiment])


def _mean(votes: Sequence[tuple[Sentiment, int]]) -> Sentiment | None:
    if not votes:
        return None
    total = sum(weight for _, weight in votes)
    shares = {
        label: sum(weight * _probability(vote, label) for vote, weight in votes) / total
        for label in SentimentLabel
    }
    # On a tie neutral wins, then the worse one: nothing is called good by chance.
    order = (SentimentLabel.NEUTRAL, SentimentLabel.NEGATIVE, SentimentLabel.POSITIVE)
    label = max(order, key=shares.__getitem__)
    return Sentiment(label=label, score=round(shares[label], 4))


def _probability(vote: Sentiment, label: SentimentLabel) -> float:
    return vote.score if vote.label is label else (1 - vote.score) / (len(SentimentLabel) - 1)


def _letters(text: str) -> int:
    return max(1, sum(character.isalnum() for character in text))
