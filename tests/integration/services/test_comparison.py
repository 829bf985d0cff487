"""Two variants compared by what their rows say."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.models import (
    CallTurn,
    Client,
    Job,
    QuickSummary,
    ShadowRun,
    StageAttempt,
    StageRun,
    Summary,
)
from callytics.domain.jobs import SHADOWS, JobKind
from callytics.domain.stages import SPECS, Queue, Stage, StageStatus
from callytics.domain.transcript import Role
from callytics.services.comparison import Comparison, compare
from tests.support.calls import insert_call

WEEK = timedelta(days=7)


class Bench:
    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.sessions = sessions

    def run(
        self,
        stage: Stage,
        variant: str,
        *,
        seconds: float = 1.0,
        code: str = "done",
        output: dict[str, Any] | None = None,
        shadow: Any = None,
        days_ago: float = 0,
        model: str | None = "m",
        audio_s: float | None = 10.0,
    ) -> None:
        """A call whose `stage` the variant ended so; with `shadow`, what the other one made of it."""
        call_id = insert_call(self.sessions, [stage])
        # One moment for both ends: microseconds between two would be a difference in speed.
        ended = func.now() - timedelta(days=days_ago)
        with unit_of_work(self.sessions) as session:
            run = session.get_one(StageRun, (call_id, stage))
            run.status, run.attempt = StageStatus.DONE, 1
            run.variant, run.audio_s, run.output = variant, audio_s, output
            run.model = model
            session.add(
                StageAttempt(
                    call_id=call_id,
                    stage=stage,
                    attempt=1,
                    worker="w",
                    variant=variant,
                    started_at=ended - timedelta(seconds=seconds),
                    finished_at=ended,
                    outcome=code,
                )
            )
            self._results(session, call_id, stage, output)
            if shadow is not None:
                self._shadow(session, call_id, stage, variant, shadow, audio_s)

    def _results(self, session: Session, call_id: Any, stage: Stage, output: Any) -> None:
        if stage in (Stage.PUNCTUATE, Stage.SENTIMENT):
            for turn in output:
                session.add(CallTurn(call_id=call_id, words=[], **{**turn, "role": Role.UNKNOWN}))
        if stage is Stage.SUMMARIZE:
            session.add(
                Summary(
                    call_id=call_id,
                    text=output["text"],
                    model="m",
                    revision="1",
                    prompt_version="1",
                    seconds=1,
                    prompt_tokens=1,
                    output_tokens=1,
                    checks={"source": output["source"]},
                )
            )

    def _shadow(
        self,
        session: Session,
        call_id: Any,
        stage: Stage,
        variant: str,
        out: Any,
        audio_s: float | None,
    ) -> None:
        other = "v1" if variant == "v2" else "v2"
        job = Job(
            id=uuid4(),
            kind=SHADOWS[stage],
            variant=other,
            status=StageStatus.DONE,
            attempt=1,
            attempt_limit=2,
            started_at=func.now() - timedelta(seconds=1),
            finished_at=func.now(),
        )
        session.add(job)
        session.flush()
        session.add(
            ShadowRun(
                id=job.id,
                call_id=call_id,
                stage=stage,
                main_attempt=1,
                main_variant=variant,
                output=out,
                audio_s=audio_s,
            )
        )

    def retry(self) -> None:
        """Each main run and each shadow needed a second attempt, as one of the two failed."""
        with unit_of_work(self.sessions) as session:
            for attempt in session.query(StageAttempt).all():
                session.add(
                    StageAttempt(
                        call_id=attempt.call_id,
                        stage=attempt.stage,
                        attempt=2,
                        worker="w",
                        variant=attempt.variant,
                        started_at=attempt.started_at,
                        finished_at=attempt.finished_at,
                        outcome="model_unavailable",
                    )
                )
            for job in session.query(Job).all():
                job.attempt = 2

    def quick_summaries(self, variant: str, count: int, *, seconds: float) -> None:
        with unit_of_work(self.sessions) as session:
            client = Client(name="centerlink")
            session.add(client)
            jobs = [
                Job(
                    id=uuid4(),
                    kind=JobKind.QUICK_SUMMARY,
                    variant=variant,
                    status=StageStatus.DONE,
                    attempt=1,
                    attempt_limit=3,
                    started_at=func.now() - timedelta(seconds=seconds),
                    finished_at=func.now(),
                )
                for _ in range(count)
            ]
            session.add_all(jobs)
            session.flush()
            session.add_all(
                QuickSummary(
                    id=job.id,
                    client_id=client.id,
                    consultation_id="CL-1",
                    conversation="",
                    ahead=False,
                    content_hash="",
                    received_at=func.now(),
                    deadline_at=func.now(),
                    provider="vllm",
                )
                for job in jobs
            )

    def compare(self, stage: Stage) -> Comparison:
        with unit_of_work(self.sessions) as session:
            return compare(session, SPECS[stage].queue, "v1", "v2", WEEK)[0]

    def agreement(self, stage: Stage) -> dict[str, float]:
        return {one.name: one.estimate.value for one in self.compare(stage).agreement}


@pytest.fixture
def bench(sessions: sessionmaker[Session]) -> Bench:
    return Bench(sessions)


def said(*words: str) -> dict[str, Any]:
    return {"words": [{"text": word} for word in words]}


def turn(*sentences: tuple[str, str | None]) -> list[dict[str, Any]]:
    return [
        {
            "index": 0,
            "start_s": 0.0,
            "end_s": 1.0,
            "speaker": "A",
            "role": "unknown",
            "role_confidence": 0.0,
            "text": " ".join(text for text, _ in sentences),
            "sentences": [
                {"text": text, "sentiment": {"label": label, "score": 0.9} if label else None}
                for text, label in sentences
            ],
        }
    ]


def test_nothing_at_all_is_said_to_be_too_few(bench: Bench) -> None:
    found = bench.compare(Stage.TRANSCRIBE)

    assert [one.runs for one in found.variants] == [0, 0]
    assert found.says[0].startswith("Too few runs")
    assert found.says[1].startswith("Too few runs")
    assert found.says[2].startswith("No calls were worked on by both")


def test_a_variant_that_is_twice_as_fast_and_fails_more_is_told_so(bench: Bench) -> None:
    for number in range(25):
        bench.run(Stage.TRANSCRIBE, "v1", seconds=2 + number / 50)
        bench.run(Stage.TRANSCRIBE, "v2", seconds=1 + number / 100)
        bench.run(Stage.TRANSCRIBE, "v2", code="model_unavailable")
    bench.run(Stage.TRANSCRIBE, "v1", code="handed_back")
    bench.run(Stage.TRANSCRIBE, "v1", seconds=500, model="channels")
    bench.run(Stage.TRANSCRIBE, "v1", seconds=500, model=None)
    bench.run(Stage.TRANSCRIBE, "v1", seconds=500, days_ago=8)

    found = bench.compare(Stage.TRANSCRIBE)

    first, second = found.variants
    assert (first.runs, second.runs) == (25, 50)
    assert first.median_s is not None
    assert first.median_s.value == pytest.approx(2.24, abs=0.001)
    assert first.median_per_audio_s is not None
    assert first.median_per_audio_s.value == pytest.approx(0.224, abs=0.001)
    assert second.codes["model_unavailable"].value == 0.5
    assert found.speed is not None
    assert found.speed.value == pytest.approx(0.5, abs=0.001)
    assert found.says[0].startswith("v2 is faster than v1: it takes 4")
    assert found.says[1].startswith("v2 fails more often than v1, by ")


def test_two_that_are_alike_are_said_to_show_no_difference(bench: Bench) -> None:
    for number in range(25):
        bench.run(Stage.TRANSCRIBE, "v1", seconds=1 + number / 50)
        bench.run(Stage.TRANSCRIBE, "v2", seconds=1 + number / 50)

    speed, failures, _ = bench.compare(Stage.TRANSCRIBE).says

    assert speed.startswith("No difference in speed")
    assert failures.startswith("No difference in failures")


def test_words_agree_by_characters_whichever_of_the_two_was_shown(bench: Bench) -> None:
    bench.run(
        Stage.TRANSCRIBE,
        "v1",
        output=said("환불이", "안", "돼요"),
        shadow=said("환불이 안", "되요"),
    )
    bench.run(Stage.TRANSCRIBE, "v2", output=said("네"), shadow=said("네네"))

    found = bench.compare(Stage.TRANSCRIBE)

    # One of six characters, then one missing of two: against v1 in both calls.
    assert found.pairs == 2
    assert found.agreement[0].estimate.value == 2 / 8
    assert found.says[2].startswith("Too few calls")
    assert [one.runs for one in found.variants] == [2, 2]


def test_a_call_that_was_run_again_is_no_pair(bench: Bench) -> None:
    bench.run(Stage.TRANSCRIBE, "v1", output=said("네"), shadow=said("네"))
    with unit_of_work(bench.sessions) as session:
        run = session.query(StageRun).one()
        run.attempt_limit, run.attempt = 9, 2

    assert bench.compare(Stage.TRANSCRIBE).pairs == 0


def test_speakers_sentences_labels_and_summaries_agree_each_in_its_way(bench: Bench) -> None:
    segments = [{"speaker": "A", "start_s": 0.0, "end_s": 4.0}]
    one = {"speech": segments, "exclusive": segments}
    half = [
        {"speaker": "X", "start_s": 0.0, "end_s": 3.0},
        {"speaker": "Y", "start_s": 3.0, "end_s": 4.0},
    ]
    bench.run(Stage.DIARIZE, "v1", output=one, shadow={"speech": half, "exclusive": half})
    bench.run(
        Stage.PUNCTUATE,
        "v1",
        output=turn(("네.", None), ("됐어요.", None)),  # type: ignore[arg-type]
        shadow=turn(("네.", None), ("됐어요?", None)),
    )
    bench.run(
        Stage.SENTIMENT,
        "v2",
        output=turn(("a", "positive"), ("b", "negative")),  # type: ignore[arg-type]
        shadow=turn(("a", "positive"), ("b", "positive")),
    )
    bench.run(
        Stage.SUMMARIZE,
        "v1",
        output={"text": "abcd", "source": "model"},
        shadow={"text": "abcx", "source": "quotes"},
    )

    assert bench.agreement(Stage.DIARIZE) == {"same speaker, share of speech": 0.75}
    assert bench.agreement(Stage.PUNCTUATE) == {"equal sentences": 0.5}
    assert bench.agreement(Stage.SENTIMENT) == {"equal labels": 0.5, "Cohen's kappa": 0.0}
    assert bench.agreement(Stage.SUMMARIZE) == {
        "similarity of the summaries": 0.75,
        "passed the checks, the first": 1.0,
        "passed the checks, the second": 0.0,
    }


def test_jobs_of_a_queue_count_as_runs(bench: Bench) -> None:
    with unit_of_work(bench.sessions) as session:
        for status, problem in ((StageStatus.DONE, None), (StageStatus.FAILED, {"code": "x"})):
            session.add(
                Job(
                    kind="analysis",
                    variant="v2",
                    status=status,
                    problem=problem,
                    attempt=1,
                    attempt_limit=1,
                    started_at=func.now() - timedelta(seconds=2),
                    finished_at=func.now(),
                )
            )
    with unit_of_work(bench.sessions) as session:
        (analyses,) = compare(session, Queue.MLM, "v1", "v2", WEEK)
    found = analyses.variants[1]

    assert found.runs == 2
    assert found.codes["x"].value == 0.5
    assert found.median_s is not None
    assert found.median_s.value == pytest.approx(2, abs=0.1)


def test_an_attempt_that_failed_counts_the_same_in_a_shadow(bench: Bench) -> None:
    for _ in range(25):
        bench.run(Stage.TRANSCRIBE, "v1", output=said("a"), shadow=said("a"))
    bench.retry()

    found = bench.compare(Stage.TRANSCRIBE)

    assert [one.runs for one in found.variants] == [50, 50]
    assert [one.failures.value for one in found.variants if one.failures] == [0.5, 0.5]
    assert found.variants[1].codes["retried"].value == 0.5
    assert found.says[1].startswith("No difference in failures")


def test_what_was_handed_back_or_moved_is_no_failure_of_a_shadow(bench: Bench) -> None:
    bench.run(Stage.TRANSCRIBE, "v1", output=said("a"), shadow=said("a"))
    with unit_of_work(bench.sessions) as session:
        job = session.query(Job).one()
        job.attempt, job.attempt_limit = 3, 4

    assert bench.compare(Stage.TRANSCRIBE).variants[1].runs == 1


def test_quick_summaries_are_not_compared_with_summaries_of_calls(bench: Bench) -> None:
    text = {"text": "a", "source": "model"}
    for _ in range(25):
        bench.run(Stage.SUMMARIZE, "v1", output=text, shadow=text, audio_s=None)
    bench.quick_summaries("v1", 40, seconds=0.3)

    with unit_of_work(bench.sessions) as session:
        found, quick = compare(session, Queue.SLM, "v1", "v2", WEEK)

    assert (found.work, quick.work) == (Stage.SUMMARIZE, JobKind.QUICK_SUMMARY)
    assert [one.runs for one in found.variants] == [25, 25]
    assert found.says[0].startswith("No difference in speed")
    assert [one.runs for one in quick.variants] == [40, 0]
    assert quick.variants[0].median_s is not None
    assert quick.variants[0].median_s.value == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("known", [24, 10, 0])
def test_both_are_measured_in_one_unit(bench: Bench, known: int) -> None:
    for number in range(25):
        bench.run(Stage.TRANSCRIBE, "v1", seconds=2)
        bench.run(Stage.TRANSCRIBE, "v2", seconds=2, audio_s=10.0 if number < known else None)

    speed = bench.compare(Stage.TRANSCRIBE).speed

    assert speed is not None
    assert speed.value == pytest.approx(1, abs=0.001)
