import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.sentiment import of_call, of_turn
from callytics.domain.transcript import Role, Sentence, Sentiment, SentimentLabel, Turn

NEGATIVE, NEUTRAL, POSITIVE = SentimentLabel


def sentiment(label: SentimentLabel, score: float) -> Sentiment:
    return Sentiment(label=label, score=score)


def sentence(text: str, label: SentimentLabel, score: float) -> Sentence:
    return Sentence(text=text, sentiment=sentiment(label, score))


def turn(role: Role, text: str, feeling: Sentiment | None) -> Turn:
    return Turn(
        index=0, start_s=0.0, end_s=1.0, speaker="a", text=text, role=role, sentiment=feeling
    )


def test_one_sentence_is_the_turn() -> None:
    assert of_turn([sentence("좋아요.", POSITIVE, 0.9)]) == sentiment(POSITIVE, 0.9)


def test_longer_sentences_weigh_more() -> None:
    found = of_turn(
        [
            sentence("네.", POSITIVE, 0.9),
            sentence("아직도 해결이 안 됐어요.", NEGATIVE, 0.9),
        ]
    )
    assert found is not None
    assert found.label is NEGATIVE
    # 1 letter votes 0.05 for it, 10 letters 0.9.
    assert found.score == pytest.approx((0.05 + 10 * 0.9) / 11, abs=1e-4)


def test_opposite_sentences_do_not_add_up_to_a_sure_one() -> None:
    found = of_turn([sentence("좋아요", POSITIVE, 0.8), sentence("싫어요", NEGATIVE, 0.8)])
    assert found == sentiment(NEGATIVE, 0.45)


def test_sentences_without_sentiment_have_no_vote() -> None:
    assert of_turn([Sentence(text="네")]) is None
    assert of_turn([]) is None


def test_a_call_is_told_by_role_too() -> None:
    found = of_call(
        [
            turn(Role.AGENT, "감사합니다", sentiment(POSITIVE, 0.9)),
            turn(Role.CUSTOMER, "정말 화가 납니다 너무 오래 기다렸어요", sentiment(NEGATIVE, 0.8)),
            turn(Role.CUSTOMER, "여보세요", None),
        ]
    )
    assert found is not None
    assert found["label"] == "negative"
    assert found["by_role"] == {
        "agent": {"label": "positive", "score": 0.9},
        "customer": {"label": "negative", "score": 0.8},
    }


def test_a_call_without_words_has_no_sentiment() -> None:
    assert of_call([]) is None


@given(st.lists(st.tuples(st.sampled_from(SentimentLabel), st.floats(0.34, 1)), min_size=1))
def test_the_score_is_the_winners_share(votes: list[tuple[SentimentLabel, float]]) -> None:
    found = of_turn([sentence("네", *vote) for vote in votes])
    assert found is not None
    assert 1 / 3 - 1e-4 <= found.score <= 1
    if len({label for label, _ in votes}) == 1:
        assert found.label is votes[0][0]
