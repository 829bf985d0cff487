import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from callytics.domain.delivery import (
    AnalysedConsultation,
    Event,
    FailedConsultation,
    Fault,
    Judgement,
    Verdict,
    batch_payload,
    headers,
    judge,
    pause_s,
    retry_after_s,
    wait_s,
    webhook_secret,
)

NOW = datetime(2025, 9, 13, 14, 28, 45, tzinfo=UTC)
DELIVERY = UUID("8a7f3bd4-7c77-4c8e-9a55-1f3f6c1f2b10")


class TestSchedule:
    def test_ten_attempts_at_the_agreed_times(self) -> None:
        waits = [wait_s(tries) for tries in range(10)]
        assert waits == [0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
        assert wait_s(10) is None

    @given(st.integers(1, 9), st.floats(0, 1))
    def test_jitter_only_lengthens_and_by_a_tenth_at_most(self, tries: int, jitter: float) -> None:
        plain, actual = wait_s(tries), wait_s(tries, jitter=jitter)
        assert plain is not None
        assert actual is not None
        assert plain <= actual <= plain * 1.1 + 1e-6


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("120", 120),
            (" 0 ", 0),
            ("Sat, 13 Sep 2025 14:30:45 GMT", 120),
            ("Sat, 13 Sep 2025 14:30:45 -0000", 120),
            ("Sat, 13 Sep 2025 14:00:00 GMT", 0),
            ("864000", 86400),
            ("9" * 6000, 86400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
            ("soon", None),
            ("-5", None),
            ("1.5", None),
            ("٣", None),
            ("", None),
            (None, None),
        ],
    )
    def test_seconds_or_a_date_a_day_at_most(
        self, header: str | None, seconds: float | None
    ) -> None:
        assert retry_after_s(header, now=NOW) == seconds

    @given(st.text(max_size=60))
    def test_nothing_that_a_server_sends_is_too_odd(self, header: str) -> None:
        seconds = retry_after_s(header, now=NOW)
        assert seconds is None or 0 <= seconds <= 86400


def judged(
    status: int | None = None,
    *,
    fault: Fault | None = None,
    tries: int = 1,
    refusals: int = 0,
    retry_after: str | None = None,
) -> Judgement:
    return judge(
        status=status,
        fault=fault,
        tries=tries,
        refusals=refusals,
        retry_after=retry_after,
        now=NOW,
    )


class TestJudge:
    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    def test_only_2xx_succeeds(self, status: int) -> None:
        assert judged(status) == Judgement(verdict=Verdict.DELIVERED)

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
    def test_what_may_pass_is_tried_to_the_end_of_the_schedule(self, status: int) -> None:
        assert judged(status, tries=9).wait_s == 86400
        assert judged(status, tries=10).verdict is Verdict.DEAD

    @pytest.mark.parametrize(
        "fault",
        [
            Fault.TIMEOUT,
            Fault.UNREACHABLE,
            Fault.UNRESOLVABLE,
            Fault.TLS,
            Fault.CLOSED_HALFWAY,
            Fault.BAD_ANSWER,
        ],
    )
    def test_no_answer_is_tried_to_the_end_of_the_schedule(self, fault: Fault) -> None:
        assert judged(fault=fault, tries=2).wait_s == 300
        assert judged(fault=fault, tries=9).verdict is Verdict.RETRY
        assert judged(fault=fault, tries=10).verdict is Verdict.DEAD

    @pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 304, 400, 401, 403, 404, 422])
    def test_a_no_is_asked_three_times(self, status: int) -> None:
        verdicts = [judged(status, tries=n + 1, refusals=n).verdict for n in range(3)]
        assert verdicts == [Verdict.RETRY, Verdict.RETRY, Verdict.DEAD]

    @pytest.mark.parametrize("fault", [Fault.ADDRESS_FORBIDDEN, Fault.NOT_HTTPS, Fault.BAD_URL])
    def test_so_is_an_address_that_is_not_called(self, fault: Fault) -> None:
        verdicts = [judged(fault=fault, tries=n + 1, refusals=n).verdict for n in range(3)]
        assert verdicts == [Verdict.RETRY, Verdict.RETRY, Verdict.DEAD]

    def test_a_no_after_other_faults_is_the_first_no(self) -> None:
        assert judged(404, tries=4, refusals=0).verdict is Verdict.RETRY

    def test_gone_switches_the_endpoint_off_at_once(self) -> None:
        found = judged(410)
        assert found.verdict is Verdict.DEAD
        assert found.disables
        assert not judged(404, tries=3, refusals=2).disables

    @pytest.mark.parametrize("status", [429, 503])
    def test_the_named_time_is_waited_for_and_never_less_than_the_schedule(
        self, status: int
    ) -> None:
        assert judged(status, retry_after="900").wait_s == 900
        assert judged(status, retry_after="900").quiet_s == 900
        assert judged(status, retry_after="1", tries=2).wait_s == 300
        assert judged(status, retry_after="Sat, 13 Sep 2025 15:28:45 GMT").wait_s == 3600

    def test_one_delivery_waits_a_day_if_told_so_the_others_an_hour(self) -> None:
        found = judged(503, retry_after="99999999")
        assert (found.wait_s, found.quiet_s) == (86400, 3600)

    def test_others_name_no_time(self) -> None:
        assert judged(500, retry_after="900").wait_s == 5

    def test_an_answer_outweighs_what_became_of_its_body(self) -> None:
        assert judged(200, fault=Fault.TIMEOUT).verdict is Verdict.DELIVERED

    def test_neither_status_nor_fault_is_no_success(self) -> None:
        assert judged().fault is Fault.UNREACHABLE

    @given(
        st.one_of(st.none(), st.integers(100, 999)),
        st.one_of(st.none(), st.sampled_from(Fault)),
        st.integers(1, 50),
        st.one_of(st.none(), st.text(max_size=40)),
        st.floats(0, 1),
    )
    def test_every_attempt_leads_somewhere(
        self,
        status: int | None,
        fault: Fault | None,
        tries: int,
        retry_after: str | None,
        jitter: float,
    ) -> None:
        found = judge(
            status=status,
            fault=fault,
            tries=tries,
            retry_after=retry_after,
            now=NOW,
            jitter=jitter,
        )
        assert (found.wait_s is not None) == (found.verdict is Verdict.RETRY)
        assert (found.fault is None) == (found.verdict is Verdict.DELIVERED)
        assert (found.verdict is Verdict.DELIVERED) == (status is not None and status // 100 == 2)
        assert tries < 10 or found.verdict is not Verdict.RETRY


class TestPause:
    def test_a_failing_endpoint_is_left_alone_longer_and_longer(self) -> None:
        pauses = [pause_s(n, pause_after=3, first_s=60) for n in (1, 2, 3, 4, 5, 8, 9, 10_000)]
        assert pauses == [None, None, 60, 120, 240, 1920, 3600, 3600]


class TestHeaders:
    BODY = '{"batch_id":"BATCH-20250913-001","요약":"환불 안내"}'.encode()

    def signed(self, *secrets: str, tries: int = 0, now_s: float | None = None) -> dict[str, str]:
        return headers(
            delivery_id=DELIVERY,
            event=Event.BATCH_COMPLETED,
            body=self.BODY,
            client_id="centerlink",
            secrets=secrets,
            tries=tries,
            now_s=datetime.now(UTC).timestamp() if now_s is None else now_s,
        )

    def test_the_public_library_accepts_the_body_under_the_client_s_secret(self) -> None:
        signed = self.signed("a secret, 비밀")
        whsec = "whsec_" + base64.b64encode("a secret, 비밀".encode()).decode()
        assert webhook_secret("a secret, 비밀") == whsec
        assert Webhook(whsec).verify(self.BODY, signed)["batch_id"] == "BATCH-20250913-001"
        assert signed["webhook-id"] == str(DELIVERY)

    def test_another_body_another_secret_or_an_old_time_are_refused(self) -> None:
        library = Webhook(webhook_secret("s3cret"))
        with pytest.raises(WebhookVerificationError):
            library.verify(self.BODY + b" ", self.signed("s3cret"))
        with pytest.raises(WebhookVerificationError):
            library.verify(self.BODY, self.signed("another"))
        old_s = (datetime.now(UTC) - timedelta(minutes=6)).timestamp()
        with pytest.raises(WebhookVerificationError):
            library.verify(self.BODY, self.signed("s3cret", now_s=old_s))

    def test_while_secrets_rotate_either_is_good(self) -> None:
        signed = self.signed("new", "old")
        for secret in ("new", "old"):
            Webhook(webhook_secret(secret)).verify(self.BODY, signed)

    def test_the_bound_key_is_made_with_each_secret_in_turn(self) -> None:
        def bound_key(secret: str) -> str:
            digest = hmac.new(secret.encode(), b"centerlink:1757773725", hashlib.sha256)
            return f"centerlink:1757773725:{digest.hexdigest()}"

        keys = [
            self.signed("new", "old", tries=tries, now_s=1757773725.9)["X-Bound-Key"]
            for tries in range(3)
        ]
        assert keys == [bound_key("new"), bound_key("old"), bound_key("new")]


class TestPayload:
    def test_a_batch_to_the_letter(self) -> None:
        body = batch_payload(
            batch_id="BATCH-20250913-001",
            results=[
                AnalysedConsultation(
                    consultation_id="CL-1",
                    summary={
                        "customer": "사업자 등록 절차 문의",
                        "agent": "필요 서류 및 온라인 신청 방법 안내",
                        "result": "온라인 신청 URL 전송 및 서류 준비 안내 완료",
                    },
                    keywords=("사업자등록", "온라인신청", "필요서류"),
                    titles={"keyword": "사업자등록_온라인신청_안내", "descriptive": "사업자 등록"},
                    quality_score=0.9917,
                    seconds=18.5,
                )
            ],
            errors=[FailedConsultation(consultation_id="CL-2", code="x", detail="Why.")],
            total_seconds=285.3,
            completed_at=datetime.fromisoformat("2025-09-13T23:28:45.678+09:00"),
            status="completed_with_errors",
            run=2,
            supersedes=DELIVERY,
        )

        assert json.loads(body) == {
            "batch_id": "BATCH-20250913-001",
            "results": [
                {
                    "consultation_id": "CL-1",
                    "summary": {
                        "customer": "사업자 등록 절차 문의",
                        "agent": "필요 서류 및 온라인 신청 방법 안내",
                        "result": "온라인 신청 URL 전송 및 서류 준비 안내 완료",
                    },
                    "keywords": ["사업자등록", "온라인신청", "필요서류"],
                    "titles": {
                        "keyword": "사업자등록_온라인신청_안내",
                        "descriptive": "사업자 등록",
                    },
                    "quality_score": 0.99,
                    "processing_time": 18.5,
                }
            ],
            "errors": [{"consultation_id": "CL-2", "error": {"code": "x", "detail": "Why."}}],
            "total_processing_time": 285.3,
            "completed_at": "2025-09-13T14:28:45Z",
            "status": "completed_with_errors",
            "run": 2,
            "supersedes": str(DELIVERY),
        }
        assert "사업자등록".encode() in body

    def test_a_first_run_supersedes_nothing_and_evidence_is_sent_where_it_is_given(self) -> None:
        found = AnalysedConsultation(
            consultation_id="CL-1",
            summary={},
            keywords=(),
            titles={},
            quality_score=1.0,
            seconds=1.0,
            evidence={"customer": [{"turn": 0, "start": 0, "end": 5}]},
        )
        body = batch_payload(
            batch_id="B",
            results=[found],
            errors=[],
            total_seconds=1.0,
            completed_at=NOW,
            status="completed",
            run=1,
        )
        payload = json.loads(body)
        assert "supersedes" not in payload
        assert payload["results"][0]["evidence"]["customer"][0]["end"] == 5
