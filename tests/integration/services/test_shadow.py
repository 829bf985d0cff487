"""Shadow runs: they see what the main run saw, and touch nothing but their own row."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.calls import Calls
from callytics.db.engine import unit_of_work
from callytics.db.models import Call, Job, ModelRoute, ShadowRun, StageRun
from callytics.db.turns import Turns
from callytics.domain.job import JobStatus, Priority
from callytics.domain.jobs import SHADOWS
from callytics.domain.routes import ALONE
from callytics.domain.stages import SPECS, Queue, Stage, StageStatus
from callytics.errors import UnusableAudioError
from callytics.ports import BY_CHANNEL, Computed, ModelInfo, Progress
from callytics.services import calls, routes
from callytics.services.call_result import CallResult
from callytics.services.job import run_job
from callytics.services.job_work import JobHint
from callytics.services.shadow import ShadowWork, StageRepeat
from callytics.services.stage import AnyHint, Outcome, StageContext, StageWork, run_stage
from callytics.services.stages.punctuate import Punctuate
from callytics.services.upkeep import hand_back, sweep
from callytics.settings import PipelineSettings, Settings
from tests.support.calls import FakeWork, NoStore, insert_call
from tests.support.pipeline import Pipeline

MODEL = ModelInfo(name="fake", revision="1", device="cpu")


class ModelWork(FakeWork):
    """As FakeWork, by a model."""

    model: ModelInfo | None = MODEL

    def compute(self, inputs: UUID, progress: Progress) -> Computed:
        found = super().compute(inputs, progress)
        return Computed(value=found.value, model=self.model, audio_s=5.0)


class Shouter:
    """A punctuator whose work is easy to tell."""

    info = MODEL

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def warm_up(self) -> None:
        """Nothing to warm."""

    def punctuate(self, texts: Sequence[str]) -> list[list[str]]:
        return [[text + self._mark] for text in texts]


class Bench:
    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.sessions = sessions
        self.works: dict[Stage, StageWork] = {stage: ModelWork(stage) for stage in Stage}
        self.shadow_work: StageWork = ModelWork(Stage.TRANSCRIBE)
        self.hints: list[JobHint] = []

    def _send(self, hints: Iterable[AnyHint]) -> None:
        self.hints += [h for h in hints if isinstance(h, JobHint) and h.kind in SHADOWS.values()]

    def _context(self, variant: str) -> StageContext:
        work = self.shadow_work
        return StageContext(
            sessions=self.sessions,
            works=self.works,
            store=NoStore(),
            send=self._send,
            worker=f"worker-{variant}",
            variants={SPECS[work.stage].queue: variant},
            jobs={SHADOWS[work.stage]: ShadowWork(SHADOWS[work.stage], StageRepeat(work))},
        )

    def run(self, stage: Stage, call_id: UUID) -> Outcome:
        return run_stage(self._context("v1"), stage, call_id)

    def run_shadow(self, variant: str = "v2") -> Outcome:
        return run_job(self._context(variant), self.hints[0].kind, self.hints[0].job_id)

    def row(self) -> tuple[ShadowRun, Any, Job]:
        with self.sessions() as session:
            run = session.scalars(select(ShadowRun)).one()
            return run, run.output, session.get_one(Job, run.id)

    def jobs(self) -> int:
        with self.sessions() as session:
            return len(session.scalars(select(Job)).all())

    def runs(self) -> int:
        with self.sessions() as session:
            return len(session.scalars(select(ShadowRun)).all())


@pytest.fixture
def bench(sessions: sessionmaker[Session]) -> Bench:
    with unit_of_work(sessions) as session:
        for queue in (Queue.STT, Queue.DIARIZE, Queue.PUNCTUATE):
            session.add(ModelRoute(queue=queue, weights={"v1": 1}, shadow="v2"))
    return Bench(sessions)


@pytest.fixture
def transcribed(bench: Bench) -> UUID:
    """A call whose transcription was just recorded."""
    call_id = insert_call(bench.sessions, [Stage.PREPROCESS, Stage.TRANSCRIBE])
    bench.run(Stage.PREPROCESS, call_id)
    assert bench.run(Stage.TRANSCRIBE, call_id) is Outcome.DONE
    return call_id


def test_the_shadow_repeats_what_was_done_and_shows_it_to_nobody(
    bench: Bench, transcribed: UUID
) -> None:
    (hint,) = bench.hints
    assert (str(hint.lane), hint.priority) == ("stt.v2", Priority.LOW)
    bench.shadow_work = ModelWork(Stage.TRANSCRIBE, lambda _progress: {"words": ["other"]})

    assert bench.run_shadow("v1") is Outcome.NOT_CLAIMED
    assert bench.run_shadow() is Outcome.DONE

    run, output, job = bench.row()
    assert output == {"words": ["other"]}
    assert (run.model, run.revision, run.audio_s, run.main_variant) == ("fake", "1", 5.0, "v1")
    assert run.seconds is not None
    assert (run.main_attempt, job.variant, job.status) == (1, "v2", StageStatus.DONE)
    with bench.sessions() as session:
        stage = session.get_one(StageRun, (transcribed, Stage.TRANSCRIBE))
        assert (stage.output, stage.variant) == (None, "v1")
        call = session.get_one(Call, transcribed)
        assert call.status is JobStatus.COMPLETED
        owned = Calls(session).owned(call.client_id, transcribed)
        assert "other" not in CallResult.of(owned).model_dump_json()
    assert run_job(bench._context("v2"), hint.kind, hint.job_id) is Outcome.NOT_CLAIMED


def test_its_failure_touches_nothing_but_its_own_row(bench: Bench, transcribed: UUID) -> None:
    def fail(_progress: Progress) -> None:
        raise UnusableAudioError

    bench.shadow_work = ModelWork(Stage.TRANSCRIBE, fail)

    assert bench.run_shadow() is Outcome.FAILED

    _, output, job = bench.row()
    assert output is None
    assert (job.status, (job.problem or {})["code"]) == (StageStatus.FAILED, "unusable_audio")
    with bench.sessions() as session:
        assert session.get_one(Call, transcribed).status is JobStatus.COMPLETED


def test_one_that_takes_too_long_fails_alone(bench: Bench, transcribed: UUID) -> None:
    def hang(_progress: Progress) -> None:
        raise SoftTimeLimitExceeded

    bench.shadow_work = ModelWork(Stage.TRANSCRIBE, hang)

    assert bench.run_shadow() is Outcome.RETRY

    _, output, job = bench.row()
    assert output is None
    assert (job.problem or {})["code"] == "stage_timed_out"
    with bench.sessions() as session:
        assert session.get_one(StageRun, (transcribed, Stage.TRANSCRIBE)).status is StageStatus.DONE
        assert session.get_one(Call, transcribed).status is JobStatus.COMPLETED


def test_its_limit_is_that_of_its_stage_whoever_tells_of_it(
    bench: Bench, transcribed: UUID
) -> None:
    with unit_of_work(bench.sessions) as session:
        session.get_one(Call, transcribed).duration_s = 100.0
        session.execute(update(Job).values(hinted_at=None))
    wanted = SPECS[Stage.TRANSCRIBE].time_limit(100.0)

    (told,) = sweep(bench.sessions, PipelineSettings())
    with unit_of_work(bench.sessions) as session:
        session.execute(update(Job).values(status="running", attempt=1, worker="w"))
    (handed,) = hand_back(bench.sessions, "w")

    assert isinstance(told, JobHint)
    assert isinstance(handed, JobHint)
    assert [told.time_limit_s, handed.time_limit_s] == [wanted, wanted]


@pytest.mark.parametrize("model", [None, BY_CHANNEL])
def test_where_no_model_was_asked_there_is_nothing_to_repeat(bench: Bench, model: Any) -> None:
    work = ModelWork(Stage.DIARIZE)
    work.model = model
    bench.works[Stage.DIARIZE] = work
    call_id = insert_call(bench.sessions)
    bench.run(Stage.PREPROCESS, call_id)
    bench.run(Stage.DIARIZE, call_id)

    assert bench.runs() == 0


def test_what_the_shadow_did_itself_it_does_not_repeat(bench: Bench) -> None:
    with unit_of_work(bench.sessions) as session:
        session.add(ModelRoute(queue="stt", weights={"v1": 1}, shadow="v1"))
    call_id = insert_call(bench.sessions)
    bench.run(Stage.PREPROCESS, call_id)
    bench.run(Stage.TRANSCRIBE, call_id)

    assert bench.runs() == 0


def test_a_call_that_was_run_again_meanwhile_is_not_repeated(
    bench: Bench, transcribed: UUID
) -> None:
    with unit_of_work(bench.sessions) as session:
        owner = session.get_one(Call, transcribed).client_id
        calls.rerun(session, owner, transcribed, Stage.TRANSCRIBE)

    bench.run_shadow()

    assert bench.row()[2].status is StageStatus.CANCELLED


def test_a_deleted_call_takes_its_shadows_with_it(bench: Bench, transcribed: UUID) -> None:
    with unit_of_work(bench.sessions) as session:
        calls.delete(session, session.get_one(Call, transcribed).client_id, transcribed)

    assert bench.runs() == 0
    assert bench.jobs() == 0
    assert bench.run_shadow() is Outcome.NOT_CLAIMED


def test_a_call_that_is_deleted_while_its_shadow_computes_leaves_nothing(
    bench: Bench, transcribed: UUID
) -> None:
    def delete(_progress: Progress) -> str:
        with unit_of_work(bench.sessions) as session:
            calls.delete(session, session.get_one(Call, transcribed).client_id, transcribed)
        return "too late"

    bench.shadow_work = ModelWork(Stage.TRANSCRIBE, delete)

    assert bench.run_shadow() is Outcome.ABANDONED
    assert bench.runs() == 0
    assert bench.jobs() == 0


def test_the_shadow_of_punctuation_sees_the_turns_as_they_were(
    bench: Bench, sessions: sessionmaker[Session]
) -> None:
    pipeline = Pipeline(sessions)
    call_id = insert_call(sessions)
    for stage in (Stage.PREPROCESS, Stage.DIARIZE, Stage.TRANSCRIBE, Stage.MERGE):
        pipeline.run_stage(stage, call_id)
    with sessions() as session:
        before = [turn.text for turn in Turns(session).of(call_id)]
    bench.works[Stage.PUNCTUATE] = Punctuate(Shouter("!"))
    bench.shadow_work = Punctuate(Shouter("?"))

    assert bench.run(Stage.PUNCTUATE, call_id) is Outcome.DONE
    assert bench.run_shadow() is Outcome.DONE

    _, output, _ = bench.row()
    assert before
    assert [turn["text"] for turn in output] == [f"{text}?" for text in before]
    with sessions() as session:
        assert [turn.text for turn in Turns(session).of(call_id)] == [f"{t}!" for t in before]


def test_shadows_of_a_variant_that_has_no_part_any_more_are_cancelled(
    bench: Bench, transcribed: UUID
) -> None:
    models = Settings().models
    with unit_of_work(bench.sessions) as session:
        routes.switch(session, Queue.STT, ALONE, models, force=True)

    assert bench.row()[2].status is StageStatus.CANCELLED


def test_a_shadow_whose_worker_died_is_run_again(bench: Bench, transcribed: UUID) -> None:
    with unit_of_work(bench.sessions) as session:
        session.execute(
            update(Job).values(status="running", attempt=1, lease_until=Job.created_at, worker="w")
        )

    (hint,) = sweep(bench.sessions, PipelineSettings(retry_base_s=0.001))

    assert isinstance(hint, JobHint)
    assert str(hint.lane) == "stt.v2"
    assert bench.run_shadow() is Outcome.DONE
