import pytest

from callytics.cli.problems import CommandError, ExitCode, ProblemError, explain
from callytics.errors import (
    BatchNotFoundError,
    BatchRunningError,
    CallNotFoundError,
    ConfigurationError,
    DeliveryNotFoundError,
    InvalidBoundKeyError,
    NothingToRerunError,
)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (
            {"title": "No such call", "detail": "Look again.", "code": "call_not_found"},
            "No such call: Look again. (call_not_found)",
        ),
        (
            {"title": "There is no such call", "detail": "There is no such call.", "code": "x"},
            "There is no such call. (x)",
        ),
        (
            {
                "title": "Wrong form",
                "detail": "Wrong form.",
                "code": "invalid_request",
                "errors": [{"field": "body.language", "message": "String should match"}],
            },
            "Wrong form. body.language: String should match (invalid_request)",
        ),
        (None, "The server answered with status 502."),
        (["no", "problem"], "The server answered with status 502."),
    ],
)
def test_a_problem_document_becomes_one_sentence(document: object, sentence: str) -> None:
    assert str(ProblemError(502, document)) == sentence


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, ExitCode.REFUSED),
        (403, ExitCode.REFUSED),
        (404, ExitCode.NOT_FOUND),
        (409, ExitCode.FAILED),
        (503, ExitCode.FAILED),
    ],
)
def test_the_status_of_a_problem_decides_the_exit_code(status: int, code: ExitCode) -> None:
    assert ProblemError(status, {}).exit_code is code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandError("no", ExitCode.UNREACHABLE), ExitCode.UNREACHABLE),
        (CallNotFoundError(), ExitCode.NOT_FOUND),
        (InvalidBoundKeyError(), ExitCode.REFUSED),
        (BatchNotFoundError(), ExitCode.NOT_FOUND),
        (DeliveryNotFoundError(), ExitCode.NOT_FOUND),
        (NothingToRerunError(), ExitCode.NOTHING_TO_DO),
        (BatchRunningError(), ExitCode.FAILED),
        (ConfigurationError(), ExitCode.FAILED),
        (PermissionError(13, "Permission denied", "/x"), ExitCode.FAILED),
    ],
)
def test_each_error_has_its_exit_code(error: Exception, code: ExitCode) -> None:
    assert explain(error)[1] is code


def test_a_file_error_names_the_file() -> None:
    sentence, _ = explain(PermissionError(13, "Permission denied", "/x"))
    assert sentence == "/x: Permission denied"


def test_the_text_of_an_unforeseen_error_is_not_shown() -> None:
    sentence, code = explain(ValueError("postgresql://user:hunter2@host/db"))
    assert "hunter2" not in sentence
    assert "ValueError" in sentence
    assert code is ExitCode.FAILED
