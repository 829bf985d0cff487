from dataclasses import replace
from typing import Any

import pytest

from callytics.domain.analysis import Reading, Talk, choose
from callytics.domain.analysis_answer import Settled
from callytics.domain.analysis_checks import (
    CHECKS,
    AnalysisCheck,
    Finding,
    Outcome,
    find_evidence,
    judge,
    quality_score,
)
from callytics.domain.analysis_wording import Part

CALL = """고객: 어제 지하철에서 지갑을 잃어버렸는데요. 카드를 정지하고 싶어요.
상담사: 분실 신고 접수해 드렸고 지금부터 카드 사용이 정지됩니다.
고객: 수수료도 있나요? 재발급도 받고 싶은데요.
상담사: 수수료는 없습니다. 재발급 신청 완료되었고 5일 안에 도착합니다."""
TALK = Talk.of(CALL, "ko")
GOOD = Settled(
    parts={
        Part.CUSTOMER: "카드 정지와 재발급 요청",
        Part.AGENT: "분실 신고 접수, 수수료 없음 안내",
        Part.RESULT: "재발급 신청 완료, 5일 안에 도착 예정",
    },
    keywords=("분실신고", "카드", "재발급"),
    keyword_title="분실신고_재발급",
    descriptive_title="카드 정지 및 재발급 신청",
)


def outcome(settled: Settled = GOOD, talk: Talk = TALK, **changes: Any) -> Outcome:
    whole = Outcome(
        settled=settled,
        talk=talk,
        reading=choose(talk, 500),
        evidence=find_evidence(settled, talk),
        valid_at_once=True,
    )
    return replace(whole, **changes)


def with_part(part: Part, text: str) -> Settled:
    return replace(GOOD, parts={**GOOD.parts, part: text})


def failed(judged: Outcome) -> set[AnalysisCheck]:
    return {finding.check for finding in judge(judged) if not finding.passed}


def test_a_good_analysis_passes_every_check() -> None:
    findings = judge(outcome())
    assert [finding.check for finding in findings] == list(AnalysisCheck)
    assert failed(outcome()) == set()
    assert quality_score(findings) > 0.95


LONG = "카드 정지와 재발급 요청" + " 및 카드 재발급" * 9
CASES = [
    (AnalysisCheck.SCHEMA_VALID, outcome(valid_at_once=False)),
    (AnalysisCheck.AS_WRITTEN, outcome(replace(GOOD, replaced=("summary.agent",)))),
    (AnalysisCheck.LANGUAGE, outcome(with_part(Part.AGENT, "card loss report accepted"))),
    (AnalysisCheck.KEYWORDS_FOUND, outcome(replace(GOOD, unsaid_keywords=1))),
    (AnalysisCheck.KEYWORDS_FOUND, outcome(replace(GOOD, keywords=("위약금", "카드")))),
    (AnalysisCheck.FIGURES_FOUND, outcome(with_part(Part.RESULT, "재발급, 7일 안에 도착"))),
    (AnalysisCheck.NAMES_FOUND, outcome(with_part(Part.AGENT, "김민수 고객님 분실 신고 접수"))),
    (AnalysisCheck.WORDS_FOUND, outcome(with_part(Part.AGENT, "위약금 분실 신고 접수"))),
    (AnalysisCheck.CUSTOMER_GROUNDED, outcome(with_part(Part.CUSTOMER, "위약금 문의"))),
    (AnalysisCheck.AGENT_GROUNDED, outcome(with_part(Part.AGENT, "위약금 면제 약속"))),
    (AnalysisCheck.RESULT_GROUNDED, outcome(with_part(Part.RESULT, "위약금 면제 완료"))),
    (AnalysisCheck.RIGHT_SIDES, outcome(with_part(Part.CUSTOMER, "5일 안에 도착"))),
    (AnalysisCheck.RIGHT_SIDES, outcome(with_part(Part.AGENT, "지하철에서 지갑 잃어버림"))),
    (AnalysisCheck.RESULT_LATE, outcome(with_part(Part.RESULT, "지하철에서 지갑 잃어버림"))),
    (AnalysisCheck.PARTS_DIFFER, outcome(with_part(Part.RESULT, "분실 신고 접수"))),
    (AnalysisCheck.TITLES_CONSISTENT, outcome(replace(GOOD, descriptive_title="지하철 지갑 안내"))),
    (AnalysisCheck.TITLES_CONSISTENT, outcome(replace(GOOD, keyword_title="지하철_지갑_카드"))),
    (AnalysisCheck.TITLE_FORM, outcome(replace(GOOD, keyword_title="분실신고 재발급"))),
    (AnalysisCheck.TITLE_FORM, outcome(replace(GOOD, keyword_title="분실_신고_재발급_카드_정지"))),
    (AnalysisCheck.LENGTHS, outcome(with_part(Part.CUSTOMER, LONG))),
    (AnalysisCheck.LENGTHS, outcome(replace(GOOD, keywords=("카드",)))),
    (AnalysisCheck.NOUN_PHRASES, outcome(with_part(Part.CUSTOMER, "“카드를 정지하고 싶어요”"))),
    (AnalysisCheck.OWN_WORDS, outcome(with_part(Part.AGENT, TALK.said[2].text))),
    (AnalysisCheck.OWN_WORDS, outcome(with_part(Part.AGENT, "상담사: 분실 신고 접수"))),
    (
        AnalysisCheck.WHOLE_READ,
        outcome(reading=Reading(lines=(), gaps=frozenset(), share=0.5)),
    ),
]


@pytest.mark.parametrize(("check", "judged"), CASES)
def test_each_check_finds_its_fault_and_lowers_the_score(
    check: AnalysisCheck, judged: Outcome
) -> None:
    [finding] = [finding for finding in judge(judged) if finding.check is check]
    assert not finding.passed
    assert finding.score < 1
    assert finding.weight > 0


def test_every_check_has_a_case() -> None:
    assert {check for check, _ in CASES} == set(AnalysisCheck) == set(CHECKS)


def test_every_check_says_what_it_means() -> None:
    assert all(spec.meaning.endswith(".") and spec.weight > 0 for spec in CHECKS.values())


def test_where_the_sides_are_not_known_nothing_is_said_of_them() -> None:
    talk = Talk.of("\n".join(one.text for one in TALK.utterances), "ko")
    checks = {finding.check for finding in judge(outcome(talk=talk))}
    assert checks == set(AnalysisCheck) - {AnalysisCheck.RIGHT_SIDES}


def test_the_score_is_the_weighted_mean() -> None:
    def finding(score: float, weight: float) -> Finding:
        return Finding(
            check=AnalysisCheck.LENGTHS, passed=True, score=score, weight=weight, detail=""
        )

    assert quality_score([finding(1, 3), finding(0, 1)]) == 0.75
