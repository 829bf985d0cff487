import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callytics.domain.dialogue import Utterance, language_of, read, sentences
from callytics.domain.transcript import Role

AGENT, CUSTOMER, UNKNOWN = Role.AGENT, Role.CUSTOMER, Role.UNKNOWN


def said(text: str) -> list[tuple[Role, str]]:
    return [(utterance.role, utterance.text) for utterance in read(text)]


@pytest.mark.parametrize(
    "text",
    [
        "고객: 인터넷이 끊겨요\n상담사: 확인해 볼게요",
        "고객님 : 인터넷이 끊겨요\r\n상담원 : 확인해 볼게요\r\n",
        "고객：인터넷이 끊겨요\n상담사：확인해 볼게요",
        "[고객] 인터넷이 끊겨요\n[상담사] 확인해 볼게요",
        "[고객] 인터넷이 끊겨요 [상담사] 확인해 볼게요",
        "고객: 인터넷이 끊겨요 상담사: 확인해 볼게요",
        "[00:01:02] 고객: 인터넷이 끊겨요\n[00:01:05] 상담원 김민지: 확인해 볼게요",
        "00:01:02 고객: 인터넷이 끊겨요\n00:01:05 상담사: 확인해 볼게요",
        "(0.0s - 3.2s) 고객: 인터넷이 끊겨요\n(3.2s - 4.0s) 상담사: 확인해 볼게요",
        "고객(박준호): 인터넷이 끊겨요\n상담사 1: 확인해 볼게요",
        "**고객**: 인터넷이 끊겨요\n- 상담사: 확인해 볼게요",
        "고객\t인터넷이 끊겨요\n상담사\t확인해 볼게요",
        "고객\n인터넷이 끊겨요\n상담사\n확인해 볼게요",
        "고객 00:02\n인터넷이 끊겨요\n상담사 00:05\n확인해 볼게요",
        "Customer: 인터넷이 끊겨요\nAGENT: 확인해 볼게요",
        "Customer: 인터넷이 끊겨요\nCustomer Service Rep: 확인해 볼게요",
        "고객: 인터넷이 끊겨요\n김민지: 확인해 볼게요\n김민지:\n김민지:",
    ],
)
def test_reads_labels_that_name_a_side(text: str) -> None:
    assert said(text) == [(CUSTOMER, "인터넷이 끊겨요"), (AGENT, "확인해 볼게요")]


@pytest.mark.parametrize(
    ("one", "two"),
    [("A", "B"), ("화자1", "화자2"), ("SPEAKER_00", "SPEAKER_01"), ("김민지", "박준호")],
)
def test_labels_that_name_no_side_get_their_roles_from_what_is_said(one: str, two: str) -> None:
    text = (
        f"{one}: 한빛통신 상담원 김민지입니다. 무엇을 도와드릴까요?\n"
        f"{two}: 인터넷이 끊겨서 전화드렸어요\n"
        f"{one}: 방문 예약해 드리겠습니다\n"
        f"{two}: 네"
    )
    assert [role for role, _ in said(text)] == [AGENT, CUSTOMER, AGENT, CUSTOMER]


def test_nobody_is_called_agent_where_nothing_tells() -> None:
    assert said("A: 네\nB: 아니오") == [(UNKNOWN, "네"), (UNKNOWN, "아니오")]


def test_what_no_person_says_is_on_no_side() -> None:
    text = "시스템: 통화가 녹음됩니다\n고객: 네\n상담사: 안녕하세요"
    assert [role for role, _ in said(text)] == [UNKNOWN, CUSTOMER, AGENT]


def test_a_line_without_label_belongs_to_the_one_before() -> None:
    assert said("고객: 하나는 그렇고\n둘은 이렇고\n상담사: 네")[0] == (
        CUSTOMER,
        "하나는 그렇고\n둘은 이렇고",
    )


def test_a_line_with_a_time_only_is_the_same_speaker_again() -> None:
    text = "[00:01] 고객: 하나\n[00:02] 둘\n[00:03] 상담사: 네"
    assert said(text) == [(CUSTOMER, "하나"), (CUSTOMER, "둘"), (AGENT, "네")]


def test_headings_are_no_labels() -> None:
    text = "상담 일시: 2025-09-13\n고객 번호: 1234\n고객: 네\n상담사: 네"
    assert said(text) == [
        (UNKNOWN, "상담 일시: 2025-09-13"),
        (UNKNOWN, "고객 번호: 1234"),
        (CUSTOMER, "네"),
        (AGENT, "네"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "주소: https://example.com 입니다",
        "10:30에 갈게요",
        "저희 고객 여러분께",
        "상담 후 연락 주세요",
        "네",
        "등급 a: 우수",
    ],
)
def test_what_only_looks_like_a_label_is_kept(text: str) -> None:
    assert said(text) == [(UNKNOWN, text)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("인터넷이 끊겨요.\n확인할게요.", ["인터넷이 끊겨요.", "확인할게요."]),
        ("인터넷이 끊겨요. 확인할게요.", ["인터넷이 끊겨요.", "확인할게요."]),
        ("첫째 줄\n둘째 줄\n\n다음 말", ["첫째 줄\n둘째 줄", "다음 말"]),
        ("[00:01] 첫째\n[00:02] 둘째", ["첫째", "둘째"]),
        ("", []),
        (" \r\n\t", []),
        ("고객:\n상담사:", []),
    ],
)
def test_text_without_labels_is_cut_where_it_shows_a_cut(text: str, parts: list[str]) -> None:
    assert said(text) == [(UNKNOWN, part) for part in parts]


def test_sentences_know_their_places() -> None:
    text = "상담사: 요금은 3.5만 원입니다. 맞으시죠?\n네."
    found = sentences(read(text)[0])
    assert [one.text for one in found] == ["요금은 3.5만 원입니다.", "맞으시죠?", "네."]
    assert all(text[one.start : one.end] == one.text for one in found)


def test_long_speech_without_punctuation_is_cut_after_spoken_endings() -> None:
    text = (
        "네 안녕하세요 저는 요금이 많이 나와서 전화했는데요 지난달보다 두 배가 나왔어요 "
        "국제전화 요금이 들어 있습니다 저는 쓴 적이 없거든요 빼 주세요"
    )
    found = [one.text for one in sentences(read(text)[0])]
    assert "지난달보다 두 배가 나왔어요" in found
    assert " ".join(found) == text


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("고객: 인터넷이 끊겨요", "ko"),
        ("고객: My internet is down. Can you help?\n상담사: Yes, of course.", "en"),
        ("Customer: iPhone 15 Pro Max 교환하고 싶어요", "ko"),
        ("インターネットが使えません。", "ja"),
        ("我的网络不能用了。", "zh"),
        ("Мой интернет не работает", "ru"),
        ("Hola, mi internet no funciona, gracias", "es"),
        ("Bonjour, je ne peux pas payer mon compte", "fr"),
        ("OK", "en"),
        ("1234", "ko"),
        ("", "ko"),
    ],
)
def test_tells_the_language(text: str, language: str) -> None:
    assert language_of(read(text)) == language


LABELS = {
    "고객: ": CUSTOMER,
    "고객님 : ": CUSTOMER,
    "[고객] ": CUSTOMER,
    "[00:01:02] Customer: ": CUSTOMER,
    "상담사: ": AGENT,
    "상담원：": AGENT,
    "[상담사]": AGENT,
    "Agent: ": AGENT,
}
SPOKEN = st.text(st.sampled_from("가나다라마바사 .,?!12abc"), min_size=1).filter(str.strip)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(LABELS)), SPOKEN, st.sampled_from(["\n", "\r\n", "\n\n"]))
    )
)
def test_a_labelled_dialogue_comes_back_turn_by_turn(turns: list[tuple[str, str, str]]) -> None:
    text = "".join(label + spoken + end for label, spoken, end in turns)
    assert said(text) == [(LABELS[label], spoken.strip()) for label, spoken, _ in turns]


ANYTHING = st.text(st.sampled_from("가고객상담사원님A:：[]()<>\n\r\t .!?01|-*#") | st.characters())
PIECES = st.lists(st.sampled_from([*LABELS, "A: ", "화자1: ", "[00:01] ", "\n", " ", "네", "요. "]))


@settings(deadline=None)
@given(ANYTHING | PIECES.map("".join))
def test_every_utterance_keeps_its_place_whatever_the_text(text: str) -> None:
    at = 0
    for utterance in read(text):
        assert utterance.start >= at
        assert text[utterance.start : utterance.end].strip() == utterance.text != ""
        check_sentences(text, utterance)
        at = utterance.end
    assert re.fullmatch("[a-z]{2}", language_of(read(text)))


def check_sentences(text: str, utterance: Utterance) -> None:
    found = sentences(utterance)
    assert all(text[one.start : one.end] == one.text != "" for one in found)
    assert "".join("".join(one.text for one in found).split()) == "".join(utterance.text.split())


@settings(deadline=None)
@given(st.text(st.sampled_from("가나다 .,?!\n\r한글요")))
def test_without_labels_nothing_is_lost_but_space(text: str) -> None:
    assert "".join("".join(one.text for one in read(text)).split()) == "".join(text.split())


@settings(deadline=None)
@given(ANYTHING | PIECES.map("".join))
def test_only_labels_times_and_space_are_lost(text: str) -> None:
    at, lost = 0, []
    for utterance in read(text):
        lost.append(text[at : utterance.start])
        at = utterance.end
    lost.append(text[at:])
    words = re.findall(r"\w+", re.sub(r"[\s_]+", " ", " ".join(lost)))
    assert all(len(word) < 12 for word in words)
