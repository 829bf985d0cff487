import pytest

from callytics.domain.answering import AnswerKind, AnswerOutcome, Question, questions
from callytics.domain.punctuation import split
from callytics.domain.transcript import Role, Sentence, Turn


def call(script: str) -> list[Turn]:
    """A turn a line, `a` the agent's and `c` the customer's."""
    lines = [line.strip().split(": ", 1) for line in script.strip().splitlines()]
    roles = {"a": Role.AGENT, "c": Role.CUSTOMER}
    return [
        Turn(
            index=index,
            start_s=5.0 * index,
            end_s=5.0 * index + 4,
            speaker=who,
            role=roles[who],
            text=text,
            sentences=tuple(Sentence(text=one) for one in split(text)),
        )
        for index, (who, text) in enumerate(lines)
    ]


def asked(script: str) -> list[tuple[Question, str | None]]:
    """Each question, with the phrase that answers it."""
    turns = call(script)
    return [(one, _phrase(turns, one)) for one in questions(turns)]


def _phrase(turns: list[Turn], question: Question) -> str | None:
    place = question.answer
    if place is None:
        return None
    return turns[place.turn].sentences[place.sentence].text[place.start : place.end]


@pytest.mark.parametrize(
    ("question", "answer", "kind", "phrase"),
    [
        ("언제 오실 수 있나요?", "내일 오후 두 시에 방문하겠습니다.", "time", "내일"),
        ("배송은 며칠 걸려요?", "영업일로 3일 걸립니다.", "time", "3"),
        ("위약금이 얼마예요?", "십이만 원입니다.", "figure", "십이만"),
        ("수수료는 얼마인가요?", "무료입니다.", "figure", "무료"),
        ("서류는 어디로 보내요?", "가까운 지점으로 보내 주세요.", "place", "지점"),
        ("왜 요금이 올랐어요?", "할인이 끝났기 때문입니다.", "reason", "때문"),
        ("해지는 어떻게 해요?", "앱에서 신청하시면 됩니다.", "manner", "시면 됩"),
        ("카드를 다시 받으려면 어떻게 하죠?", "제가 바로 도와드릴게요.", "manner", "도와드릴게"),
        ("오늘 도착하나요?", "아니요, 내일 도착합니다.", "yes_no", "아니요"),
        ("환불이 되나요?", "규정상 어렵습니다.", "yes_no", "어렵습"),
        ("혹시 누가 쓴 건 없나요?", "승인된 것은 없으십니다.", "yes_no", "없으십니다"),
        ("팩스밖에 안 되나요?", "네.", "yes_no", "네"),
        ("Can I get a refund?", "Yes, you will have it on Monday.", "yes_no", "Yes"),
    ],
)
def test_what_a_question_asks_for_answers_it(
    question: str, answer: str, kind: str, phrase: str
) -> None:
    [(found, said)] = asked(f"c: {question}\na: {answer}")
    assert (found.asks, found.outcome, found.answered_by) == (kind, "answered", kind)
    assert said == phrase


@pytest.mark.parametrize(
    ("question", "answer", "phrase"),
    [
        ("어떤 서류가 필요해요?", "서류는 신분증입니다.", "서류는"),
        ("누구한테 보낼까요?", "담당자에게 보내 주세요.", "보내"),
        ("배송비는 제가 내야 되나요?", "배송비 오천 원이 발생합니다.", "배송비"),
        ("What about the invoice?", "The invoices go out tomorrow.", "invoices"),
    ],
)
def test_a_content_word_that_is_taken_up_answers(question: str, answer: str, phrase: str) -> None:
    [(found, said)] = asked(f"c: {question}\na: {answer}")
    assert (found.outcome, found.answered_by) == (AnswerOutcome.ANSWERED, AnswerKind.WORD)
    assert said == phrase


@pytest.mark.parametrize(
    ("answer", "phrase"),
    [
        ("네, 확인해 드리겠습니다.", "확인해 드리겠습니다"),
        ("환불 건은 제가 알아보겠습니다.", "알아보겠습니다"),
        ("확인 후 다시 연락드리겠습니다.", "확인 후 다시 연락드리겠습니다"),
        ("담당 부서에 전달해 드릴게요.", "전달해 드릴게요"),
        ("네. 잠시만 기다려 주세요. 조회해 보겠습니다.", "조회해 보겠습니다"),
    ],
)
def test_a_promise_to_find_out_is_no_answer(answer: str, phrase: str) -> None:
    [(found, said)] = asked(f"c: 환불은 됐나요?\na: {answer}")
    assert (found.outcome, found.answered_by, said) == (AnswerOutcome.PROMISED, None, phrase)


def test_a_promise_that_is_kept_before_the_next_question_is_an_answer() -> None:
    [(found, said)] = asked(
        "c: 환불은 됐나요?\na: 확인해 보겠습니다.\nc: 네.\na: 어제 됐습니다. 환불이 끝났습니다."
    )
    assert (found.outcome, said) == (AnswerOutcome.ANSWERED, "환불이")


@pytest.mark.parametrize(
    "answer",
    [
        "성함을 말씀해 주세요.",
        "네?",
        "언제 주문하셨어요?",
        "잠시만 기다려 주세요.",
        "네, 알겠습니다.",
    ],
)
def test_asking_back_or_something_else_is_no_answer(answer: str) -> None:
    [(found, said)] = asked(f"c: 언제 도착해요?\na: {answer}")
    assert (found.outcome, said) == (AnswerOutcome.UNANSWERED, None)


def test_an_answer_that_comes_after_the_next_question_is_too_late() -> None:
    found = asked(
        "c: 요금이 얼마예요?\na: 성함을 말씀해 주세요.\n"
        "c: 환불은 언제 돼요?\na: 요금은 삼만 원입니다. 환불은 내일 됩니다."
    )
    assert [(one.outcome, said) for one, said in found] == [
        ("unanswered", None),
        ("answered", "내일"),
    ]


def test_a_back_channel_between_two_questions_leaves_the_first_one_open() -> None:
    found = asked(
        "c: 요금이 얼마예요?\na: 네.\nc: 그리고 언제 와요?\na: 삼만 원이고요. 내일 갑니다."
    )
    assert [(one.outcome, said) for one, said in found] == [
        ("answered", "삼만"),
        ("answered", "내일"),
    ]


def test_questions_of_one_turn_share_what_follows() -> None:
    found = asked("c: 요금이 얼마예요? 언제 와요?\na: 삼만 원입니다. 내일 갑니다.")
    assert [said for _, said in found] == ["삼만", "내일"]


@pytest.mark.parametrize(
    "said",
    [
        "네?",
        "정말요?",
        "여보세요?",
        "이게 말이 됩니까?",
        "도대체 뭐 하자는 거예요?",
        "저하고 장난하세요?",
    ],
)
def test_doubt_and_anger_are_no_questions(said: str) -> None:
    assert asked(f"c: {said}\na: 죄송합니다.") == []


def test_a_question_is_one_by_its_form_too() -> None:
    [(found, _)] = asked("c: 이번 달 요금은 할인해 주실 수 있나요.\na: 네, 할인해 드리겠습니다.")
    assert found.outcome is AnswerOutcome.ANSWERED
    assert asked("c: 알겠습니다.\na: 감사합니다.") == []


def test_the_agents_questions_are_not_counted() -> None:
    assert asked("a: 무엇을 도와드릴까요?\nc: 요금이 궁금해서요.") == []


def test_a_question_at_the_end_stays_unanswered() -> None:
    [(found, _)] = asked("a: 감사합니다.\nc: 언제 오세요?")
    assert found == Question(
        turn=1,
        sentence=0,
        asks=AnswerKind.TIME,
        outcome=AnswerOutcome.UNANSWERED,
        answered_by=None,
        answer=None,
    )
