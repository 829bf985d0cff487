from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.communication import Acknowledgement, NoScore, assess
from callytics.domain.metrics import RoleMetrics, measure
from callytics.domain.roles import RoleGuess
from callytics.domain.transcript import (
    Place,
    Role,
    Sentence,
    Sentiment,
    SentimentLabel,
    SpeakerSegment,
    Turn,
)

NEGATIVE, NEUTRAL, _ = SentimentLabel
AGENT, CUSTOMER, UNKNOWN = Role
ROLES = {role.value: RoleGuess(role=role, confidence=1.0) for role in Role}


def said(*spoken: tuple[Role, str | list[str]] | tuple[Role, str, SentimentLabel]) -> list[Turn]:
    return [_turn(index, *one) for index, one in enumerate(spoken)]


def _turn(index: int, role: Role, text: str | list[str], label: SentimentLabel = NEUTRAL) -> Turn:
    sentences = [text] if isinstance(text, str) else text
    return Turn(
        index=index,
        start_s=5.0 * index,
        end_s=5.0 * index + 4,
        speaker=role.value,
        role=role,
        text=" ".join(sentences),
        sentences=tuple(Sentence(text=one) for one in sentences),
        sentiment=Sentiment(label=label, score=0.9),
    )


def metrics_of(turns: list[Turn], *speech: SpeakerSegment) -> dict[Role, RoleMetrics]:
    return dict(measure(turns, speech, ROLES, duration_s=120.0).roles)


def phrase(turns: list[Turn], place: Place | None) -> str | None:
    if place is None:
        return None
    return turns[place.turn].sentences[place.sentence].text[place.start : place.end]


class TestPoliteness:
    def test_endings_are_counted_and_those_that_are_not_polite_shown(self) -> None:
        turns = said(
            (AGENT, ["안녕하세요.", "무엇을 도와드릴까요?"]),
            (CUSTOMER, "그냥 바꿔 줘."),
            (AGENT, ["네.", "아까 말했잖아."]),
        )
        found = assess(turns, {}).politeness
        assert (found.score, found.polite, found.sentences) == (0.6667, 2, 3)
        assert [phrase(turns, place) for place in found.evidence] == ["잖아"]
        assert found.evidence[0].turn == 2

    def test_back_channels_alone_are_nothing_to_judge(self) -> None:
        found = assess(said((AGENT, ["네.", "아, 네."])), {}).politeness
        assert (found.score, found.reason) == (None, NoScore.NOTHING_TO_JUDGE)

    def test_without_an_agent_there_is_no_figure(self) -> None:
        found = assess(said((UNKNOWN, "안 돼."), (CUSTOMER, "네.")), {}).politeness
        assert (found.score, found.reason) == (None, NoScore.ROLES_UNKNOWN)


class TestEmpathy:
    @pytest.mark.parametrize(
        ("answer", "kind", "words"),
        [
            ("정말 죄송합니다, 고객님.", Acknowledgement.APOLOGY, "죄송합니다"),
            ("진심으로 사과드립니다.", Acknowledgement.APOLOGY, "사과드립니다"),
            ("많이 답답하셨겠어요.", Acknowledgement.UNDERSTANDING, "답답하셨겠어요"),
            ("화가 나실 만합니다.", Acknowledgement.UNDERSTANDING, "화가 나실"),
            (
                "고객님 심정은 충분히 이해합니다.",
                Acknowledgement.UNDERSTANDING,
                "심정은 충분히 이해합니다",
            ),
            ("오래 기다려 주셔서 감사합니다.", Acknowledgement.THANKS, "기다려 주셔서 감사합니다"),
            ("I'm so sorry about that.", Acknowledgement.APOLOGY, "sorry"),
        ],
    )
    def test_a_complaint_is_acknowledged(
        self, answer: str, kind: Acknowledgement, words: str
    ) -> None:
        turns = said((CUSTOMER, "정말 화가 나네요.", NEGATIVE), (AGENT, answer))
        found = assess(turns, {}).empathy
        assert (found.score, found.acknowledged, found.complaints) == (1.0, 1, 1)
        [complaint] = found.evidence
        assert (complaint.turn, complaint.answer_turn) == (0, 1)
        assert (complaint.acknowledged_by, phrase(turns, complaint.phrase)) == (kind, words)

    @pytest.mark.parametrize(
        "answer",
        [
            "네, 접수 기록이 있습니다.",
            "죄송하지만 규정상 안 됩니다.",
            "양해 부탁드립니다.",
            "잠시만 기다려 주세요.",
            "이해해 주세요.",
        ],
    )
    def test_business_a_refusal_and_a_request_acknowledge_nothing(self, answer: str) -> None:
        found = assess(said((CUSTOMER, "화가 나네요.", NEGATIVE), (AGENT, answer)), {}).empathy
        assert (found.score, found.evidence[0].answer_turn) == (0.0, 1)
        assert (found.evidence[0].acknowledged_by, found.evidence[0].phrase) == (None, None)

    def test_a_back_channel_is_not_the_answer_yet(self) -> None:
        turns = said(
            (CUSTOMER, "화가 나네요.", NEGATIVE),
            (AGENT, "네."),
            (CUSTOMER, "벌써 세 번째예요.", NEGATIVE),
            (AGENT, "정말 죄송합니다."),
        )
        found = assess(turns, {}).empathy
        assert (found.acknowledged, found.complaints) == (2, 2)
        assert [one.answer_turn for one in found.evidence] == [3, 3]

    def test_a_later_apology_comes_too_late(self) -> None:
        turns = said(
            (CUSTOMER, "화가 나네요.", NEGATIVE),
            (AGENT, "성함을 말씀해 주세요."),
            (AGENT, "정말 죄송합니다."),
        )
        assert assess(turns, {}).empathy.score == 0.0

    def test_a_complaint_that_nobody_answers_counts(self) -> None:
        found = assess(said((AGENT, "네."), (CUSTOMER, "화가 나네요.", NEGATIVE)), {}).empathy
        assert (found.score, found.evidence[0].answer_turn) == (0.0, None)

    def test_without_complaints_there_is_nothing_to_judge(self) -> None:
        turns = said((CUSTOMER, "감사합니다."), (AGENT, "화가 납니다.", NEGATIVE))
        found = assess(turns, {}).empathy
        assert (found.score, found.reason) == (None, NoScore.NOTHING_TO_JUDGE)

    def test_before_sentiment_is_judged_it_says_so(self) -> None:
        turns = [replace(turn, sentiment=None) for turn in said((CUSTOMER, "네."), (AGENT, "네."))]
        assert assess(turns, {}).empathy.reason is NoScore.NO_SENTIMENT


class TestInterruptions:
    def test_each_side_over_the_other(self) -> None:
        turns = said((CUSTOMER, "제가 어제"), (AGENT, "네, 알겠습니다."), (CUSTOMER, "그런데"))
        speech = [
            SpeakerSegment(speaker="customer", start_s=0, end_s=10),
            SpeakerSegment(speaker="agent", start_s=6, end_s=26),
            SpeakerSegment(speaker="customer", start_s=40, end_s=50),
            SpeakerSegment(speaker="agent", start_s=44, end_s=54),
        ]
        found = assess(turns, metrics_of(turns, *speech)).interruptions
        assert (found.by_agent, found.by_customer) == (2, 0)
        # 20 s of the customer's talk.
        assert (found.by_agent_per_minute, found.by_customer_per_minute) == (6.0, 0.0)
        assert [(one.by, one.at_s, one.turn) for one in found.evidence] == [
            (AGENT, 6.0, 1),
            (AGENT, 44.0, 1),
        ]
        assert found.score == 0.0

    def test_the_score_is_the_share_of_the_agents_turns_that_do_not_interrupt(self) -> None:
        turns = said(*[(AGENT, "네, 알겠습니다."), (CUSTOMER, "네.")] * 4)
        metrics = metrics_of(turns)
        agent = replace(metrics[AGENT], interruptions=1)
        found = assess(turns, {**metrics, AGENT: agent}).interruptions
        # Counted before the times were kept: there is no evidence.
        assert (found.score, found.by_agent, found.evidence) == (0.75, 1, ())

    def test_unknown_roles_give_no_figure(self) -> None:
        turns = said((UNKNOWN, "네, 알겠습니다."), (CUSTOMER, "네."))
        assert assess(turns, metrics_of(turns)).interruptions.reason is NoScore.ROLES_UNKNOWN


class TestAnswering:
    def test_what_became_of_the_questions(self) -> None:
        turns = said(
            (CUSTOMER, "언제 오실 수 있나요?"),
            (AGENT, "내일 오후에 가겠습니다."),
            (CUSTOMER, "요금은 할인되나요?"),
            (AGENT, "확인해 드리겠습니다."),
            (CUSTOMER, "위약금이 얼마예요?"),
            (AGENT, "성함을 말씀해 주세요."),
        )
        found = assess(turns, {}).answering
        assert (found.score, found.questions) == (0.3333, 3)
        assert (found.answered, found.promised, found.unanswered) == (1, 1, 1)
        assert [phrase(turns, one.answer) for one in found.evidence] == [
            "내일",
            "확인해 드리겠습니다",
            None,
        ]

    def test_no_question_is_nothing_to_judge(self) -> None:
        found = assess(said((AGENT, "도와드릴까요?"), (CUSTOMER, "네.")), {}).answering
        assert (found.score, found.reason) == (None, NoScore.NOTHING_TO_JUDGE)


def test_before_punctuation_there_are_no_sentences_to_judge() -> None:
    turns = [replace(turn, sentences=()) for turn in said((CUSTOMER, "네"), (AGENT, "네"))]
    found = assess(turns, metrics_of(turns))
    missing = {figure.reason for figure in (found.politeness, found.empathy, found.answering)}
    assert missing == {NoScore.NO_SENTENCES}
    assert found.interruptions.score == 1.0


def test_nobody_spoke() -> None:
    found = assess([], {})
    figures = (found.politeness, found.empathy, found.interruptions, found.answering)
    assert {(figure.score, figure.reason) for figure in figures} == {(None, NoScore.ROLES_UNKNOWN)}


TEXTS = st.sampled_from(
    [
        "네.",
        "정말 화가 나네요.",
        "죄송합니다.",
        "언제 와요?",
        "내일 갑니다.",
        "확인해 보겠습니다.",
        "됐어.",
        "Yes.",
    ]
) | st.text(min_size=1, max_size=20)
SPOKEN = st.tuples(st.sampled_from(Role), TEXTS, st.sampled_from(SentimentLabel))


@given(st.lists(SPOKEN, max_size=8))
def test_counts_agree_with_their_evidence_and_places_with_the_text(
    spoken: list[tuple[Role, str, SentimentLabel]],
) -> None:
    turns = said(*spoken)
    found = assess(turns, metrics_of(turns))
    assert len(found.politeness.evidence) == found.politeness.sentences - found.politeness.polite
    assert len(found.empathy.evidence) == found.empathy.complaints >= found.empathy.acknowledged
    answering = found.answering
    assert len(answering.evidence) == answering.questions
    assert answering.answered + answering.promised + answering.unanswered == answering.questions
    places = [
        *found.politeness.evidence,
        *(one.phrase for one in found.empathy.evidence),
        *(one.answer for one in answering.evidence),
    ]
    for place in places:
        if place:
            text = turns[place.turn].sentences[place.sentence].text
            assert 0 <= place.start < place.end <= len(text)
    for figure in (found.politeness, found.empathy, found.interruptions, answering):
        assert (figure.score is None) is (figure.reason is not None)
        assert figure.score is None or 0 <= figure.score <= 1
