"""The transcript alone: as JSON, as text, as subtitles, as a table."""

import csv
import io

import pytest

from callytics.domain.stages import Stage
from callytics.errors import NotAudioError
from tests.support.api import CALLS, ApiClient, problem
from tests.support.pipeline import Pipeline


@pytest.fixture
def call_id(client: ApiClient, pipeline: Pipeline) -> str:
    call_id = client.submit()
    pipeline.run()
    return call_id


def test_json_is_the_default(client: ApiClient, call_id: str) -> None:
    response = client.get(f"{CALLS}/{call_id}/transcript")
    call = client.get(f"{CALLS}/{call_id}").json()

    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        name: call[name] for name in ("call_id", "duration_s", "language", "turns")
    }
    assert client.get(f"{CALLS}/{call_id}/transcript?format=json").json() == response.json()


@pytest.mark.parametrize(
    ("form", "media_type", "begin"),
    [
        ("txt", "text/plain; charset=utf-8", "[00:00:00] agent: 안녕하세요"),
        ("srt", "application/x-subrip; charset=utf-8", "1\n00:00:00,400 --> "),
        ("vtt", "text/vtt; charset=utf-8", "WEBVTT\n\n00:00:00.400 --> "),
        ("csv", "text/csv; charset=utf-8; header=present", "index,start_s,end_s,speaker,role"),
    ],
)
def test_a_transcript_is_a_file(
    client: ApiClient, call_id: str, form: str, media_type: str, begin: str
) -> None:
    response = client.get(f"{CALLS}/{call_id}/transcript", params={"format": form})

    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    name = f'attachment; filename="call-{call_id}.{form}"'
    assert response.headers["content-disposition"] == name
    text = response.content.decode("utf-8")
    assert text.startswith(begin)
    assert "환불이 안 돼요" in text


def test_the_table_has_a_row_for_each_turn(client: ApiClient, call_id: str) -> None:
    response = client.get(f"{CALLS}/{call_id}/transcript", params={"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(response.content.decode("utf-8"))))
    assert [(row["role"], row["sentiment"]) for row in rows] == [
        ("agent", "positive"),
        ("customer", "negative"),
    ]


def test_before_there_is_one_it_is_not_ready(client: ApiClient, pipeline: Pipeline) -> None:
    call_id = client.submit()
    problem(client.get(f"{CALLS}/{call_id}/transcript"), 409, "transcript_not_ready")
    pipeline.fail(Stage.TRANSCRIBE, NotAudioError())
    pipeline.run()
    response = client.get(f"{CALLS}/{call_id}/transcript?format=srt")
    problem(response, 409, "transcript_not_ready")


def test_it_is_there_before_the_call_is_done(client: ApiClient, pipeline: Pipeline) -> None:
    call_id = client.submit()
    pipeline.fail(Stage.PUNCTUATE, NotAudioError())
    pipeline.run()
    assert len(client.get(f"{CALLS}/{call_id}/transcript").json()["turns"]) == 2


def test_a_silent_call_has_an_empty_one(client: ApiClient, pipeline: Pipeline) -> None:
    pipeline.silence()
    call_id = client.submit()
    pipeline.run()
    assert client.get(f"{CALLS}/{call_id}/transcript").json()["turns"] == []
    assert client.get(f"{CALLS}/{call_id}/transcript?format=txt").text == ""


def test_an_unknown_format(client: ApiClient, call_id: str) -> None:
    response = client.get(f"{CALLS}/{call_id}/transcript?format=docx")
    problem(response, 422, "invalid_request")
