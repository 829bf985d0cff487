from itertools import pairwise
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.excerpt import (
    Line,
    begun,
    excerpt,
    promises,
    sentences,
    shortened,
    spoken,
    telling,
    tells,
)
from callytics.domain.transcript import Role

A, C, U = Role.AGENT, Role.CUSTOMER, Role.UNKNOWN

CALL = tuple(
    Line(role=role, text=text)
    for role, text in [
        (A, "안녕하세요, 누리카드 상담원 이서연입니다. 무엇을 도와드릴까요?"),
        (C, "네, 어제 지갑을 잃어버려서 카드를 정지하고 싶은데요."),
        (A, "많이 놀라셨겠어요. 성함과 생년월일을 말씀해 주시겠어요?"),
        (C, "최은정이고요, 팔십오 년 삼월 십이일이에요."),
        (A, "확인되었습니다. 잠시만 기다려 주세요."),
        (A, "분실 신고 접수해 드렸습니다."),
        (C, "네, 감사합니다. 그럼 카드를 다시 받으려면 어떻게 하죠?"),
        (A, "재발급 신청해 드리겠습니다. 닷새 안에 도착합니다."),
        (C, "네, 알겠습니다. 감사합니다."),
        (A, "감사합니다. 좋은 하루 되세요."),
    ]
)


def lines() -> st.SearchStrategy[list[Line]]:
    return st.lists(st.builds(Line, role=st.sampled_from(Role), text=st.text(max_size=80)))


def test_reads_what_was_asked_and_done_and_no_names() -> None:
    second_question = Line(role=C, text="그럼 카드를 다시 받으려면 어떻게 하죠?")
    assert excerpt(CALL, 500) == (CALL[1], CALL[5], second_question, CALL[7])


def test_a_small_limit_keeps_the_question_and_the_last_answer() -> None:
    question, answer = CALL[1], Line(role=A, text="재발급 신청해 드리겠습니다.")
    assert excerpt(CALL, 90) == (question, CALL[5], CALL[7])
    assert excerpt(CALL, 64) == (question, CALL[5], answer)
    assert excerpt(CALL, 50)[0] == Line(role=C, text="네, 어제 지갑을 잃어버려서 카드를 정지하고")


def test_a_call_may_begin_with_the_matter() -> None:
    asked = Line(role=C, text="인터넷이 끊겨요.")
    assert excerpt([asked], 100) == (asked,)


@given(lines(), st.integers(0, 300))
def test_lines_are_taken_in_order_within_the_limit(said: list[Line], limit: int) -> None:
    taken = excerpt(said, limit)
    assert sum(len(line.text) for line in taken) <= limit
    places = iter(telling(said))
    for line in taken:
        assert any(line.role is one.role and parts_of(line, one) for one in places)


def parts_of(line: Line, whole: Line) -> bool:
    """Whether the words of `line` are some of those of `whole`."""
    return all(word in whole.text for word in line.text.split())


def test_what_was_done_goes_before_what_could_be_done() -> None:
    done = Line(role=A, text="목요일 오후로 변경해 드렸습니다.")
    could = Line(role=A, text="엑스레이는 일찍 오셔서 찍으시면 됩니다.")
    asked = Line(role=C, text="진료 날짜를 바꾸고 싶어서요.")
    assert excerpt([asked, done, could], 40) == (asked, done)


def test_a_conversation_that_goes_on_only_grows() -> None:
    read = [spoken(CALL[:count], 1000) for count in range(len(CALL) + 1)]
    assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(read))
    assert list(read[-1]) == telling(CALL)


def test_a_long_conversation_keeps_its_beginning_and_its_end() -> None:
    said = [Line(role=C, text=f"{number}번 요금이 잘못 나왔어요.") for number in range(200)]
    sizes = [sum(len(line.text) for line in spoken(said[:count], 300)) for count in range(200)]
    assert max(sizes) <= 300
    assert sum(later < earlier for earlier, later in pairwise(sizes)) < 30
    assert (spoken(said, 300)[0], spoken(said, 300)[-1]) == (said[0], said[-1])


@given(lines(), st.integers(8, 300))
def test_what_is_read_ahead_stays_within_the_limit(said: list[Line], limit: int) -> None:
    assert sum(len(line.text) for line in spoken(said, limit)) <= limit


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("네, 그럼 접수해 드렸습니다.", "접수해 드렸습니다."),
        ("네.", "네."),
        ("아니요.", "아니요."),
        ("예약 접수했습니다.", "예약 접수했습니다."),
    ],
)
def test_the_words_that_only_begin_are_left_out(said: str, kept: str) -> None:
    assert begun(said) == kept


@pytest.mark.parametrize(
    ("said", "promised"),
    [
        ("분실 신고 접수해 드렸습니다.", True),
        ("오늘 배송하도록 요청해 두겠습니다.", True),
        ("I've issued a refund.", True),
        ("서류를 보내 주시면 환불이 가능합니다.", False),
        ("본인 확인이 필요합니다.", False),
    ],
)
def test_promises_are_told_from_offers(said: str, promised: bool) -> None:
    assert promises(said) is promised


@given(lines())
def test_with_room_for_all_no_line_is_cut(said: list[Line]) -> None:
    assert list(excerpt(said, 10_000)) == telling(said)


@pytest.mark.parametrize(
    "text",
    [
        "네, 감사합니다.",
        "안녕하세요.",
        "좋은 하루 보내세요.",
        "잠시만 기다려 주세요.",
        "한빛통신 고객센터 상담원 김민지입니다.",
        "불편을 드려서 정말 죄송합니다.",
        "성함이 어떻게 되세요?",
        "Thank you so much!",
        "How can I help you?",
        "Could you give me your account number?",
    ],
)
def test_small_talk_tells_nothing(text: str) -> None:
    assert not tells(text)


@pytest.mark.parametrize(
    "text",
    [
        "죄송합니다만 그 상품은 생산이 중단되었습니다.",
        "감사합니다, 환불 접수해 드렸습니다.",
        "구독 해지하려고요.",
        "I've issued a refund.",
    ],
)
def test_small_talk_does_not_hide_what_matters(text: str) -> None:
    assert tells(text)


def test_a_call_of_greetings_says_nothing() -> None:
    assert telling([CALL[0], CALL[8], CALL[9]]) == []


@pytest.mark.parametrize("wish", ["요금 문의요", "해지요.", "카드 정지"])
def test_a_few_words_are_the_matter_where_nothing_else_is_said(wish: str) -> None:
    said = [Line(role=C, text=wish), Line(role=A, text="네, 알겠습니다.")]
    assert telling(said) == [Line(role=C, text=wish)]
    assert telling([*said, CALL[1]]) == telling([CALL[1]])


@given(st.text(), st.integers(1, 50))
def test_words_are_not_cut(text: str, limit: int) -> None:
    short, whole = shortened(text, limit), text.strip()
    assert len(short) <= limit
    assert whole.startswith(short)
    cut_in_a_word = len(short) < len(whole) and not whole[len(short)].isspace()
    assert not cut_in_a_word or len(whole[:limit].split()) <= 1


@given(st.text(alphabet="가나다 .?!", max_size=60))
def test_sentences_lose_no_letter(text: str) -> None:
    def letters(of: str) -> list[str]:
        return [letter for letter in of if letter.isalpha()]

    assert letters("".join(sentences(text))) == letters(text)


@pytest.mark.parametrize(
    "text", ["가" * 1_000_000, "가나 " * 300_000, "." * 1_000_000, "a" * 10**6]
)
def test_a_megabyte_is_read_in_no_time(text: str) -> None:
    started = perf_counter()
    said = [Line(role=C, text=text), Line(role=A, text=text)]
    excerpt(said, 300)
    spoken(said, 300)
    assert perf_counter() - started < 20
