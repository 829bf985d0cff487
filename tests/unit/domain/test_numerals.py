import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.numerals import sino, unsaid_numbers


@pytest.mark.parametrize(
    ("number", "spoken"),
    [
        (0, "영"),
        (7, "칠"),
        (10, "십"),
        (27, "이십칠"),
        (1947, "천구백사십칠"),
        (55_000, "오만오천"),
        (200_000_000, "이억"),
    ],
)
def test_sino_korean(number: int, spoken: str) -> None:
    assert sino(number) == spoken


@pytest.mark.parametrize(
    ("text", "conversation"),
    [
        ("2시 방문", "내일 오후 두 시에 방문할게요"),
        ("3시 30분", "세 시 삼십 분으로 변경해 드렸습니다"),
        ("18만 원", "십팔만 원이 나왔어요"),
        ("180,000원", "18만 원이 나왔어요"),
        ("5만 5천 원", "오만 오천 원입니다"),
        ("3일 안에", "사흘 안에 지급됩니다"),
        ("12명", "열두 명이에요"),
        ("두 시", "두 시에 오세요"),
        ("십이 기가", "십이기가 요금제"),
        ("89 dollars", "two charges of 89 dollars"),
        ("정부24 신청", "정부24에서 신청하시면 됩니다"),
        ("1947 조회", "5512 8830 1947이요"),
    ],
)
def test_a_number_that_was_said_in_any_form_is_found(text: str, conversation: str) -> None:
    assert unsaid_numbers(text, conversation) == ()


@pytest.mark.parametrize(
    ("text", "conversation"),
    [
        ("14시 방문", "오후 두 시에 방문할게요"),
        ("두 시 방문", "세 시에 두고 갈게요"),
        ("7일 안에", "이천 칠백 원입니다"),
        ("십팔만 원", "만 원입니다"),
        ("이틀 안에", "사흘 안에 갑니다"),
        ("열다섯 명", "열 명이에요"),
        ("194 조회", "1947이요"),
        ("99.5퍼센트", "99퍼센트입니다"),
    ],
)
def test_a_number_that_was_not_said_is_named(text: str, conversation: str) -> None:
    assert unsaid_numbers(text, conversation)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "일시 정지",
            "만료 안내",
            "구매 문의",
            "사회",
            "사건 접수",
            "이동",
            "일대일 상담",
            "구조 요청",
        ),
        *(
            "세대 방문",
            "백화점",
            "천안",
            "영수증",
            "일정 변경",
            "이용 안내",
            "만족",
            "서명",
            "사이",
            "네 확인",
        ),
    ],
)
def test_words_that_only_look_like_numbers_are_none(text: str) -> None:
    assert unsaid_numbers(text, "") == ()


@given(st.integers(0, 10**9))
def test_every_figure_is_found_as_it_is_spoken(number: int) -> None:
    assert unsaid_numbers(f"{number}원 할인", f"그럼 {sino(number)} 원 할인해 드릴게요") == ()


@given(st.text(), st.text())
def test_any_text_is_taken(text: str, conversation: str) -> None:
    unsaid_numbers(text, conversation)


def test_a_figure_that_nobody_could_say_is_compared_as_it_stands() -> None:
    figure = "1" * 5000
    assert unsaid_numbers(figure, "네") == (figure,)
    assert unsaid_numbers(figure, f"번호는 {figure}") == ()
