import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.speech_level import Level, level_of


@pytest.mark.parametrize(
    ("sentence", "ending"),
    [
        ("무엇을 도와드릴까요?", "요"),
        ("접수되었습니다.", "습니다"),
        ("성함이 어떻게 되십니까?", "십니까"),
        ("잠시만 기다려 주십시오.", "시오"),
        ("그렇죠.", "렇죠"),
        ("서울이고요.", "요"),
        ("정말 죄송합니다, 고객님.", "합니다"),
        ("감사합니다 고객님", "합니다"),
        ("내일 방문하겠습니다!!", "습니다"),
    ],
)
def test_polite_endings(sentence: str, ending: str) -> None:
    level, start, end = level_of(sentence)
    assert level is Level.POLITE
    assert sentence[start:end] == ending


@pytest.mark.parametrize(
    ("sentence", "ending"),
    [
        ("그건 안 된다니까.", "다니까"),
        ("아까 말했잖아.", "잖아"),
        ("지금 확인해.", "해"),
        ("그건 없어.", "없어"),
        ("뭐야?", "뭐야"),
        ("이따 전화할게.", "할게"),
        ("그렇지.", "렇지"),
        ("접수됐다.", "됐다"),
        ("안 돼.", "돼"),
        ("내가 몰라.", "몰라"),
        ("벌써 했잖아, 고객님.", "잖아"),
    ],
)
def test_plain_endings(sentence: str, ending: str) -> None:
    level, start, end = level_of(sentence)
    assert level is Level.PLAIN
    assert sentence[start:end] == ending


@pytest.mark.parametrize(
    "sentence",
    [
        "네.",
        "아, 네.",
        "네, 고객님.",
        "고객님.",
        "주문 번호.",
        "피해.",
        "신분증이 필요.",
        "확인해 봤는데",
        "담당자가 없으니까",
        "하루.",
        "Thank you.",
        "...",
        "",
    ],
)
def test_back_channels_names_and_pieces_have_no_level(sentence: str) -> None:
    assert level_of(sentence) == (Level.NONE, 0, 0)


@given(st.text(max_size=60) | st.text("가다요니합됐,. 네고객님", max_size=30))
def test_the_ending_is_a_part_of_the_sentence(sentence: str) -> None:
    level, start, end = level_of(sentence)
    assert 0 <= start <= end <= len(sentence)
    assert (start < end) is (level is not Level.NONE)
