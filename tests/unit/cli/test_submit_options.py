from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "call.wav"
    path.write_bytes(b"RIFF")
    return str(path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "either files"),
        (["FILE", "--url", "http://x/y.wav"], "either files"),
        (["--url", "http://x/y.wav", "--path", "y.wav"], "either files"),
        (["missing.wav"], "missing.wav"),
        (["FILE", "FILE", "--idempotency-key", "k"], "one recording"),
        (["FILE", "--channels", "agent=0"], "agent=0,customer=1"),
        (["FILE", "--channels", "agent=0,customer=left"], "agent=0,customer=1"),
        (["FILE", "--stages", "transcribe,sing"], "sing"),
        (["FILE", "--metadata", "[1]"], "JSON object"),
        (["FILE", "--metadata", "{"], "JSON object"),
        (["FILE", "--priority", "urgent"], "urgent"),
        (["FILE", "--api-url", "localhost:8000"], "begins with http"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_sent(
    run: Run, file: str, options: list[str], said: str
) -> None:
    result = run("submit", *(file if option == "FILE" else option for option in options))
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""


def test_without_a_secret_the_user_is_told_where_one_comes_from(run: Run, file: str) -> None:
    result = run("submit", file)
    assert result.exit_code == 6
    assert "callytics up" in result.stderr


def test_a_server_that_does_not_answer_is_named(run: Run, file: str) -> None:
    result = run("submit", file, "--api-url", "http://127.0.0.1:9", CLIENT__SECRET="s")
    assert result.exit_code == 6
    assert "http://127.0.0.1:9" in result.stderr
    assert "callytics up" in result.stderr
