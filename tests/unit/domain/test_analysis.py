import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callytics.domain.analysis import Talk, choose, once_more, prompt
from callytics.domain.analysis_wording import Fault
from callytics.domain.transcript import Role

CALL = """상담사: 안녕하세요, 누리카드 상담원 이서연입니다. 무엇을 도와드릴까요?
고객: 어제 지하철에서 지갑을 잃어버렸는데요. 카드를 정지하고 싶어요.
상담사: 오상민 님, 카드 두 장 맞으시죠? 분실 신고 접수해 드렸고 지금부터 카드 사용이 정지됩니다.
고객: 수수료도 있나요? 재발급도 받고 싶은데요.
상담사: 수수료는 없습니다. 재발급 신청 완료되었고 닷새 안에 도착합니다.
고객: 네, 감사합니다."""
TALK = Talk.of(CALL, "ko")
MESSAGES = prompt(choose(TALK, 500), "ko")


def test_greetings_names_and_what_the_agent_only_asks_are_not_read() -> None:
    read = MESSAGES[-1]["content"]
    assert read.splitlines()[0].startswith("고객: 어제 지하철에서")
    assert "이서연" not in read
    assert "맞으시죠" not in read


def test_all_that_tells_anything_is_read_where_it_fits() -> None:
    reading = choose(TALK, 500)
    assert (reading.share, reading.gaps) == (1, frozenset())
    assert [line.role for line in reading.lines] == [Role.CUSTOMER, Role.AGENT] * 2


def long_call(turns: int) -> str:
    return "\n".join(
        f"{'상담사' if turn % 2 else '고객'}: 이것은 통화의 {turn}번째 이야기이고 별다른 뜻이 없네요."
        for turn in range(turns)
    )


def test_of_a_long_conversation_whole_turns_and_both_ends_are_read() -> None:
    talk = Talk.of(long_call(40), "ko")
    reading = choose(talk, 400)
    assert reading.lines[0] == talk.told[0]
    assert reading.lines[-1] == talk.told[-1]
    assert set(reading.lines) <= set(talk.told)
    assert sum(len(line.text) for line in reading.lines) <= 400
    assert 0 < reading.share < 0.5
    [gap] = reading.gaps
    assert prompt(reading, "ko")[-1]["content"].splitlines()[gap] == "…"


def test_in_the_middle_those_turns_go_first_that_ask_or_act() -> None:
    asks = "고객: 그런데 요금은 환불해 주실 수 있는지도 알고 싶어요."
    rows = long_call(40).splitlines()
    talk = Talk.of("\n".join([*rows[:20], asks, *rows[20:]]), "ko")
    assert any("환불" in line.text for line in choose(talk, 200).lines)


def test_a_turn_that_would_fill_the_room_alone_is_cut_between_words() -> None:
    talk = Talk.of(
        f"고객: {'요금이 이상해서 전화했는데 ' * 90}\n상담사: 요금을 환불해 드리겠습니다.", "ko"
    )
    reading = choose(talk, 200)
    assert [line.role for line in reading.lines] == [Role.CUSTOMER, Role.AGENT]
    assert reading.lines[0].text.endswith(("요금이", "이상해서", "전화했는데"))


@settings(deadline=None)
@given(st.text(max_size=300), st.integers(20, 400))
def test_what_is_read_fits_whatever_the_text(text: str, limit: int) -> None:
    talk = Talk.of(text, "ko")
    reading = choose(talk, limit)
    assert sum(len(line.text) for line in reading.lines) <= limit
    assert 0 <= reading.share <= 1
    assert bool(reading.lines) == bool(talk.told)


def test_all_messages_but_the_last_are_the_same_for_every_conversation() -> None:
    other = prompt(choose(Talk.of(long_call(6), "ko"), 500), "ko")
    assert other[:-1] == MESSAGES[:-1]
    assert other[-1] != MESSAGES[-1]


@pytest.mark.parametrize("language", ["ko", "en", "ja"])
def test_the_examples_are_answers_of_the_form_that_is_wanted(language: str) -> None:
    answers = [
        m["content"] for m in prompt(choose(TALK, 500), language) if m["role"] == "assistant"
    ]
    for answer in answers:
        assert list(json.loads(answer)) == ["summary", "keywords", "titles"]
    assert bool(answers) == (language != "ja")


def test_asking_again_names_the_reasons_and_not_the_answer() -> None:
    again = once_more(MESSAGES, [Fault.MADE_UP, Fault.CUT], "ko")
    assert again[:-1] == MESSAGES[:-1]
    added = again[-1]["content"].removeprefix(MESSAGES[-1]["content"])
    assert "나오지 않은" in added
    assert "더 짧게" in added
