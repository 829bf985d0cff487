"""A diagnosis as a job: against a server that answers badly, late or not at all, and within its time."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import func, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.models import Client, Diagnosis, Job
from callytics.domain.diagnosis import DIAGNOSIS_PROMPT_VERSION, Language
from callytics.domain.image import PlainImage
from callytics.domain.jobs import JobKind
from callytics.domain.stages import StageStatus
from callytics.errors import ImageDiagnosisOffError
from callytics.services import diagnosis_jobs, providers, upkeep
from callytics.services.diagnosis_jobs import DiagnosisRequest, DiagnosisWork
from callytics.services.providers import ProviderRows
from callytics.settings import LlmSettings, ModelSettings, ProviderSettings, Settings
from tests.support.chat import ScriptedChat
from tests.support.chat_server import ChatServer, chat_server
from tests.support.diagnoses import (
    COMPLAINT,
    FORM,
    IMAGE_FORM,
    PHOTO,
    image_of,
    refuse,
    written,
)
from tests.support.pipeline import Pipeline
from workers.runtimes import load
from workers.runtimes.providers import ProviderChain


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as server:
        server.says(written(FORM))
        yield server


@pytest.fixture
def settings(settings: Settings, server: ChatServer) -> Settings:
    options = {"timeout_s": 1, "max_tokens": 500, "temperature": 0.05}
    vision = ModelSettings(runtime="openai", model="vision", options=options)
    text = settings.models.diagnosis_text.model_copy(update={"options": options})
    models = settings.models.model_copy(update={"diagnosis_text": text, "diagnosis_image": vision})
    llm = LlmSettings(base_url=server.base_url, api_key=SecretStr("sk-secret"))
    price = ProviderSettings(usd_per_million_input=2.0, usd_per_million_output=10.0)
    said = {"models": models, "llm": llm, "providers": {"vllm": price}}
    return settings.model_copy(update=said)


class Desk:
    def __init__(self, settings: Settings, sessions: sessionmaker[Session], pipeline: Pipeline):
        self.settings = settings
        self.sessions = sessions
        self.pipeline = pipeline
        with unit_of_work(sessions) as session:
            client = Client(name="desk")
            session.add(client)
            session.flush()
            self.client_id = client.id

    def ask(self, text: str | None = COMPLAINT, image: PlainImage | None = None) -> UUID:
        request = DiagnosisRequest(
            client_id=self.client_id, text=text, image=image, language=Language.KOREAN
        )
        return diagnosis_jobs.submit(self.sessions, request, self.settings).job_id

    def run(self, job_id: UUID) -> Diagnosis:
        """One attempt; the next may be made at once."""
        self.pipeline.run_job(JobKind.DIAGNOSIS, job_id)
        with unit_of_work(self.sessions) as session:
            session.execute(update(Job).values(next_attempt_at=None))
        return self.row(job_id)

    def row(self, job_id: UUID) -> Diagnosis:
        with self.sessions() as session:
            found = session.get_one(Diagnosis, job_id)
            session.refresh(found, ["job"])
            return found

    def leave(self, job_id: UUID, seconds: float) -> None:
        """So much time is left for it."""
        deadline = func.clock_timestamp() + timedelta(seconds=seconds)
        with unit_of_work(self.sessions) as session:
            session.execute(
                update(Diagnosis).where(Diagnosis.id == job_id).values(deadline_at=deadline)
            )


@pytest.fixture
def desk(settings: Settings, sessions: sessionmaker[Session]) -> Iterator[Desk]:
    pipeline = Pipeline(sessions)
    chats = {name: chat_of(name, settings) for name in ("diagnosis_text", "diagnosis_image")}
    pipeline.jobs[JobKind.DIAGNOSIS] = DiagnosisWork(chats, settings.models)
    yield Desk(settings, sessions, pipeline)
    for chat in chats.values():
        chat.close()


def chat_of(task: str, settings: Settings) -> ProviderChain:
    chat = load(task, settings)
    assert isinstance(chat, ProviderChain)
    return chat


def test_the_row_says_what_was_found_and_by_whom(desk: Desk, server: ChatServer) -> None:
    row = desk.run(desk.ask())

    assert row.job.status is StageStatus.DONE
    assert row.result == {"image_usable": None, "image_reason": None, **FORM}
    assert (row.provider, row.model) == ("vllm", desk.settings.models.diagnosis_text.model)
    assert row.prompt_version == DIAGNOSIS_PROMPT_VERSION
    assert (row.prompt_tokens, row.output_tokens) == (7, 3)
    assert row.cost_usd == pytest.approx((7 * 2 + 3 * 10) / 1e6)
    assert row.seconds is not None
    [asked] = server.asked
    assert asked["response_format"]["json_schema"]["strict"] is True
    assert (asked["max_tokens"], asked["temperature"]) == (500, 0.05)


def test_a_photo_reaches_the_model_that_looks_at_photos(desk: Desk, server: ChatServer) -> None:
    server.says(written(IMAGE_FORM))
    row = desk.run(desk.ask(image=PHOTO))

    assert (row.job.status, row.result) == (StageStatus.DONE, IMAGE_FORM)
    [asked] = server.asked
    assert asked["model"] == "vision"
    assert image_of(asked["messages"][-1]) == PHOTO.jpeg


def no_json(server: ChatServer) -> None:
    server.says("잘 모르겠습니다.")


def another_form(server: ChatServer) -> None:
    server.says('{"diagnosis": "dermatitis"}')


def cut_off(server: ChatServer) -> None:
    server.says(written(FORM), finish_reason="length")


def no_completion(server: ChatServer) -> None:
    server.body = {"object": "error"}


def answers(status: int) -> Callable[[ChatServer], None]:
    def answering(server: ChatServer) -> None:
        server.status, server.body = status, {"error": {"message": COMPLAINT}}

    return answering


def silent(server: ChatServer) -> None:
    server.silent = True


BAD: dict[str, tuple[Callable[[ChatServer], None], str]] = {
    "no JSON": (no_json, "model_answer_unusable"),
    "another form": (another_form, "model_answer_unusable"),
    "cut off": (cut_off, "model_answer_unusable"),
    "a refusal": (refuse, "model_answer_unusable"),
    "no chat completion": (no_completion, "model_unavailable"),
    "busy": (answers(429), "model_unavailable"),
    "broken": (answers(500), "model_unavailable"),
    "a wrong key": (answers(401), "model_unavailable"),
    "slow": (silent, "model_unavailable"),
}


@pytest.mark.parametrize("name", BAD)
def test_after_a_bad_answer_it_is_tried_again(
    desk: Desk, server: ChatServer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    fault, code = BAD[name]
    fault(server)
    job_id = desk.ask()
    row = desk.run(job_id)

    assert row.job.status is StageStatus.QUEUED
    assert row.job.problem
    assert row.job.problem["code"] == code
    for told in (str(row.job.problem), caplog.text):
        assert COMPLAINT not in told
        assert "sk-secret" not in told

    server.silent, server.status = False, 200
    server.says(written(FORM))
    row = desk.run(job_id)
    assert (row.job.status, row.job.attempt, row.job.problem) == (StageStatus.DONE, 2, None)


def test_after_three_bad_answers_it_has_failed(desk: Desk, server: ChatServer) -> None:
    no_json(server)
    job_id = desk.ask()
    states = [desk.run(job_id).job.status for _ in range(4)]

    assert states == [StageStatus.QUEUED, StageStatus.QUEUED, *[StageStatus.FAILED] * 2]
    assert len(server.asked) == 3
    assert desk.row(job_id).result is None


def test_no_model_is_asked_when_its_time_is_over(desk: Desk, server: ChatServer) -> None:
    job_id = desk.ask()
    desk.leave(job_id, seconds=0.4)
    row = desk.run(job_id)

    assert row.job.status is StageStatus.FAILED
    assert row.job.problem
    assert row.job.problem["code"] == "diagnosis_timed_out"
    assert server.asked == []


def test_what_the_attempt_before_met_is_told_when_its_time_is_over(
    desk: Desk, server: ChatServer
) -> None:
    no_json(server)
    job_id = desk.ask()
    desk.run(job_id)
    desk.leave(job_id, seconds=0)
    problem = desk.run(job_id).job.problem

    assert problem
    assert problem["code"] == "diagnosis_timed_out"
    assert problem["last_problem"]["code"] == "model_answer_unusable"


def test_the_last_attempt_has_only_the_time_that_is_left(desk: Desk, server: ChatServer) -> None:
    silent(server)
    job_id = desk.ask()
    desk.leave(job_id, seconds=0.8)
    row = desk.run(job_id)

    assert row.job.problem
    assert "within 0." in row.job.problem["detail"]


def test_what_no_worker_took_is_ended_a_minute_after_its_time(desk: Desk) -> None:
    late, waiting, done = desk.ask(), desk.ask("다른 발진"), desk.ask("또 다른 발진")
    desk.run(done)
    for job_id, seconds in ((late, -61), (waiting, -55), (done, -61)):
        desk.leave(job_id, seconds)
    for _ in range(2):
        upkeep.sweep(desk.sessions, desk.settings.pipeline)

    job = desk.row(late).job
    assert (job.status, job.attempt) == (StageStatus.FAILED, 0)
    assert job.finished_at
    assert job.problem
    assert job.problem["code"] == "diagnosis_timed_out"
    assert desk.row(waiting).job.status is StageStatus.QUEUED
    assert desk.row(done).job.status is StageStatus.DONE
    assert desk.run(late).job.attempt == 0


@pytest.mark.parametrize(("image", "budget_s"), [(None, 15), (PHOTO, 30)])
def test_its_time_begins_with_its_arrival(
    desk: Desk, image: PlainImage | None, budget_s: float
) -> None:
    row = desk.row(desk.ask(image=image))
    assert row.deadline_at - row.received_at == timedelta(seconds=budget_s)


def test_a_worker_without_a_model_for_images_says_so(
    desk: Desk, settings: Settings, server: ChatServer
) -> None:
    """As where the settings of API and worker differ."""
    models = settings.models.model_copy(update={"diagnosis_image": None})
    chats = {"diagnosis_text": ScriptedChat()}
    desk.pipeline.jobs[JobKind.DIAGNOSIS] = DiagnosisWork(chats, models)
    row = desk.run(desk.ask(image=PHOTO))

    assert row.job.status is StageStatus.FAILED
    assert row.job.problem == ImageDiagnosisOffError().as_problem()


def test_while_the_model_for_images_does_not_load_texts_are_judged_and_photos_wait(
    desk: Desk, settings: Settings, server: ChatServer
) -> None:
    chats = {"diagnosis_text": chat_of("diagnosis_text", settings)}
    desk.pipeline.jobs[JobKind.DIAGNOSIS] = DiagnosisWork(chats, settings.models)
    photo = desk.ask(image=PHOTO)
    row = desk.run(photo)
    assert row.job.status is StageStatus.QUEUED
    assert row.job.problem
    assert row.job.problem["code"] == "model_unavailable"
    assert desk.run(desk.ask()).job.status is StageStatus.DONE

    chats["diagnosis_image"] = chat_of("diagnosis_image", settings)
    server.says(written(IMAGE_FORM))
    assert desk.run(photo).job.status is StageStatus.DONE
    for chat in chats.values():
        chat.close()


def test_another_model_makes_another_diagnosis(desk: Desk) -> None:
    """A switch never serves the old model's answers."""
    first = desk.ask()
    models = desk.settings.models
    switched = models.diagnosis_text.model_copy(update={"model": "another"})
    desk.settings = desk.settings.model_copy(
        update={"models": models.model_copy(update={"diagnosis_text": switched})}
    )
    assert desk.ask() != first


@pytest.mark.parametrize("seconds", [-5, 0.4])
def test_a_job_whose_time_is_over_is_not_given_again(desk: Desk, seconds: float) -> None:
    """As where no worker was there in its time: it can only fail."""
    first = desk.ask()
    assert desk.ask() == first
    desk.leave(first, seconds)
    second = desk.ask()

    assert second != first
    assert desk.run(second).job.status is StageStatus.DONE


def test_what_a_provider_said_with_another_model_is_not_given_again(desk: Desk) -> None:
    first = desk.run(desk.ask())
    assert desk.ask() == first.id
    said = {"vllm": ProviderSettings(models={"diagnosis_text": "another"})}
    desk.settings = desk.settings.model_copy(update={"providers": said})
    assert desk.ask() != first.id


# --- several providers ----------------------------------------------------------------------------


@pytest.fixture
def runpod() -> Iterator[ChatServer]:
    with chat_server() as server:
        server.says(written(FORM))
        yield server


@pytest.fixture
def two_providers(settings: Settings, server: ChatServer, runpod: ChatServer) -> Settings:
    """RunPod first, OpenAI where that fails; as the customer sets it while RunPod is slow."""
    known = {
        "runpod": ProviderSettings(base_url=runpod.base_url, api_key=SecretStr("rp-secret")),
        "openai": ProviderSettings(base_url=server.base_url, api_key=SecretStr("sk-secret")),
    }
    text = settings.models.diagnosis_text.model_copy(
        update={"providers": ("runpod", "openai"), "retry_base_s": 0.01}
    )
    models = settings.models.model_copy(update={"diagnosis_text": text})
    return settings.model_copy(update={"models": models, "providers": known})


@pytest.fixture
def clinic(two_providers: Settings, sessions: sessionmaker[Session]) -> Iterator[Desk]:
    pipeline = Pipeline(sessions)
    chain = ProviderChain.load("diagnosis_text", two_providers, ProviderRows(sessions))
    pipeline.jobs[JobKind.DIAGNOSIS] = DiagnosisWork(
        {"diagnosis_text": chain}, two_providers.models
    )
    yield Desk(two_providers, sessions, pipeline)
    chain.close()


@pytest.mark.parametrize("name", BAD)
def test_where_the_first_provider_fails_the_next_one_answers_and_the_row_says_so(
    clinic: Desk, runpod: ChatServer, name: str
) -> None:
    BAD[name][0](runpod)
    row = clinic.run(clinic.ask())
    assert (row.job.status, row.provider) == (StageStatus.DONE, "openai")
    assert runpod.asked


def test_what_a_provider_said_that_is_chosen_no_more_is_not_given_again(
    clinic: Desk, runpod: ChatServer
) -> None:
    first = clinic.ask()
    assert clinic.run(first).provider == "runpod"
    assert clinic.ask() == first

    with unit_of_work(clinic.sessions) as session:
        providers.choose(session, "diagnosis_text", ["openai"], clinic.settings)
    assert clinic.ask() != first
