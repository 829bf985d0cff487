import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callytics.domain.dialogue import read
from callytics.domain.evidence import Said, all_said, mentions, says, support
from callytics.domain.transcript import Role

TEXT = """상담사: 한빛통신 고객센터입니다. 무엇을 도와드릴까요?
고객: 어제부터 인터넷이 자꾸 끊겨서 전화드렸어요. 요금은 사만 원이나 내는데요.
상담사: 기사님이 내일 오후 두 시에 방문하도록 예약해 드리겠습니다.
고객: 요금은 할인되나요?
상담사: 네, 장애 기간만큼 요금을 할인해 드리겠습니다."""
SAID = all_said(read(TEXT))


def sentences(found: tuple[Said, ...]) -> list[str]:
    return [TEXT[one.start : one.end] for one in found]


def test_every_sentence_knows_its_turn_and_its_place() -> None:
    assert [one.turn for one in SAID] == [0, 0, 1, 1, 2, 3, 4]
    assert sentences(SAID) == [one.text for one in SAID]


def test_a_phrase_rests_on_the_sentence_that_has_its_words() -> None:
    found = support("인터넷 끊김 문의", SAID)
    assert sentences(found.sentences) == ["어제부터 인터넷이 자꾸 끊겨서 전화드렸어요."]
    assert found.share == 1


def test_numbers_count_as_words_do_however_they_are_written() -> None:
    found = support("내일 오후 2시 방문", SAID)
    assert sentences(found.sentences) == [SAID[4].text]
    assert support("내일 오후 3시 방문", SAID).share < found.share


def test_a_phrase_of_two_matters_rests_on_two_sentences_in_order() -> None:
    found = support("요금 할인, 방문 예약", SAID, Role.AGENT)
    assert [one.turn for one in found.sentences] == [2, 4]


@pytest.mark.parametrize(("side", "turn"), [(Role.CUSTOMER, 3), (Role.AGENT, 4)])
def test_the_side_that_a_phrase_is_about_goes_first(side: Role, turn: int) -> None:
    assert [one.turn for one in support("요금 할인", SAID, side).sentences] == [turn]


def test_the_other_side_is_better_than_nothing() -> None:
    assert [one.turn for one in support("방문 예약", SAID, Role.CUSTOMER).sentences] == [2]


@pytest.mark.parametrize("phrase", ["위약금 면제", "환불 3만 5천 원", "", "안내"])
def test_what_nobody_said_rests_on_nothing(phrase: str) -> None:
    found = support(phrase, SAID)
    assert (found.sentences, found.share) == ((), 0)


@pytest.mark.parametrize(
    ("keyword", "turns"),
    [
        ("인터넷", [1]),
        ("요금", [1, 3, 4]),
        ("장애기간", [4]),
        ("요금방문", [1, 2]),
        ("위약금", []),
        ("안내", []),
        ("5만 원", []),
    ],
)
def test_a_keyword_is_found_where_it_is_said(keyword: str, turns: list[int]) -> None:
    assert [one.turn for one in mentions(keyword, SAID)] == turns


def test_endings_of_verbs_do_not_matter() -> None:
    assert says("진단서를 보내 주시면 환불됩니다", "보내주면")
    assert not says("진단서를 보내 주시면 환불됩니다", "바꿔주면")


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("분실", "지갑을 잃어버렸어요"),
        ("분실로", "지갑을 잃어버렸어요"),
        ("변경", "목요일로 옮길 수 있을까요"),
        ("환불", "돌려받을 수 있어요?"),
    ],
)
def test_a_matter_is_found_as_people_say_it(word: str, text: str) -> None:
    assert says(text, word)
    assert not says("택배가 언제 와요?", word)


PHRASES = st.text(st.sampled_from("인터넷 요금할방문예약2시내일,.")) | st.text(max_size=20)


@settings(deadline=None)
@given(PHRASES, st.sampled_from([None, *Role]))
def test_evidence_is_sentences_of_the_conversation_in_order(phrase: str, side: Role | None) -> None:
    found = support(phrase, SAID, side)
    assert 0 <= found.share <= 1.000001
    assert (found.share == 0) == (not found.sentences)
    assert list(found.sentences) == sorted(found.sentences, key=lambda one: one.start)
    assert set(found.sentences) <= set(SAID)
    assert set(mentions(phrase, SAID)) <= set(SAID)
