"""Short calls of many trades. `A:` is the agent's line, `C:` the customer's, in the order spoken."""

import pytest

from callytics.domain.roles import RoleGuess, decide, guess, with_roles
from callytics.domain.transcript import Role, Turn

INBOUND = {
    "telecom": """
        A: 안녕하세요 한빛통신 고객센터 상담원 김민지입니다 무엇을 도와드릴까요
        C: 네 안녕하세요 어제부터 집 인터넷이 자꾸 끊겨서 전화드렸어요
        A: 불편을 드려서 정말 죄송합니다 고객님 성함과 주소를 말씀해 주시겠습니까""",
    "bank": """
        A: 감사합니다 행복은행 박서준입니다
        C: 저기 카드를 잃어버렸는데요 정지 좀 하려고요
        A: 네 고객님 본인 확인을 위해서 생년월일 여섯 자리 말씀해 주시겠어요
        C: 팔오공삼이일이요
        A: 네 확인되었습니다 바로 분실 신고 접수해 드리겠습니다""",
    "shop": """
        A: 네 상담원입니다 무엇을 도와 드릴까요
        C: 지난주에 운동화를 주문했는데 사이즈가 안 맞아서요 교환되나요
        A: 네 주문번호 알려주시면 확인해 드릴게요""",
    "insurance": """
        A: 전화 주셔서 감사합니다 하나손해보험입니다
        C: 어제 접촉 사고가 나서요 보험 처리하려고 하는데 뭘 해야 되나요
        A: 많이 놀라셨겠어요 고객님 다치신 데는 없으신가요
        C: 네 괜찮아요""",
    "clinic": """
        A: 서울안과입니다
        C: 예약 좀 하고 싶은데요 내일 오후에 되나요
        A: 성함이 어떻게 되세요
        C: 이수진이요
        A: 네 내일 세 시로 예약해 드릴게요""",
    "delivery": """
        A: 네 빠른택배입니다
        C: 택배가 아직도 안 왔어요 언제 오는 거예요
        A: 송장 번호 불러 주시겠어요 확인해 드리겠습니다""",
    "refund": """
        A: 고객지원팀 담당자 정우성입니다
        C: 환불 신청했는데 돈이 안 들어와서요
        A: 저희 쪽에서 처리가 완료되었고요 영업일 기준 삼 일 정도 걸리십니다
        C: 너무하네 진짜""",
    "hotel": """
        A: 바다호텔 예약실입니다 무엇을 도와드릴까요
        C: 다음 주 토요일에 방 있나요
        A: 네 몇 분이서 오시나요
        C: 두 명이요 얼마예요""",
    "utility": """
        A: 한국전력 고객센터입니다
        C: 전기요금이 너무 많이 나왔는데 왜 그런 거죠
        A: 고객번호를 말씀해 주시면 조회해 드리겠습니다""",
    "school": """
        A: 열린교육입니다
        C: 우리 아이 수업을 바꾸고 싶은데요
        A: 네 어머님 학생 이름이 어떻게 되나요
        C: 김하늘이요
        A: 네 변경해 드렸습니다 더 궁금하신 점 있으실까요""",
    "government": """
        A: 민원 상담실입니다 어떤 문의 있으십니까
        C: 여권 재발급하려면 뭐가 필요한지 문의드리려고요
        A: 신분증하고 사진 한 장 가지고 오시면 됩니다""",
    "complaint": """
        A: 네 고객님 말씀하세요
        C: 아니 제가 세 번이나 전화했는데 왜 해결이 안 되는 거예요 진짜 짜증 나네
        A: 정말 죄송합니다 바로 확인해 보겠습니다
        C: 답답해서 그래요""",
    "English, billing": """
        A: Thank you for calling Acme support, how can I help you today?
        C: Hi, I was charged twice for my order.
        A: I'm sorry for the inconvenience. Can I have your order number?""",
    "English, internet": """
        A: Good morning, this is Dana from Northwind.
        C: My internet keeps dropping and I'd like to know why.
        A: Let me check that for you, sir.""",
    "English, cancelling": """
        A: Customer care, how may I assist you?
        C: I want to cancel my subscription.
        A: Could I get your name, please?
        C: It's Robert.""",
}
CUSTOMER_FIRST = {
    "customer asks whether this is the centre": """
        C: 여보세요 거기 한빛통신 고객센터죠
        A: 네 맞습니다 무엇을 도와드릴까요
        C: 요금이 잘못 나왔어요""",
    "customer names the centre and the agents": """
        C: 고객센터 맞나요 아까 상담원하고 통화하다가 끊겼는데요
        A: 네 고객님 불편을 드려 죄송합니다
        C: 그 상담원 좀 바꿔 주세요
        A: 제가 확인해서 도와드리겠습니다""",
    "customer quotes an agent": """
        C: 지난번에 고객님 이번 주에 처리해 드리겠습니다 그래 놓고 아직도 안 됐어요
        A: 확인해 보겠습니다 고객님 성함이 어떻게 되십니까
        C: 최영수요 정말 화가 나네요
        A: 죄송합니다 바로 접수해 드리겠습니다""",
    "customer will give a number": """
        C: 카드 번호 말씀드릴게요 이거 취소 좀 부탁드릴게요
        A: 네 잠시만 기다려 주세요 취소 도와드리겠습니다""",
}
OUTBOUND = {
    "survey": """
        C: 여보세요
        A: 안녕하세요 김영희 고객님 되십니까
        C: 네 그런데요
        A: 한빛통신인데요 설치 잘 되셨는지 확인차 전화드렸습니다 통화 괜찮으세요
        C: 네""",
    "renewal": """
        C: 네 여보세요
        A: 안녕하십니까 푸른보험 상담사 오세훈입니다 만기 안내차 연락드렸습니다
        C: 아 네 보험료가 얼마예요
        A: 월 삼만 원입니다 갱신해 드릴까요""",
    "English": """
        C: Hello?
        A: Hi, I'm calling from Lakeside Dental to confirm your appointment.
        C: Oh, when will it be?""",
}
ALL = {**INBOUND, **CUSTOMER_FIRST, **OUTBOUND}


def turns(script: str) -> list[Turn]:
    """Speakers are named by their letter, so nothing but the words tells."""
    lines = [line.strip().split(": ", 1) for line in script.strip().splitlines()]
    return [
        Turn(index=n, start_s=5.0 * n, end_s=5.0 * n + 4, speaker=speaker, text=text)
        for n, (speaker, text) in enumerate(lines)
    ]


@pytest.mark.parametrize("call", ALL)
def test_agent_and_customer_are_told_by_what_they_say(call: str) -> None:
    found = guess(turns(ALL[call]))
    assert {speaker: one.role for speaker, one in found.items()} == {
        "A": Role.AGENT,
        "C": Role.CUSTOMER,
    }
    assert all(0.6 <= one.confidence < 1 for one in found.values())


@pytest.mark.parametrize("call", INBOUND)
def test_one_sided_evidence_is_enough(call: str) -> None:
    lines = turns(INBOUND[call])
    silent = [
        one if one.speaker == "A" else Turn(index=0, start_s=0, end_s=1, speaker="C", text="네")
        for one in lines
    ]
    assert guess(silent)["A"].role in {Role.AGENT, Role.UNKNOWN}
    assert guess(silent)["C"].role in {Role.CUSTOMER, Role.UNKNOWN}


def test_more_evidence_makes_surer() -> None:
    lines = turns(INBOUND["telecom"])
    assert guess(lines)["A"].confidence >= guess(lines[:2])["A"].confidence > 0.9
    assert guess(turns(INBOUND["delivery"]))["A"].confidence < guess(lines)["A"].confidence


def test_marks_and_spacing_make_no_difference() -> None:
    plain = guess(turns("A: 무엇을 도와드릴까요\nC: 네"))
    marked = guess(turns("A: 무엇을 도와 드릴까요?\nC: 네."))
    assert plain == marked


def test_a_speaker_alone_is_unknown() -> None:
    alone = guess(turns("A: 무엇을 도와드릴까요"))
    assert alone == {"A": RoleGuess(role=Role.UNKNOWN, confidence=0.0)}


@pytest.mark.parametrize("script", ["A: 네\nC: 네", "A: 날씨가 좋네요\nC: 그러네요", ""])
def test_without_evidence_nobody_is_named(script: str) -> None:
    assert {one.role for one in guess(turns(script) if script else []).values()} <= {Role.UNKNOWN}


def test_of_three_speakers_the_best_is_the_agent_and_the_rest_must_say_they_are_customers() -> None:
    found = guess(turns(INBOUND["telecom"] + "\nX: 음"))
    assert {speaker: one.role for speaker, one in found.items()} == {
        "A": Role.AGENT,
        "C": Role.CUSTOMER,
        "X": Role.UNKNOWN,
    }


def test_channels_settle_it() -> None:
    lines = turns("channel-0: 인터넷이 안 돼서 전화드렸어요\nchannel-1: 무엇을 도와드릴까요")
    found = decide(lines, channels={"agent": 0, "customer": 1})
    assert found == {
        "channel-0": RoleGuess(role=Role.AGENT, confidence=1.0),
        "channel-1": RoleGuess(role=Role.CUSTOMER, confidence=1.0),
    }


def test_channels_name_the_role_of_one_who_is_silent() -> None:
    lines = turns("channel-0: 여보세요")
    assert decide(lines, channels={"agent": 0, "customer": 1})["channel-1"].role is Role.CUSTOMER


def test_a_persons_correction_goes_before_all() -> None:
    lines = turns("channel-0: 네\nchannel-1: 네")
    said = {"channel-0": "customer", "channel-1": "agent"}
    found = decide(lines, channels={"agent": 0, "customer": 1}, corrected=said)
    assert {speaker: one.role.value for speaker, one in found.items()} == said
    assert {one.confidence for one in found.values()} == {1.0}


def test_correcting_one_of_two_speakers_corrects_the_other() -> None:
    found = decide(turns(INBOUND["telecom"]), corrected={"A": "customer"})
    assert (found["A"].role, found["C"].role) == (Role.CUSTOMER, Role.AGENT)


def test_calling_one_of_two_unknown_leaves_the_other() -> None:
    found = decide(turns(INBOUND["telecom"]), corrected={"A": "unknown"})
    assert (found["A"].role, found["C"].role) == (Role.UNKNOWN, Role.CUSTOMER)


def test_turns_carry_their_speakers_role() -> None:
    lines = turns(INBOUND["telecom"])
    named = with_roles(lines, guess(lines))
    assert [one.role for one in named] == [Role.AGENT, Role.CUSTOMER, Role.AGENT]
    assert [one.text for one in named] == [one.text for one in lines]
    assert {one.role for one in with_roles(lines, {})} == {Role.UNKNOWN}
