import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from callytics.model_files.locate import configured
from callytics.settings import Settings
from tests.unit.cli.conftest import Run


def test_list_shows_where_each_configured_model_is_found(run: Run, tmp_path: Path) -> None:
    listed = json.loads(run("models", "list", "--json", MODEL_DIR=str(tmp_path)).stdout)
    assert [each["task"] for each in listed] == [task for task, _ in configured(Settings())]
    found = {each["task"]: each["found"] for each in listed}
    assert found["punctuate"] == "bundled"
    assert found["transcribe"] == "missing"


def test_list_is_a_line_a_model(run: Run, tmp_path: Path) -> None:
    lines = run("models", "list", MODEL_DIR=str(tmp_path)).stdout.splitlines()
    assert len(lines) == 1 + len(configured(Settings()))


def test_check_fails_where_a_model_is_missing(run: Run, tmp_path: Path) -> None:
    result = run("models", "check", "whisper-base", "--json", MODEL_DIR=str(tmp_path))
    assert result.exit_code == 1
    (checked,) = json.loads(result.stdout)
    assert checked["model"] == "whisper-base"
    assert checked["problem"]


def test_check_succeeds_on_models_that_are_bundled(run: Run) -> None:
    assert run("models", "check", "kiwi").exit_code == 0


def test_export_wants_to_know_the_form(run: Run) -> None:
    result = run("models", "export", "sentiment")
    assert result.exit_code == 2
    assert "--int8" in result.output


def test_export_says_why_a_model_cannot_be_exported(run: Run, tmp_path: Path) -> None:
    result = run("models", "export", "sentiment", "--int8", "--json", MODEL_DIR=str(tmp_path))
    assert result.exit_code == 1
    (problem,) = [line["problem"] for line in json.loads(result.stdout)]
    assert problem["code"] == "model_export_failed"
    assert "--model" in problem["detail"]
    assert [*tmp_path.rglob("*.onnx")] == []


def test_an_export_that_failed_shows_no_table(run: Run, tmp_path: Path) -> None:
    result = run("models", "export", "sentiment", "--int8", MODEL_DIR=str(tmp_path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Error: " in result.stderr


@pytest.mark.parametrize(
    "arguments", [("models", "export", "stt"), ("calls", "export", "x", "--format", "foo")]
)
def test_a_choice_that_there_is_not_is_told_in_plain_words(
    run: Run, arguments: Sequence[str]
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "is not one of" in result.stderr
    assert "Value error" not in result.stderr


def test_a_wrong_setting_is_told_in_plain_words(run: Run) -> None:
    result = run("models", "list", MODELS__TRANSCRIBE__VARIANTS='{"V 2": {}}')
    assert result.exit_code == 1
    assert "MODELS__TRANSCRIBE: a variant cannot be called `V 2`" in " ".join(result.stderr.split())
