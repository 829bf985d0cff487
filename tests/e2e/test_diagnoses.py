"""Diagnoses through real worker processes, one of which dies in the middle, and a real server."""

import signal
from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import select

from callytics.db.diagnoses import Diagnoses
from callytics.db.engine import unit_of_work
from callytics.db.models import Client, Diagnosis
from callytics.domain.diagnosis import Language
from callytics.domain.image import PlainImage
from callytics.domain.stages import StageStatus
from callytics.services import diagnosis_jobs
from callytics.services.diagnosis_jobs import DiagnosisRequest
from callytics.settings import ModelSettings
from tests.e2e.conftest import Farm
from tests.support.chat_server import ChatServer, chat_server
from tests.support.diagnoses import COMPLAINT, FORM, IMAGE_FORM, PHOTO, written
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

VISION = ModelSettings(runtime="openai", model="vision")


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as server:
        server.says(written(FORM))
        yield server


@pytest.fixture
def farm(farm: Farm, server: ChatServer) -> Farm:
    farm.env |= {
        "CALLYTICS_MODELS__DIAGNOSIS_TEXT__SERVER": server.base_url,
        "CALLYTICS_MODELS__DIAGNOSIS_IMAGE__SERVER": server.base_url,
        "CALLYTICS_DIAGNOSIS__TEXT_BUDGET_S": "60",
        "CALLYTICS_DIAGNOSIS__IMAGE_BUDGET_S": "60",
    }
    models = farm.settings.models.model_copy(update={"diagnosis_image": VISION})
    budgets = {"text_budget_s": 60.0, "image_budget_s": 60.0}
    diagnosis = farm.settings.diagnosis.model_copy(update=budgets)
    farm.settings = farm.settings.model_copy(update={"models": models, "diagnosis": diagnosis})
    return farm


def client_of(farm: Farm) -> UUID:
    with unit_of_work(farm.sessions) as session:
        known = session.scalar(select(Client.id).where(Client.name == "desk"))
        if known is not None:
            return known
        client = Client(name="desk")
        session.add(client)
        session.flush()
        return client.id


def ask(farm: Farm, text: str = COMPLAINT, image: PlainImage | None = None) -> UUID:
    request = DiagnosisRequest(
        client_id=client_of(farm), text=text, image=image, language=Language.KOREAN
    )
    taken = diagnosis_jobs.submit(farm.sessions, request, farm.settings)
    farm.send(taken.hints)
    return taken.job_id


def row_of(farm: Farm, job_id: UUID) -> Diagnosis:
    with farm.sessions() as session:
        return Diagnoses(session).owned(client_of(farm), job_id)


def wait_done(farm: Farm, job_id: UUID) -> Diagnosis:
    wait_until(lambda: row_of(farm, job_id).job.status is StageStatus.DONE, 40)
    return row_of(farm, job_id)


def asked(server: ChatServer) -> int:
    """Requests for a diagnosis, warming up apart."""
    return sum("response_format" in request for request in server.asked)


def test_a_worker_judges_descriptions_and_photos(farm: Farm, server: ChatServer) -> None:
    farm.wait_ready(farm.start("workers", "--queues", "callback,diagnosis"))

    described = wait_done(farm, ask(farm))
    server.says(written(IMAGE_FORM))
    shown = wait_done(farm, ask(farm, image=PHOTO))

    assert described.result
    assert described.result["findings"] == FORM["findings"]
    assert shown.result == IMAGE_FORM
    assert [one["model"] for one in server.asked if "response_format" in one][1] == "gpt-4o-mini"


def test_a_diagnosis_whose_worker_is_killed_is_made_once(farm: Farm, server: ChatServer) -> None:
    farm.wait_ready(farm.start("workers", "--queues", "control"))
    farm.beat()
    first = farm.start("workers", "--queues", "diagnosis")
    farm.wait_ready(first)
    server.silent = True
    job_id = ask(farm)
    wait_until(lambda: asked(server) == 1, 30)
    assert row_of(farm, job_id).job.status is StageStatus.RUNNING

    first.send_signal(signal.SIGKILL)
    server.silent = False
    server.released.set()
    farm.start("workers", "--queues", "diagnosis")

    row = wait_done(farm, job_id)
    assert (row.job.attempt, asked(server)) == (2, 2)
    assert row.result
    assert row.result["conditions"] == FORM["conditions"]


def test_a_worker_without_a_model_for_photos_is_ready(farm: Farm, server: ChatServer) -> None:
    del farm.env["CALLYTICS_MODELS__DIAGNOSIS_IMAGE__SERVER"]
    farm.wait_ready(farm.start("workers", "--queues", "diagnosis"))

    assert wait_done(farm, ask(farm)).job.attempt == 1
    photo = ask(farm, image=PHOTO)
    wait_until(lambda: row_of(farm, photo).job.status is StageStatus.FAILED, 20)
    problem = row_of(farm, photo).job.problem
    assert problem
    assert problem["code"] == "image_diagnosis_off"
