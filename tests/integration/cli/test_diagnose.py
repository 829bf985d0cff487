import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from callytics.domain.diagnosis import Language, notice
from callytics.domain.jobs import JobKind
from callytics.ports import ModelInfo
from callytics.services.diagnosis_jobs import DiagnosisWork
from callytics.settings import ModelSettings, Settings
from tests.integration.cli.conftest import Run
from tests.support.chat import ScriptedChat
from tests.support.diagnoses import COMPLAINT, FORM, IMAGE_FORM, written
from tests.support.photos import halves, saved
from tests.support.pipeline import Pipeline


@pytest.fixture
def settings(settings: Settings) -> Settings:
    vision = ModelSettings(runtime="openai", model="vision")
    models = settings.models.model_copy(update={"diagnosis_image": vision})
    return settings.model_copy(update={"models": models})


@pytest.fixture(autouse=True)
def chat(pipeline: Pipeline, settings: Settings) -> ScriptedChat:
    def answer(_messages: Any, schema: Mapping[str, Any] | None) -> str:
        assert schema
        return written(IMAGE_FORM if "image_usable" in schema["properties"] else FORM)

    text = settings.models.diagnosis_text.model
    chat = ScriptedChat(answer, ModelInfo(name=text, revision="1", device="server"))
    chats = {"diagnosis_text": chat, "diagnosis_image": chat}
    pipeline.jobs[JobKind.DIAGNOSIS] = DiagnosisWork(chats, settings.models)
    return chat


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "photo.png"
    path.write_bytes(saved(halves(), "PNG"))
    return str(path)


def test_a_photo_and_a_description_are_judged(call: Run, photo: str) -> None:
    result = call("diagnose", "--image", photo, "--text", COMPLAINT, "--wait", "--json")
    found = json.loads(result.stdout)

    assert result.exit_code == 0
    assert (found["status"], found["kind"], found["result"]) == ("done", "image", IMAGE_FORM)


def test_a_person_reads_what_was_found(call: Run) -> None:
    result = call("diagnose", "--text", COMPLAINT, "--wait")

    assert result.exit_code == 0
    for said in ("routine: 열과 진물이 없음", "접촉성 피부염", "high", "새로 쓴 세제 중단", "고열"):
        assert said in result.stdout
    assert notice(Language.KOREAN) in result.stderr


def test_a_photo_that_cannot_be_judged_is_said_to_be_one(
    call: Run, photo: str, chat: ScriptedChat
) -> None:
    unclear = written(IMAGE_FORM, image_usable=False, image_reason="초점이 맞지 않음")
    chat.answer = lambda _messages, _schema: unclear
    result = call("diagnose", "--image", photo, "--wait")

    assert "The photo cannot be judged: 초점이 맞지 않음" in result.stdout
    assert "접촉성 피부염" not in result.stdout


def test_without_waiting_the_id_is_printed_and_the_same_again_has_the_same(call: Run) -> None:
    first, again = (call("diagnose", "--text", COMPLAINT) for _ in range(2))

    assert first.stdout == again.stdout
    assert len(first.stdout.strip()) == 36


def test_what_the_server_refuses_is_told(call: Run, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no photo")
    result = call("diagnose", "--image", str(tmp_path / "note.txt"))

    assert result.exit_code == 1
    assert "not_image" in result.stderr


def test_nothing_at_all_is_wrong_usage(call: Run) -> None:
    assert call("diagnose").exit_code == 2
