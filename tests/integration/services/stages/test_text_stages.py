"""Punctuate and sentiment: what they do to a call's turns, with models that the test speaks for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.models import Call
from callytics.db.turns import Turns
from callytics.domain.sentiment import Judgement
from callytics.domain.transcript import Role, SentimentLabel, Turn, Word
from callytics.ports import Computed, ModelInfo
from callytics.services.stage import StageWork
from callytics.services.stages.punctuate import Punctuate
from callytics.services.stages.sentiment import AnalyseSentiment
from tests.support.calls import insert_call

WORDS = (Word(text="네", start_s=0.0, end_s=0.4, confidence=0.9),)
INFO = ModelInfo(name="fake", revision="1", device="cpu")


@dataclass
class FakePunctuator:
    """Ends each word by a point; says nothing about a text without letters."""

    info: ModelInfo = INFO
    asked: list[Sequence[str]] = field(default_factory=list)

    def warm_up(self) -> None:
        """Nothing to warm."""

    def punctuate(self, texts: Sequence[str]) -> list[list[str]]:
        self.asked.append(texts)
        return [[f"{word}." for word in text.split() if word != "..."] for text in texts]


@dataclass
class FakeSentiment:
    """Hears anger in 화 and thanks in 감사."""

    info: ModelInfo = INFO
    asked: list[Sequence[str]] = field(default_factory=list)

    def warm_up(self) -> None:
        """Nothing to warm."""

    def classify(self, texts: Sequence[str]) -> list[Judgement]:
        self.asked.append(texts)
        return [self._judgement("화" in text, "감사" in text) for text in texts]

    @staticmethod
    def _judgement(negative: bool, positive: bool) -> Judgement:
        shares = (0.8 * negative, 0.8 * (not negative and not positive), 0.8 * positive)
        found = {label: one + 0.2 / 3 for label, one in zip(SentimentLabel, shares, strict=True)}
        label = max(found, key=lambda one: found[one])
        return Judgement(label=label, score=found[label], probabilities=found)


def turn(index: int, role: Role, text: str) -> Turn:
    return Turn(
        index=index, start_s=index, end_s=index + 1, speaker=role, text=text, words=WORDS, role=role
    )


@pytest.fixture
def call_id(sessions: sessionmaker[Session]) -> UUID:
    call_id = insert_call(sessions)
    turns = [
        turn(0, Role.AGENT, "네 감사합니다"),
        turn(1, Role.CUSTOMER, "정말 화가납니다"),
        turn(2, Role.CUSTOMER, "..."),
    ]
    with unit_of_work(sessions) as session:
        Turns(session).replace(call_id, turns)
    return call_id


def run(sessions: sessionmaker[Session], work: StageWork, call_id: UUID) -> Computed:
    with unit_of_work(sessions) as session:
        inputs = work.read(session, session.get_one(Call, call_id))
    computed = work.compute(inputs, lambda _share: None)
    with unit_of_work(sessions) as session:
        work.write(session, session.get_one(Call, call_id), computed)
    return computed


def turns_of(sessions: sessionmaker[Session], call_id: UUID) -> tuple[Turn, ...]:
    with sessions() as session:
        return Turns(session).of(call_id, words=True)


def test_turns_are_written_in_sentences_and_keep_their_words(
    sessions: sessionmaker[Session], call_id: UUID
) -> None:
    punctuator = FakePunctuator()
    computed = run(sessions, Punctuate(punctuator), call_id)
    turns = turns_of(sessions, call_id)
    assert [one.text for one in turns] == ["네. 감사합니다.", "정말. 화가납니다.", "..."]
    assert [[each.text for each in one.sentences] for one in turns] == [
        ["네.", "감사합니다."],
        ["정말.", "화가납니다."],
        [],
    ]
    assert {one.words for one in turns} == {WORDS}
    assert computed.model == INFO
    assert len(punctuator.asked) == 1


def test_sentences_turns_and_the_call_get_their_sentiment(
    sessions: sessionmaker[Session], call_id: UUID
) -> None:
    model = FakeSentiment()
    run(sessions, Punctuate(FakePunctuator()), call_id)
    computed = run(sessions, AnalyseSentiment(model), call_id)
    agent, customer, nobody = turns_of(sessions, call_id)
    assert [labels(one) for one in (agent, customer, nobody)] == [
        (["neutral", "positive"], "positive"),
        (["neutral", "negative"], "negative"),
        ([], None),
    ]
    assert model.asked == [["네.", "감사합니다.", "정말.", "화가납니다."]]
    assert computed.model == INFO
    with sessions() as session:
        found: Any = session.get_one(Call, call_id).sentiment
    assert found["by_role"]["agent"]["label"] == "positive"
    assert found["by_role"]["customer"]["label"] == "negative"


def labels(turn: Turn) -> tuple[list[str], str | None]:
    sentences = [one.sentiment.label.value for one in turn.sentences if one.sentiment]
    return sentences, turn.sentiment.label.value if turn.sentiment else None


def test_new_sentences_have_no_sentiment_of_old_ones(
    sessions: sessionmaker[Session], call_id: UUID
) -> None:
    for work in (Punctuate(FakePunctuator()), AnalyseSentiment(FakeSentiment())):
        run(sessions, work, call_id)
    run(sessions, Punctuate(FakePunctuator()), call_id)
    assert [labels(one) for one in turns_of(sessions, call_id)] == [([], None)] * 3


def test_a_call_without_words_has_no_sentiment(sessions: sessionmaker[Session]) -> None:
    call_id = insert_call(sessions)
    for work in (Punctuate(FakePunctuator()), AnalyseSentiment(FakeSentiment())):
        run(sessions, work, call_id)
    with sessions() as session:
        assert session.get_one(Call, call_id).sentiment is None
