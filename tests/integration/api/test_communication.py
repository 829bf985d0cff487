"""What a call's result says of the words that were used, and of how the two spoke with each other."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session, sessionmaker

from api.context import ApiContext
from callytics.cli.report import print_report
from callytics.db.engine import unit_of_work
from callytics.db.turns import Turns
from callytics.domain.stages import Stage
from callytics.domain.transcript import Sentence, Sentiment, SentimentLabel
from tests.support.api import CALLS, ApiClient
from tests.support.pipeline import Pipeline

AGENT_SAYS = ("안녕하세요.", "무엇을 도와드릴까요?", "그건 어렵다니까.")
CUSTOMER_SAYS = ("환불이 언제 되나요?", "정말 불편하고 마음에 안 들어요.", "불편해요.")


def write_down(sessions: sessionmaker[Session], call_id: str) -> None:
    """Let the two speakers of the call have said these sentences."""
    with unit_of_work(sessions) as session:
        turns = Turns(session)
        found = turns.of(UUID(call_id))
        texts = (AGENT_SAYS, CUSTOMER_SAYS)
        labels = (SentimentLabel.NEUTRAL, SentimentLabel.NEGATIVE)
        turns.rewrite(
            UUID(call_id),
            [
                replace(
                    turn,
                    text=" ".join(said),
                    sentences=tuple(Sentence(text=text) for text in said),
                    sentiment=Sentiment(label=label, score=0.9),
                )
                for turn, said, label in zip(found, texts, labels, strict=True)
            ],
        )


@pytest.fixture
def call_id(client: ApiClient, context: ApiContext, pipeline: Pipeline) -> str:
    call_id = client.submit()
    pipeline.run()
    write_down(context.sessions, call_id)
    return call_id


def shown(client: ApiClient, call_id: str) -> dict[str, Any]:
    call: dict[str, Any] = client.get(f"{CALLS}/{call_id}").json()
    return call


def phrase(call: dict[str, Any], place: dict[str, int]) -> str:
    text: str = call["turns"][place["turn"]]["sentences"][place["sentence"]]["text"]
    return text[place["start"] : place["end"]]


def test_words_come_with_the_places_where_they_occur(client: ApiClient, call_id: str) -> None:
    call = shown(client, call_id)
    words = call["sentiment"]["words"]
    assert words["positive"] == []
    assert [(one["word"], one["count"]) for one in words["negative"]] == [
        ("불편하다", 2),
        ("마음에 들지 않다", 1),
    ]
    said = [[phrase(call, place) for place in one["occurrences"]] for one in words["negative"]]
    assert said == [["불편하고", "불편해요"], ["마음에 안 들어요"]]


def test_each_figure_comes_with_counts_and_evidence(client: ApiClient, call_id: str) -> None:
    call = shown(client, call_id)
    found = call["communication"]
    assert list(found) == ["politeness", "empathy", "interruptions", "answering"]
    politeness = found["politeness"]
    assert (politeness["score"], politeness["polite"], politeness["sentences"]) == (0.6667, 2, 3)
    assert [phrase(call, place) for place in politeness["evidence"]] == ["다니까"]
    assert found["empathy"] == {
        "score": 0.0,
        "reason": None,
        "complaints": 1,
        "acknowledged": 0,
        "evidence": [{"turn": 1, "answer_turn": None, "acknowledged_by": None, "phrase": None}],
    }
    assert found["interruptions"]["score"] == 1.0
    [question] = found["answering"]["evidence"]
    assert (question["asks"], question["outcome"]) == ("time", "unanswered")


def test_they_follow_the_roles_that_a_person_says(client: ApiClient, call_id: str) -> None:
    response = client.request("PATCH", f"{CALLS}/{call_id}/speakers", json={"swap": True})
    found = response.json()["communication"]
    # Now the one with the complaints is the agent: all three of its sentences are polite.
    assert (found["politeness"]["score"], found["politeness"]["sentences"]) == (1.0, 3)
    assert found["empathy"]["reason"] == "nothing_to_judge"


def test_unknown_roles_are_the_reason_for_no_score(client: ApiClient, call_id: str) -> None:
    roles = {"SPEAKER_00": "unknown", "SPEAKER_01": "unknown"}
    response = client.request("PATCH", f"{CALLS}/{call_id}/speakers", json={"roles": roles})
    figures = response.json()["communication"].values()
    assert {(one["score"], one["reason"]) for one in figures} == {(None, "roles_unknown")}


def test_before_the_merge_there_is_nothing_to_show(client: ApiClient, pipeline: Pipeline) -> None:
    call_id = client.submit()
    call = shown(client, call_id)
    assert (call["communication"], call["sentiment"]) == (None, None)


def test_without_punctuation_it_says_so(client: ApiClient, pipeline: Pipeline) -> None:
    call_id = client.submit(stages=Stage.MERGE.value)
    pipeline.run()
    call = shown(client, call_id)
    assert call["communication"]["politeness"]["reason"] == "no_sentences"
    assert call["communication"]["interruptions"]["score"] == 1.0


def test_the_report_takes_what_the_api_gives(
    client: ApiClient, call_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(shown(client, call_id))
    printed = capsys.readouterr().out
    assert "2 of 3 sentences have a polite ending" in printed
    assert "불편하다 2" in printed
