import json
from hashlib import sha256
from itertools import pairwise
from time import perf_counter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from callytics.domain import summary, summary_wording
from callytics.domain.excerpt import Line
from callytics.domain.summary import Draft
from callytics.domain.summary_checks import LONGEST_COPY, Candidate, Check, bears_out, judge
from callytics.domain.summary_wording import compose_english, compose_korean, object_particle
from callytics.domain.transcript import Role

A, C, U = Role.AGENT, Role.CUSTOMER, Role.UNKNOWN


def lines_of(*said: tuple[Role, str]) -> tuple[Line, ...]:
    return tuple(Line(role=role, text=text) for role, text in said)


CALL = lines_of(
    (A, "안녕하세요. 한빛통신 고객센터 상담원 김민지입니다. 무엇을 도와드릴까요?"),
    (C, "네, 안녕하세요. 어제부터 집 인터넷이 자꾸 끊겨서 전화드렸어요."),
    (A, "불편을 드려서 정말 죄송합니다. 고객님 성함과 주소를 말씀해 주시겠습니까?"),
    (C, "이름은 박준호이고요. 주소는 서울 마포구입니다."),
    (C, "지난달에도 같은 문제로 전화했는데 아직도 해결이 안 됐어요."),
    (A, "이번에는 기사님이 직접 방문하도록 하겠습니다."),
    (A, "내일 오후 두 시에 방문 예약을 해 드리겠습니다. 괜찮으십니까?"),
    (C, "네, 좋습니다. 그리고 이번 달 요금은 할인해 주실 수 있나요?"),
    (A, "네, 장애 기간만큼 요금을 할인해 드리겠습니다."),
    (A, "감사합니다. 좋은 하루 보내세요."),
)
CONVERSATION = "\n".join(line.text for line in CALL)
PROMPT = summary.prompt(CALL, "ko", 300)
ENGLISH = lines_of(
    (A, "Thank you for calling Northlight, this is Daniel. How can I help?"),
    (C, "Hi, we were charged twice for our April subscription, and I need one payment back."),
    (A, "I've issued a refund for the duplicate charge. I'll email you a corrected invoice today."),
)


def read(
    answer: str, lines: tuple[Line, ...] = CALL, language: str | None = "ko", **more: Any
) -> Draft:
    messages = summary.prompt(lines, language, 300)
    return summary.read(answer, lines, messages, language, **{"finished": True, **more})


def failed(
    text: str, asked: str = "인터넷 끊김", done: str = "방문 예약", **more: Any
) -> set[Check]:
    """The checks that the sentence `text` about CALL fails."""
    given_prompt = "\n".join(message["content"] for message in PROMPT[:-1])
    fields = {"conversation": CONVERSATION, "prompt": given_prompt, "language": "ko"}
    candidate = Candidate(text=text, asked=asked, done=done, **{**fields, **more})
    return {check for check, passed in judge(candidate).items() if not passed}


GOOD = "고객이 인터넷 끊김을 문의하여 내일 오후 두 시 방문 예약, 요금 할인 안내함."


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "고객이 집 인터넷이 끊기는 문제를 문의하여 기사 방문을 예약하고 요금 할인을 안내함.",
        "인터넷이 자꾸 끊겨 문의함. 내일 오후 2시 방문 예약과 요금 할인을 안내했습니다.",
        "인터넷 끊김 문의에 방문 예약 및 장애 기간 요금 할인을 약속함",
    ],
)
def test_good_summaries_pass_every_check(text: str) -> None:
    assert failed(text) == set()


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (Check.FINISHED, "고객이 인터넷 끊김을 문의하여 내일 오후 두 시 방문 예약 및"),
        (Check.FINISHED, "고객이 인터넷 끊김을 문의하여 내일 오후 두 시에 방문"),
        (Check.FINISHED, "고객이 인터넷 끊김을 문의하여,"),
        (Check.LENGTH, "인터넷 함."),
        (
            Check.LENGTH,
            "고객이 인터넷 끊김을 문의하여 방문 예약을 안내함." + " 요금 할인을 안내함" * 15,
        ),
        (Check.SENTENCES, "인터넷이 끊김. 방문을 예약함. 요금을 할인함."),
        (Check.SENTENCES, "인터넷 끊김을 문의함\n방문 예약을 안내함"),
        (Check.LANGUAGE, "The customer asked about the internet and the agent booked a visit."),
        (Check.LANGUAGE, "고객이 인터넷 끊김을 문의하여 visit 예약을 안내함."),
        (Check.LANGUAGE, "客户咨询网络断开问题,客服预约上门维修。"),
        (Check.LANGUAGE, "고객이 인터넷 断开를 문의하여 방문 예약을 안내함."),
        (Check.NO_LABELS, "고객: 인터넷이 끊겨요. 상담사: 방문 예약함."),
        (Check.NO_LABELS, "문의: 인터넷 끊김 처리: 방문 예약함."),
        (Check.NO_LABELS, "SPEAKER_01: 인터넷 끊김, 방문 예약을 안내함."),
        (Check.NO_LABELS, "**요약** 인터넷 끊김으로 방문 예약을 안내함."),
        (Check.NO_LABELS, "1. 인터넷 끊김을 문의하여 방문 예약을 안내함."),
        (Check.NO_LABELS, '{"문의": "인터넷 끊김", "처리": "방문 예약함"}'),
        (Check.NO_ECHO, "상담사가 해 준 일이나 약속한 일을 짧은 명사구 한두 개로 적는다."),
        (Check.NO_ECHO, "고객이 인터넷 끊김을 문의하여 책값 변상 안내, 고지서 발송을 안내함."),
        (Check.OWN_WORDS, "어제부터 집 인터넷이 자꾸 끊겨서 전화드렸어요, 방문 예약함."),
        (Check.OWN_WORDS, "내일  오후 두 시에 방문, 예약을 해 드리겠습니다."),
        (Check.OWN_WORDS, "방문 예약, 방문 예약, 방문 예약, 방문 예약, 방문 예약을 안내함."),
        (Check.NUMBERS, "고객이 인터넷 끊김을 문의하여 내일 오후 세 시 방문 예약을 안내함."),
        (Check.NUMBERS, "고객이 인터넷 끊김을 문의하여 내일 오후 3시 방문 예약을 안내함."),
        (Check.NUMBERS, "고객이 인터넷 끊김을 문의하여 요금 2만 원 할인을 안내함."),
        (Check.NAMES, "최영희 고객님이 인터넷 끊김을 문의하여 방문 예약을 안내함."),
        (Check.NAMES, "고객이 인터넷 끊김을 문의하여 이도현 기사 방문 예약을 안내함."),
        (Check.NAMES, "고객이 푸른통신 인터넷 끊김을 문의하여 방문 예약을 안내함."),
        (Check.GROUNDED, "고객이 신용카드 분실을 신고하여 재발급 배송을 안내함."),
        (Check.GROUNDED, "고객이 인터넷 끊김을 문의하여 방문 예약, 환불 안내함."),
        (Check.GROUNDED, "고객이 인터넷 끊김을 문의하여 방문 예약, 위약금 안내함."),
    ],
)
def test_rubbish_is_told_by_name(check: Check, text: str) -> None:
    assert check in failed(text)


@pytest.mark.parametrize(
    ("asked", "done"),
    [("", "방문 예약"), ("인터넷 끊김", ""), ("문의", "안내"), ("카드 분실", "방문 예약")],
)
def test_a_summary_says_both_what_was_asked_and_done(asked: str, done: str) -> None:
    assert Check.ASKED_AND_DONE in failed(GOOD, asked, done)


def test_an_answer_that_was_cut_is_not_finished() -> None:
    assert failed(GOOD, finished=False) == {Check.FINISHED}


def test_names_and_foreign_words_of_the_conversation_may_stay() -> None:
    said = CONVERSATION + " USB 모뎀은 박준호 고객님 앞으로 LG에서 보내 드립니다."
    text = "박준호 고객님이 인터넷 끊김을 문의하여 USB 모뎀, 방문 예약을 안내함."
    assert failed(text, conversation=said) == set()


def test_as_many_characters_as_allowed_may_be_copied() -> None:
    run = "어제부터 집 인터넷이 자꾸 끊겨서 전화드렸어요"[:LONGEST_COPY]
    assert Check.OWN_WORDS not in failed(f"“{run[:-1]}”라고 문의하여 방문 예약함.")
    assert len(run) == LONGEST_COPY


@given(st.text(), st.text(), st.text(), st.text(), st.sampled_from(["ko", "en", "ja", "xx"]))
def test_anything_can_be_judged(text: str, asked: str, done: str, said: str, language: str) -> None:
    candidate = Candidate(
        text=text, asked=asked, done=done, conversation=said, prompt="", language=language
    )
    assert set(judge(candidate)) == set(Check)


@given(
    st.integers(0, len(CONVERSATION) - LONGEST_COPY - 1), st.text(max_size=20), st.text(max_size=20)
)
def test_no_copy_is_overlooked(at: int, before: str, after: str) -> None:
    copy = CONVERSATION[at : at + LONGEST_COPY + 1]
    assume(copy == copy.strip())
    assert Check.OWN_WORDS in failed(f"{before} {copy} {after}")


def test_a_megabyte_is_judged_in_no_time() -> None:
    started = perf_counter()
    failed(GOOD, conversation=CONVERSATION * 2500)
    assert perf_counter() - started < 20


# --- the prompt ------------------------------------------------------------------------------------


def test_the_prompt_differs_between_calls_only_at_its_end() -> None:
    other = summary.prompt(lines_of((C, "환불해 주세요."), (A, "환불해 드렸습니다.")), "ko", 300)
    assert other[:-1] == PROMPT[:-1]
    assert other[-1] != PROMPT[-1]


def test_the_prompt_shows_what_was_asked_and_done_without_names() -> None:
    shown = PROMPT[-1]["content"]
    assert shown.startswith("고객: 어제부터 집 인터넷이 자꾸 끊겨서 전화드렸어요.")
    assert "\n상담사: 이번에는 기사님이" in shown
    assert "박준호" not in shown
    assert "김민지" not in shown


def test_a_conversation_that_goes_on_is_shown_as_it_was_said() -> None:
    shown = summary.prompt(CALL, "ko", 1500, ahead=True)
    assert shown[:-1] == PROMPT[:-1]
    assert shown[-1]["content"] == (
        "고객: 어제부터 집 인터넷이 자꾸 끊겨서 전화드렸어요."
        " 지난달에도 같은 문제로 전화했는데 아직도 해결이 안 됐어요.\n"
        "상담사: 이번에는 기사님이 직접 방문하도록 하겠습니다."
        " 내일 오후 두 시에 방문 예약을 해 드리겠습니다.\n"
        "고객: 이번 달 요금은 할인해 주실 수 있나요?\n"
        "상담사: 장애 기간만큼 요금을 할인해 드리겠습니다."
    )


@given(st.lists(st.builds(Line, role=st.sampled_from(Role), text=st.text()), max_size=12))
def test_a_prompt_that_is_read_ahead_only_grows_at_its_end(lines: list[Line]) -> None:
    # From the line on that tells of the matter: before it a customer's few words stand in for it.
    said = [Line(role=Role.CUSTOMER, text="어제부터 집 인터넷이 자꾸 끊겨요."), *lines]
    shown = [
        summary.prompt(said[:count], "ko", 10**6, ahead=True)[-1]["content"]
        for count in range(len(said) + 1)
    ]
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown))


def test_where_nobody_knows_the_sides_all_is_shown_in_order() -> None:
    lines = tuple(Line(role=U, text=line.text) for line in CALL)
    shown = summary.prompt(lines, "ko", 500)[-1]["content"]
    assert shown.startswith("통화: 어제부터 집 인터넷이")


def test_asking_again_names_the_reasons_once() -> None:
    again = summary.once_more(PROMPT, [Check.FINISHED, Check.SENTENCES, Check.NAMES], "ko")
    assert again[:-1] == PROMPT[:-1]
    assert again[-1]["content"] == PROMPT[-1]["content"] + "\n(더 짧게 적는다. 이름을 적지 않는다.)"


@pytest.mark.parametrize("language", ["ko", "en", None, "th"])
def test_every_check_has_a_reason_in_every_language(language: str | None) -> None:
    assert set(summary_wording.of(language).reasons) == set(Check)


@given(st.lists(st.builds(Line, role=st.sampled_from(Role), text=st.text())), st.integers(0, 500))
def test_any_conversation_makes_a_prompt(lines: list[Line], limit: int) -> None:
    messages = summary.prompt(lines, "ko", limit)
    assert [message["role"] for message in messages[-2:]] == ["assistant", "user"]


# --- the answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            "집 인터넷 끊김 / 내일 오후 두 시 방문 예약, 요금 할인",
            "고객이 집 인터넷 끊김을 문의하여 내일 오후 두 시 방문 예약, 요금 할인함.",
        ),
        # a deed that is told as the agent told it
        (
            "인터넷 끊김 / 장애 기간 요금 할인해 드리겠습니다.",
            "고객이 인터넷 끊김을 문의하여 장애 기간 요금 할인함.",
        ),
        # what is said twice, copied, asked or made up is left out
        (
            "인터넷 끊김 / 방문 예약, 방문 예약, 괜찮으십니까, 위약금 면제, 인터넷 끊김",
            "고객이 인터넷 끊김을 문의하여 방문 예약함.",
        ),
        # labels, lines and markup that nobody asked for do no harm
        (
            "문의: 인터넷 끊김\n처리: 방문 예약, 요금 할인",
            "고객이 인터넷 끊김을 문의하여 방문 예약, 요금 할인함.",
        ),
        (
            "인터넷 끊김 / 방문 예약 / 요금 할인\n설명",
            "고객이 인터넷 끊김을 문의하여 방문 예약, 요금 할인함.",
        ),
        ("인터넷 끊김, 방문 예약", "고객이 인터넷 끊김을 문의하여 방문 예약함."),
        (
            "- 문의 : “인터넷 끊김”\n- 처리 : 방문 예약.",
            "고객이 인터넷 끊김을 문의하여 방문 예약함.",
        ),
    ],
)
def test_an_answer_becomes_a_sentence(answer: str, text: str) -> None:
    draft = read(answer)
    assert draft.text == text
    assert draft.failed == ()


def test_what_was_begun_when_the_answer_was_cut_is_left_out() -> None:
    draft = read("인터넷 끊김 / 방문 예약, 요금 할", finished=False)
    assert (draft.text, draft.failed) == ("고객이 인터넷 끊김을 문의하여 방문 예약함.", ())


RUBBISH = [
    "",
    "네, 알겠습니다.",
    "고객이 인터넷 끊김을 문의함.",
    "인터넷 끊김",
    "인터넷 끊김 / ",
    " / 방문 예약",
    "방문 예약, 요금 할인",
    "인터넷 끊김 / 위약금 면제",
    "문의: 인터넷 끊김",
    "처리: 방문 예약",
    "문의:\n처리:",
    "문의: 문의\n처리: 안내",
    "문의: 안녕하세요. 한빛통신 고객센터 상담원 김민지입니다.\n처리: 좋은 하루 보내세요.",
    "문의: 어제부터 집 인터넷이 자꾸 끊겨서 전화드렸는데 지난달에도\n처리: 방문 예약",
    "대출 도서 분실 / 책값 변상 안내, 고지서 발송",
    "문의: 인터넷 끊김\n처리: 위약금 면제",
    "문의: 박지성 고객님 환불\n처리: 방문 예약",
    "문의: 요금 50,000원 할인\n처리: 방문 예약",
    "Asked: internet keeps dropping\nDone: booked a visit",
    "문의: 网络断开\n처리: 预约上门",
    "문의: internet 끊김 problem\n처리: 방문 예약",
    '{"문의": "인터넷 끊김", "처리": "방문 예약"}',
    "콜센터 상담을 읽고 `문의 / 처리` 꼴로 한 줄만 적는다.",
    "상담사: 네, 장애 기간만큼 요금을 할인해 드리겠습니다.",
    "문의: 문의: 문의:\n처리: 처리: 처리:",
]


@pytest.mark.parametrize("answer", RUBBISH)
def test_rubbish_never_passes(answer: str) -> None:
    assert read(answer).failed


PIECES = st.sampled_from(
    [
        *(
            "문의:",
            "처리:",
            "인터넷",
            "끊김",
            "방문",
            "예약",
            "환불",
            "위약금",
            "30만원",
            "김철수 고객님",
        ),
        *("/", "면제", "내일 오후", "세 시", "두 시에", "해지", "The bill", "退款", ",", "\n"),
    ]
)


@given(st.lists(PIECES, max_size=25).map(" ".join))
def test_whatever_passes_is_made_of_the_conversation(answer: str) -> None:
    draft = read(answer)
    if not draft.failed:
        for made_up in (
            "환불",
            "위약금",
            "30만",
            "김철수",
            "면제",
            "세 시",
            "해지",
            "The",
            "退款",
            ":",
            "\n",
        ):
            assert made_up not in draft.text


@given(st.text())
def test_any_answer_is_read(answer: str) -> None:
    assert read(answer, finished=False).failed or answer


# --- the sentence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "done", "text"),
    [
        (
            "카드 분실",
            ["카드 정지", "재발급 신청"],
            "고객이 카드 분실을 문의하여 카드 정지, 재발급 신청함.",
        ),
        ("요금제 변경 문의", ["요금"], "고객이 요금제 변경을 문의하여 요금 안내함."),
        ("우유 변질 항의", ["교환 약속"], "고객이 우유 변질 항의하여 교환 약속함."),
        ("바닥이 다 젖었음", ["방문"], "고객이 바닥이 다 젖었음을 문의하여 방문 안내함."),
        ("자꾸 끊겨서 전화드렸음", ["방문"], "고객이 자꾸 끊겨서 문의하여 방문 안내함."),
        ("로그인이 안 돼요", ["메일 보내"], "고객이 로그인이 안 돼 문의하여 메일 보냄."),
        ("로그인", ["메일 보내", "보상"], "고객이 로그인을 문의하여 메일 보냄, 보상함."),
        ("문의", ["안내"], "고객이 문의를 문의하여 안내함."),
    ],
)
def test_korean_is_composed_as_agents_write(asked: str, done: list[str], text: str) -> None:
    assert compose_korean(asked, done) == text


@pytest.mark.parametrize(
    ("noun", "particle"),
    [
        ("분실", "을"),
        ("카드", "를"),
        ("정부24", "를"),
        ("3", "을"),
        ("USB", "를"),
        ("메일", "을"),
        ("", "를"),
    ],
)
def test_the_particle_follows_the_sound(noun: str, particle: str) -> None:
    assert object_particle(noun) == particle


def test_english_is_composed_and_checked() -> None:
    draft = read(
        "A duplicate charge in April / Issued a refund, promised a corrected invoice",
        ENGLISH,
        "en",
    )
    assert draft.text == (
        "The customer asked about a duplicate charge in April, and the agent issued a refund and promised"
        " a corrected invoice."
    )
    assert draft.failed == ()
    assert compose_english("USB not working", ["Sent a new one"]) == (
        "The customer asked about USB not working, and the agent sent a new one."
    )


def test_other_languages_are_asked_for_in_their_own() -> None:
    lines = lines_of((C, "先月の請求書が二重になっています。"), (A, "返金の手続きをいたしました。"))
    draft = read("請求書の二重 / 返金の手続き", lines, "ja")
    assert (draft.text, draft.failed) == ("請求書の二重 – 返金の手続き.", ())


# --- quotes ----------------------------------------------------------------------------------------


def test_quotes_are_the_question_and_the_last_deed() -> None:
    assert summary.quoted(CALL, "ko") == (
        "고객이 “…집 인터넷이 자꾸 끊겨서 전화드렸어요”라고 문의했고,"
        " 상담사가 “…장애 기간만큼 요금을 할인해 드리겠습니다”라고 답함."
    )


def test_quotes_of_unknown_speakers_name_none() -> None:
    lines = tuple(Line(role=U, text=line.text) for line in CALL)
    text = summary.quoted(lines, "ko")
    assert text.startswith("통화에서 “")
    assert "고객" not in text.replace("고객님", "")


def test_english_quotes_keep_the_first_words() -> None:
    assert summary.quoted(ENGLISH, "en") == (
        "The customer said “Hi, we were charged…”, and the agent answered “I'll email you a…”."
    )


def test_nothing_to_quote_is_said() -> None:
    assert (
        summary.quoted(lines_of((A, "네, 감사합니다.")), "ko")
        == "인사 외에 문의 내용이 없는 통화임."
    )


def mended(answer: str, lines: tuple[Line, ...] = CALL, language: str | None = "ko") -> str | None:
    messages = summary.prompt(lines, language, 300)
    draft = summary.read(answer, lines, messages, language, finished=True)
    assert draft.failed
    return summary.mended(draft, lines, messages, language)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            "신용카드 분실 / 방문 예약, 요금 할인",
            "고객이 “…집 인터넷이 자꾸 끊겨서 전화드렸어요”라고 문의하여 방문 예약, 요금 할인함.",
        ),
        (
            "인터넷 끊김 / 위약금 면제",
            "고객이 인터넷 끊김을 문의했고,"
            " 상담사가 “…장애 기간만큼 요금을 할인해 드리겠습니다”라고 답함.",
        ),
        ("신용카드 분실 / 위약금 면제", None),
        ("인터넷이 끊겨요?", None),
    ],
)
def test_the_part_of_a_draft_that_is_not_to_be_shown_is_quoted(
    answer: str, text: str | None
) -> None:
    assert mended(answer) == text


def test_english_and_other_drafts_are_mended_too() -> None:
    assert mended("A duplicate charge / gave a gift card", ENGLISH, "en") == (
        "The customer asked about a duplicate charge, and the agent answered “I'll email you a…”."
    )
    assert mended("A stolen bicycle / Issued a refund", ENGLISH, "en") == (
        "The customer said “Hi, we were charged…”, and the agent issued a refund."
    )
    lines = lines_of((C, "先月の請求書が二重になっています。"), (A, "返金の手続きをいたしました。"))
    assert mended("請求書の二重 / 自転車", lines, "ja") is None


def test_without_sides_nothing_is_mended() -> None:
    lines = tuple(Line(role=U, text=line.text) for line in CALL)
    assert mended("인터넷 끊김 / 위약금 면제", lines) is None


@given(
    st.lists(st.builds(Line, role=st.sampled_from(Role), text=st.text()), min_size=1),
    st.sampled_from(["ko", "en", "ja", None]),
)
def test_quotes_copy_little_and_always_say_something(
    lines: list[Line], language: str | None
) -> None:
    text = summary.quoted(lines, language)
    assert text
    for part in text.split("“")[1:]:
        assert len(part.split("”")[0].strip("…")) < LONGEST_COPY


def test_the_prompt_version_tells_when_the_prompt_changed() -> None:
    """Whoever changes what is asked raises PROMPT_VERSION, and puts the new digest here."""
    asked = [summary.prompt(CALL, language, 300)[:-1] for language in ("ko", "en", "ja")]
    digest = sha256(json.dumps(asked, ensure_ascii=False).encode()).hexdigest()[:12]
    assert (summary.PROMPT_VERSION, digest) == ("slots-4", "016641f9880e")


@pytest.mark.parametrize(
    ("turn", "phrase"),
    [
        ("위약금은 없고, 할인 반환금이 나옵니다.", "할인 반환금 안내"),
        ("단체 할인은 스무 명부터라 적용이 어렵습니다.", "단체 할인 불가"),
        ("배송비는 무료 처리해 드릴게요.", "배송비 무료 처리"),
        ("예약을 취소해 드렸습니다.", "예약 취소"),
        ("임시 비밀번호를 메일로 보내 드릴게요.", "임시 비밀번호 발송"),
    ],
)
def test_a_turn_bears_out_what_it_says(turn: str, phrase: str) -> None:
    assert bears_out(turn, phrase)


@pytest.mark.parametrize(
    ("turn", "phrase"),
    [
        ("반납을 연장해 드리고 추가 요금은 없게 처리해 놓겠습니다.", "추가 요금 안내"),
        ("위약금은 없고, 할인 반환금이 나옵니다.", "위약금 안내"),
        ("할인 적용해 드렸습니다. 해지 신청은 취소해 두겠습니다.", "해지 신청 안내"),
        ("내일 방문 예약을 해 드리겠습니다.", "전화 예약"),
        ("아, 이사하시는군요.", "이사 완료"),
        ("네, 알겠습니다.", "안내"),
    ],
)
def test_a_turn_does_not_bear_out_what_it_lacks_or_denies(turn: str, phrase: str) -> None:
    assert not bears_out(turn, phrase)
