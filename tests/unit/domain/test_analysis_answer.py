import pytest

from callytics.domain.analysis import Talk, choose, prompt
from callytics.domain.analysis_answer import Draft, Settled, settle, sift
from callytics.domain.analysis_wording import (
    Fault,
    Part,
    Written,
    korean_matter,
    korean_phrase,
    of,
)
from callytics.domain.transcript import Role

CALL = """상담사: 안녕하세요, 누리카드 상담원 이서연입니다. 무엇을 도와드릴까요?
고객: 어제 지하철에서 지갑을 잃어버렸는데요. 카드를 정지하고 싶어요.
상담사: 오상민 님, 카드 두 장 맞으시죠? 분실 신고 접수해 드렸고 지금부터 카드 사용이 정지됩니다.
고객: 수수료도 있나요? 재발급도 받고 싶은데요.
상담사: 수수료는 없습니다. 재발급 신청 완료되었고 닷새 안에 도착합니다.
고객: 네, 감사합니다."""
TALK = Talk.of(CALL, "ko")
MESSAGES = prompt(choose(TALK, 500), "ko")
GOOD = Written(
    parts={
        Part.CUSTOMER: "지갑 분실로 카드 정지 요청",
        Part.AGENT: "분실 신고 접수, 수수료 없음 안내",
        Part.RESULT: "카드 정지, 재발급 신청 완료",
    },
    keywords=("분실신고", "카드", "재발급"),
    keyword_title="분실신고_재발급",
    descriptive_title="지갑 분실에 따른 카드 정지 및 재발급 신청",
)


def written(
    *,
    customer: str = GOOD.parts[Part.CUSTOMER],
    agent: str = GOOD.parts[Part.AGENT],
    result: str = GOOD.parts[Part.RESULT],
    keywords: tuple[str, ...] = tuple(GOOD.keywords),
    keyword_title: str = GOOD.keyword_title,
    descriptive_title: str = GOOD.descriptive_title,
) -> Written:
    return Written(
        parts={Part.CUSTOMER: customer, Part.AGENT: agent, Part.RESULT: result},
        keywords=keywords,
        keyword_title=keyword_title,
        descriptive_title=descriptive_title,
    )


def sifted(answer: Written) -> Draft:
    return sift(answer, TALK, MESSAGES)


def shown(*answers: Written) -> Settled:
    return settle([sifted(answer) for answer in answers], TALK)


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_examples_pass_what_answers_have_to_pass(language: str) -> None:
    for example in of(language).examples:
        labels = {Role.CUSTOMER: "고객", Role.AGENT: "상담사"}
        text = "\n".join(f"{labels[role]}: {said}" for role, said in example.turns)
        draft = sift(example.written, Talk.of(text, language), [])
        assert draft.faults == frozenset()
        assert draft.unsaid_keywords == 0
        assert draft.keyword_title
        assert all(draft.parts.values())


def test_an_answer_that_the_conversation_bears_out_is_shown_as_it_is() -> None:
    found = shown(GOOD)
    assert found.parts == GOOD.parts
    assert (found.keywords, found.keyword_title) == (GOOD.keywords, GOOD.keyword_title)
    assert found.descriptive_title == GOOD.descriptive_title
    assert (found.replaced, found.unsaid_keywords) == ((), 0)
    assert sifted(GOOD).faults == frozenset()


@pytest.mark.parametrize(
    ("phrase", "fault"),
    [
        ("위약금 면제 안내", Fault.MADE_UP),
        ("사흘 안에 도착", Fault.MADE_UP),
        ("삼성카드 정지", Fault.MADE_UP),
        ("수수료 발생 안내", Fault.MADE_UP),
        ("고객님의 정보 제공", Fault.MADE_UP),
        ("카드 파손 신고", Fault.MADE_UP),
        ("오상민 님", Fault.MADE_UP),
        ("card suspended", Fault.LANGUAGE),
        ("분실 신고 접수해 드렸고 지금부터 카드 사용이 정지", Fault.COPIED),
        ("카드를 정지하고", Fault.COPIED),
        ("상담사: 카드 정지", Fault.COPIED),
        ("재발급 " * 8 + "신청", Fault.COPIED),
    ],
)
def test_a_phrase_that_cannot_stay_is_left_out_and_asked_for_if_nothing_is_left(
    phrase: str, fault: Fault
) -> None:
    assert sifted(written(agent=f"{phrase}, 분실 신고 접수")).parts[Part.AGENT] == "분실 신고 접수"
    draft = sifted(written(agent=phrase))
    assert (draft.parts[Part.AGENT], draft.faults) == ("", frozenset({fault}))


def test_what_is_promised_is_not_done() -> None:
    talk = Talk.of("고객: 인터넷이 끊겨요.\n상담사: 내일 방문 수리해 드리겠습니다.", "ko")
    answer = written(agent="내일 방문 수리 완료", result="내일 방문 수리 예정")
    draft = sift(answer, talk, [])
    assert (draft.parts[Part.AGENT], draft.parts[Part.RESULT]) == ("", "내일 방문 수리 예정")


def test_what_the_other_side_says_is_no_part_of_this_one() -> None:
    draft = sifted(written(customer="닷새 안에 도착"))
    assert draft.faults == {Fault.MADE_UP}


def test_the_end_of_an_answer_that_was_cut_is_left_out() -> None:
    long = ", ".join(
        ["분실 신고 접수", "카드 정지", "재발급 신청 완료", "닷새 안에 도착", "수수료 없음"] * 2
    )
    draft = sifted(written(agent=long))
    assert draft.parts[Part.AGENT] == "분실 신고 접수, 닷새 안에 도착, 수수료 없음"
    one_phrase = "지갑 분실 카드 정지 재발급 신청 수수료 닷새 도착 " * 3
    assert Fault.CUT in sifted(written(agent=one_phrase)).faults


def test_what_agent_and_result_both_say_is_said_once() -> None:
    found = sifted(written(agent="분실 신고 접수, 재발급 신청 완료", result="재발급 신청 완료"))
    assert found.parts[Part.AGENT] == "분실 신고 접수"
    found = sifted(written(agent="분실 신고 접수", result="분실 신고 접수, 재발급 신청 완료"))
    assert found.parts[Part.RESULT] == "재발급 신청 완료"


@pytest.mark.parametrize(
    "keyword", ["위약금", "오상민", "두 장", "카드를", "네", "정지하고", "갑분실", "안내", "교수님"]
)
def test_keywords_that_are_not_said_or_are_none_are_left_out(keyword: str) -> None:
    draft = sifted(written(keywords=("카드", keyword, "재발급")))
    assert (draft.keywords, draft.unsaid_keywords) == (("카드", "재발급"), 1)


@pytest.mark.parametrize(
    ("title", "kept"),
    [
        ("분실신고_재발급_안내", "분실신고_재발급_안내"),
        ("카드정지_재발급", "카드정지_재발급"),
        ("위약금_재발급", ""),
        ("재발급", ""),
        ("안내_재발급", ""),
    ],
)
def test_a_title_stays_if_its_words_are_said(title: str, kept: str) -> None:
    assert sifted(written(keyword_title=title)).keyword_title == kept


def test_of_each_field_the_first_answer_that_can_stay_is_shown() -> None:
    found = shown(written(customer="위약금 문의"), written(agent="위약금 안내"))
    assert found.parts == GOOD.parts
    assert found.replaced == ()


def test_what_no_answer_has_is_said_in_the_speakers_own_words() -> None:
    nothing = written(
        customer="위약금 문의",
        agent="위약금 안내",
        result="위약금 면제",
        keywords=("위약금", "카드"),
        keyword_title="위약금_면제",
        descriptive_title="위약금 면제 안내",
    )
    found = shown(nothing, nothing)
    assert found.parts == {
        Part.CUSTOMER: "“어제 지하철에서 지갑을 잃어버렸는데요”",
        Part.AGENT: "“…드렸고 지금부터 카드 사용이 정지됩니다”",
        Part.RESULT: "“재발급 신청 완료되었고 닷새 안에 도착합니다”",
    }
    assert found.keywords[0] == "카드"
    assert 2 <= len(found.keywords) <= 6
    assert found.keyword_title == "_".join(found.keywords)
    assert found.replaced == (
        "summary.customer",
        "summary.agent",
        "summary.result",
        "keywords",
        "titles.keyword",
        "titles.descriptive",
    )
    assert "위약금" not in str(found)


def test_a_title_that_cannot_stay_is_made_of_the_summary() -> None:
    assert shown(written(descriptive_title="위약금 안내")).descriptive_title == (
        "지갑 분실로 카드 정지 요청 및 분실 신고 접수"
    )


@pytest.mark.parametrize(
    ("said", "phrase"),
    [
        ("반환 요청을 접수하겠습니다", "반환 요청을 접수"),
        ("고지서 보내", "고지서 보냄"),
        ("재발급 신청 완료", "재발급 신청 완료"),
    ],
)
def test_polite_endings_are_no_part_of_a_phrase(said: str, phrase: str) -> None:
    assert korean_phrase(said) == phrase


@pytest.mark.parametrize(
    ("phrases", "matter"),
    [
        (["카드 정지 요청"], ["카드 정지 요청"]),
        (["청구에 필요한 서류"], ["청구에 필요한 서류 문의"]),
        (["카드 정지", "재발급 안내"], ["카드 정지", "재발급 문의"]),
        ([], []),
    ],
)
def test_the_customers_part_is_a_question_or_a_wish(phrases: list[str], matter: list[str]) -> None:
    assert korean_matter(phrases) == matter
