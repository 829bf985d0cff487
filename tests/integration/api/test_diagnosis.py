"""Diagnoses over HTTP: a photo, a description or both in, a job, an answer or a problem out."""

import base64
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from PIL import Image
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from api.context import ApiContext
from callytics.db.engine import unit_of_work
from callytics.db.models import Diagnosis, Job
from callytics.domain.diagnosis import Language, notice
from callytics.domain.jobs import JobKind
from callytics.domain.scopes import Scope
from callytics.errors import ModelUnavailableError
from callytics.ports import ModelInfo
from callytics.services import upkeep
from callytics.services.diagnosis_jobs import DiagnosisWork
from callytics.settings import DiagnosisSettings, ModelSettings, Settings
from tests.support.api import ApiClient, problem, tone
from tests.support.chat import ScriptedChat
from tests.support.diagnoses import COMPLAINT, FORM, IMAGE_FORM, image_of, written
from tests.support.metrics import count_from, sample_of, whole
from tests.support.photos import HEIC, halves, saved
from tests.support.pipeline import Pipeline

PATH = "/diagnose/skin-lesion-async"
PHOTO = saved(halves(1200, 900))
VISION = ModelSettings(runtime="openai", model="vision", options={"timeout_s": 20})


def answer(messages: Any, schema: Mapping[str, Any] | None) -> str:
    assert schema
    return written(IMAGE_FORM if "image_usable" in schema["properties"] else FORM)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    models = settings.models.model_copy(update={"diagnosis_image": VISION})
    diagnosis = DiagnosisSettings(max_image_bytes=200_000, max_pixels=4_000_000)
    return settings.model_copy(update={"models": models, "diagnosis": diagnosis})


@pytest.fixture
def chat(pipeline: Pipeline, settings: Settings) -> ScriptedChat:
    """One model for both, which whoever runs the pipeline has."""
    chat = ScriptedChat(answer, ModelInfo(name=VISION.model, revision="1", device="server"))
    chats = {"diagnosis_text": chat, "diagnosis_image": chat}
    pipeline.jobs[JobKind.DIAGNOSIS] = DiagnosisWork(chats, settings.models)
    return chat


Ask = Callable[..., httpx2.Response]


@pytest.fixture
def ask(client: ApiClient) -> Ask:
    """A form with `image`, a description or both."""

    def asking(
        image: bytes | None = None, *, key: str | None = None, **fields: str
    ) -> httpx2.Response:
        files = {} if image is None else {"image": ("photo.jpg", image, "image/jpeg")}
        parts = {**{name: (None, value) for name, value in fields.items()}, **files}
        headers = {"Idempotency-Key": key} if key else {}
        return client.post(PATH, files=parts, headers=headers)

    return asking


def job_of(client: ApiClient, response: httpx2.Response) -> Any:
    assert response.status_code == 202, response.text
    return client.get(f"/diagnose/jobs/{response.json()['job_id']}").json()


def count(sessions: sessionmaker[Session]) -> int:
    with sessions() as session:
        return session.scalars(select(func.count()).select_from(Diagnosis)).one()


# --- what is answered --------------------------------------------------------------------------


def test_a_photo_with_a_description_is_judged(
    client: ApiClient, ask: Ask, pipeline: Pipeline, chat: ScriptedChat
) -> None:
    taken = ask(PHOTO, text=COMPLAINT)
    body = taken.json()
    assert (taken.status_code, body["status"], body["cached"]) == (202, "queued", False)
    assert taken.headers["location"] == body["status_url"]
    assert body["status_url"].endswith(f"/diagnose/jobs/{body['job_id']}")
    waiting = client.get(body["status_url"]).json()
    assert (waiting["status"], waiting["result"], waiting["attempts"]) == ("queued", None, 0)
    assert waiting["processing_time"] is None

    pipeline.run()

    found = client.get(body["status_url"]).json()
    assert (found["status"], found["kind"], found["language"]) == ("done", "image", "ko")
    assert found["result"] == IMAGE_FORM
    assert found["notice"] == notice(Language.KOREAN)
    assert (found["attempts"], found["problem"], found["cached"]) == (1, None, False)
    assert 0 <= found["processing_time"] < 30
    [(_system, user)] = chat.asked
    shown = image_of(user)
    assert Image.open(BytesIO(shown)).size == (512, 384)
    assert found["image"] == {
        "format": "JPEG",
        "bytes_before": len(PHOTO),
        "width_before": 1200,
        "height_before": 900,
        "bytes_after": len(shown),
        "width_after": 512,
        "height_after": 384,
    }


def test_a_description_is_judged_in_the_language_asked_for(
    client: ApiClient, pipeline: Pipeline, chat: ScriptedChat
) -> None:
    english = {
        "findings": ["itchy red rash"],
        "urgency_reason": "no fever",
        "next_steps": ["stop the new soap"],
        "warning_signs": ["fever"],
        "conditions": None,
    }
    chat.answer = lambda _messages, _schema: written(FORM, **english)
    taken = client.post(PATH, json={"text": "An itchy rash\0 on my arm", "language": "en"})
    pipeline.run()

    found = job_of(client, taken)
    assert (found["status"], found["kind"], found["image"]) == ("done", "text", None)
    assert found["result"]["findings"] == ["itchy red rash"]
    assert found["notice"] == notice(Language.ENGLISH)
    assert chat.asked[0][-1]["content"] == "An itchy rash on my arm"


@pytest.mark.parametrize("head", ["", "data:image/heic;base64,"])
def test_a_photo_may_come_in_json(
    client: ApiClient, pipeline: Pipeline, chat: ScriptedChat, head: str
) -> None:
    image = head + base64.encodebytes(HEIC.read_bytes()).decode()
    taken = client.post(PATH, json={"image": image})
    pipeline.run()

    found = job_of(client, taken)
    assert (found["status"], found["image"]["format"]) == ("done", "HEIC")


def test_a_browsers_form_without_a_chosen_file_is_a_description(
    client: ApiClient, chat: ScriptedChat
) -> None:
    parts = {"image": ("", b"", "application/octet-stream"), "text": (None, COMPLAINT)}
    found = job_of(client, client.post(PATH, files=parts))
    assert found["kind"] == "text"


def test_nobody_else_sees_it(
    client: ApiClient, new_client: Callable[..., ApiClient], ask: Ask
) -> None:
    job_id = ask(text=COMPLAINT).json()["job_id"]
    other = new_client("other")

    problem(other.get(f"/diagnose/jobs/{job_id}"), 404, "diagnosis_not_found")
    problem(client.get(f"/diagnose/jobs/{uuid4()}"), 404, "diagnosis_not_found")
    problem(client.get("/diagnose/jobs/1"), 404, "diagnosis_not_found")


def test_who_may_only_read_asks_for_nothing(new_client: Callable[..., ApiClient]) -> None:
    reader = new_client("reader", scopes=[Scope.READ])
    problem(reader.post(PATH, json={"text": COMPLAINT}), 403, "forbidden")
    writer = new_client("writer", scopes=[Scope.WRITE])
    job_id = writer.post(PATH, json={"text": COMPLAINT}).json()["job_id"]
    problem(writer.get(f"/diagnose/jobs/{job_id}"), 403, "forbidden")


def test_a_wrong_key_is_told_so(client: ApiClient) -> None:
    wrong = ApiClient(client.http, client.name, "another")
    problem(wrong.post(PATH, json={"text": COMPLAINT}), 401, "invalid_bound_key")


# --- the same again ----------------------------------------------------------------------------


def test_the_same_content_has_the_same_job_while_it_waits_and_when_it_is_done(
    client: ApiClient, ask: Ask, pipeline: Pipeline, chat: ScriptedChat, context: ApiContext
) -> None:
    first = ask(PHOTO, text=COMPLAINT).json()
    waiting = ask(PHOTO, text=f"  {COMPLAINT}\n").json()
    pipeline.run()
    done = ask(PHOTO, text=COMPLAINT).json()

    assert {first["job_id"]} == {waiting["job_id"], done["job_id"]}
    assert [one["cached"] for one in (first, waiting, done)] == [False, True, True]
    assert done["status"] == "done"
    assert (len(chat.asked), count(context.sessions)) == (1, 1)
    assert client.get(done["status_url"]).json()["cached"] is True


def test_another_content_client_or_time_has_a_job_of_its_own(
    ask: Ask, new_client: Callable[..., ApiClient], context: ApiContext
) -> None:
    first = ask(PHOTO, text=COMPLAINT).json()["job_id"]
    others = [
        ask(PHOTO).json(),
        ask(text=COMPLAINT).json(),
        ask(saved(halves(1200, 800)), text=COMPLAINT).json(),
        ask(PHOTO, text=COMPLAINT, language="en").json(),
        new_client("other").post(PATH, json={"text": COMPLAINT}).json(),
    ]
    with unit_of_work(context.sessions) as session:
        session.execute(
            update(Diagnosis).values(received_at=Diagnosis.received_at - timedelta(minutes=31))
        )
    others.append(ask(PHOTO, text=COMPLAINT).json())

    assert not any(one["cached"] for one in others)
    assert len({first, *(one["job_id"] for one in others)}) == 7


def test_one_that_failed_is_made_again(
    client: ApiClient, ask: Ask, pipeline: Pipeline, chat: ScriptedChat, context: ApiContext
) -> None:
    def fails(_messages: Any, _schema: Any) -> str:
        raise ModelUnavailableError

    chat.answer = fails
    failed = ask(text=COMPLAINT)
    for _ in range(3):
        for told in list(pipeline.job_hints):
            pipeline.run_job(told.kind, told.job_id)
            with unit_of_work(context.sessions) as session:
                session.execute(update(Job).values(next_attempt_at=None))
    found = job_of(client, failed)
    assert (found["status"], found["attempts"]) == ("failed", 3)
    assert found["problem"]["code"] == "model_unavailable"
    assert found["processing_time"] is not None

    assert ask(text=COMPLAINT).json()["cached"] is False


def test_many_who_ask_the_same_at_once_get_one_job(client: ApiClient, context: ApiContext) -> None:
    def send(_: int) -> Any:
        return client.post(PATH, json={"text": COMPLAINT}).json()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))

    assert len({one["job_id"] for one in answers}) == 1
    assert sorted(one["cached"] for one in answers) == [False] + [True] * 7
    assert count(context.sessions) == 1


def test_an_idempotency_key_stands_for_one_request(
    ask: Ask, client: ApiClient, context: ApiContext
) -> None:
    first = ask(PHOTO, key="k1")
    with unit_of_work(context.sessions) as session:  # the cache would say it is another's answer
        session.execute(
            update(Diagnosis).values(received_at=Diagnosis.received_at - timedelta(hours=1))
        )
    again = ask(PHOTO, key="k1")

    assert (again.status_code, again.json()) == (202, first.json())
    problem(ask(text=COMPLAINT, key="k1"), 422, "idempotency_key_reused")
    headers = {"Idempotency-Key": "k1"}
    call = client.post("/api/v1/calls", files={"audio": tone()}, headers=headers)
    problem(call, 422, "idempotency_key_reused")
    assert count(context.sessions) == 1


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": " \n\t\u0000\u200b"},
        {"text": "😀🎉"},
        {"text": None, "image": None},
    ],
)
def test_nothing_to_judge_is_refused(client: ApiClient, body: dict[str, Any]) -> None:
    problem(client.post(PATH, json=body), 422, "diagnosis_empty")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": 5}, "body.text"),
        ({"text": ["a"]}, "body.text"),
        ({"text": "a", "image": ""}, "body.image"),
        ({"text": "a", "image": {"url": "http://x"}}, "body.image"),
        ({"text": "a", "language": "xx"}, "body.language"),
        ({"text": "a", "txt": "b"}, "body.txt"),
    ],
)
def test_a_faulty_field_is_named(client: ApiClient, body: dict[str, Any], field: str) -> None:
    found = problem(client.post(PATH, json=body), 422, "invalid_request")
    assert [fault["field"] for fault in found["errors"]] == [field]


@pytest.mark.parametrize(
    "image",
    [
        "no base64!",
        "data:image/png,abc",
        "http://host.example/photo.jpg",
        "data:image/png;base64,@@",
        "가나다라",
        "abc",
    ],
)
def test_an_image_that_is_not_base64_is_refused(client: ApiClient, image: str) -> None:
    found = problem(client.post(PATH, json={"image": image}), 422, "invalid_request")
    assert "base64" in found["detail"]
    assert image not in json.dumps(found, ensure_ascii=False)


@pytest.mark.parametrize(
    ("image", "status", "code"),
    [
        (b"", 422, "image_empty"),
        (b"hello", 415, "not_image"),
        (saved(halves(), "GIF"), 415, "not_image"),
        (PHOTO[: len(PHOTO) // 2], 422, "image_damaged"),
        (b"\0\0\0\x18ftypheic" + bytes(200), 415, "not_image"),
        (saved(halves(2001, 2000), "PNG"), 422, "image_too_many_pixels"),
        (bytes(200_001), 413, "image_too_large"),
    ],
)
def test_an_image_that_cannot_be_looked_at_is_refused(
    client: ApiClient, ask: Ask, context: ApiContext, image: bytes, status: int, code: str
) -> None:
    problem(ask(image, text=COMPLAINT), status, code)
    encoded = base64.b64encode(image).decode()
    if encoded:
        problem(client.post(PATH, json={"image": encoded}), status, code)
    assert count(context.sessions) == 0


def test_a_description_that_is_too_long_is_refused(ask: Ask) -> None:
    assert ask(text="가" * 4000).status_code == 202
    found = problem(ask(text="가" * 4001), 422, "diagnosis_text_too_long")
    assert found["max_chars"] == 4000


def test_a_body_that_is_too_large_is_not_read(client: ApiClient) -> None:
    problem(client.post(PATH, json={"text": "가" * 2_000_000}), 413, "request_too_large")
    problem(client.post(PATH, files={"text": "a" * 2_000_000}), 413, "request_too_large")


def test_other_bodies_are_refused(client: ApiClient) -> None:
    problem(client.post(PATH, content=PHOTO), 415, "unsupported_media_type")
    headers = {"Content-Type": "application/json"}
    problem(client.post(PATH, content=b"{", headers=headers), 400, "malformed_request")
    problem(client.post(PATH, content=b"[]", headers=headers), 422, "invalid_request")
    surrogate = b'{"text": "\\ud83d"}'
    assert client.post(PATH, content=surrogate, headers=headers).status_code in {400, 422}
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    problem(client.post(PATH, content=b"--x\r\n", headers=headers), 400, "malformed_request")


def test_a_form_with_too_much_is_refused(client: ApiClient) -> None:
    two = [("image", ("a.jpg", PHOTO)), ("image", ("b.jpg", PHOTO))]
    problem(client.post(PATH, files=two), 422, "invalid_request")
    twice = [("text", (None, "a")), ("text", (None, "b"))]
    problem(client.post(PATH, files=twice), 422, "invalid_request")
    other = {"text": (None, "a"), "age": (None, "5")}
    found = problem(client.post(PATH, files=other), 422, "invalid_request")
    assert [fault["field"] for fault in found["errors"]] == ["body.age"]


class TestWithoutAModelForImages:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        models = settings.models.model_copy(update={"diagnosis_image": None})
        return settings.model_copy(update={"models": models})

    def test_a_photo_is_refused_and_a_description_taken(
        self, ask: Ask, context: ApiContext
    ) -> None:
        found = problem(ask(PHOTO, text=COMPLAINT), 503, "image_diagnosis_off")
        assert "CALLYTICS_MODELS__DIAGNOSIS_IMAGE__SERVER" in found["detail"]
        assert count(context.sessions) == 0
        assert ask(text=COMPLAINT).status_code == 202


# --- what is counted and forgotten -------------------------------------------------------------


def test_diagnoses_are_counted_by_what_they_rest_on_and_how_they_end(
    ask: Ask, pipeline: Pipeline, chat: ScriptedChat, context: ApiContext
) -> None:
    count_from(context.sessions)
    ask(PHOTO)
    ask(text=COMPLAINT)
    with unit_of_work(context.sessions) as session:
        session.execute(
            update(Diagnosis)
            .where(Diagnosis.image_sizes.is_(None))
            .values(deadline_at=func.clock_timestamp())
        )
    pipeline.run()
    with unit_of_work(context.sessions) as session:
        session.execute(
            update(Job).values(finished_at=func.clock_timestamp() - timedelta(seconds=2))
        )
    shown = whole(lambda: context.metrics.render().decode())

    for kind, outcome in (("image", "done"), ("text", "diagnosis_timed_out")):
        labels = {"kind": kind, "outcome": outcome}
        assert shown[sample_of("callytics_diagnoses_total", labels)] == 1
    assert shown[sample_of("callytics_diagnosis_seconds_count", {"kind": "image"})] == 1


def test_after_a_day_nothing_is_left(ask: Ask, client: ApiClient, context: ApiContext) -> None:
    old, fresh = ask(PHOTO).json(), ask(text=COMPLAINT).json()
    with unit_of_work(context.sessions) as session:
        session.execute(
            update(Diagnosis)
            .where(Diagnosis.image_sizes.is_not(None))
            .values(received_at=Diagnosis.received_at - timedelta(hours=25))
        )
    upkeep.tidy(context.sessions, context.store, context.settings)

    problem(client.get(old["status_url"]), 404, "diagnosis_not_found")
    assert client.get(fresh["status_url"]).status_code == 200
    with context.sessions() as session:
        assert session.scalars(select(func.count()).select_from(Job)).one() == 1
