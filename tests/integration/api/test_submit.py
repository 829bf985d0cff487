"""Recordings come in: by upload, by path, by address."""

import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session, sessionmaker

from api.context import ApiContext
from callytics.db.models import Call
from callytics.domain.job import Priority
from callytics.domain.stages import EVERY_STAGE, Stage
from tests.support.api import CALLS, ApiClient, problem, tone
from tests.support.pipeline import Pipeline


def row(sessions: sessionmaker[Session], call_id: str) -> Call:
    with sessions() as session:
        return session.get_one(Call, UUID(call_id))


def stored(context: ApiContext, call_id: str) -> bytes:
    return b"".join(context.store.read(f"calls/{call_id}/original"))


def files_kept(context: ApiContext) -> list[Path]:
    """Every file in the store, staged parts included."""
    store = context.settings.state_dir / "audio"
    return [path for path in store.rglob("*") if path.is_file()]


def test_an_upload_is_taken_in(client: ApiClient, context: ApiContext, pipeline: Pipeline) -> None:
    response = client.upload(tone())

    assert response.status_code == 202
    body = response.json()
    url = f"http://testserver{CALLS}/{body['call_id']}"
    assert body == {
        "call_id": body["call_id"],
        "status": "queued",
        "status_url": url,
        "events_url": f"{url}/events",
    }
    assert response.headers["location"] == url
    assert stored(context, body["call_id"]) == tone()
    assert len(files_kept(context)) == 1
    assert [(hint.call_id, hint.stages) for hint in pipeline.hints] == [
        (UUID(body["call_id"]), (Stage.PREPROCESS,))
    ]


def test_all_that_is_asked_for_is_kept(
    client: ApiClient, sessions: sessionmaker[Session], pipeline: Pipeline
) -> None:
    call_id = client.submit(
        consultation_id="CL-2025091301234",
        callback_url="https://centerlink.example/webhook?x=1",
        priority="high",
        language="ko",
        hotwords=["환불", "해지, 위약금"],
        channels=json.dumps({"agent": 1, "customer": 0}),
        stages="punctuate",
        metadata=json.dumps({"branch": "서울", "tags": [1, None, {"a": "\\u0000 is text"}]}),
    )

    call = row(sessions, call_id)
    assert call.consultation_id == "CL-2025091301234"
    assert call.callback_url == "https://centerlink.example/webhook?x=1"
    assert call.priority is Priority.HIGH
    assert call.language == "ko"
    assert call.hotwords == ["환불", "해지", "위약금"]
    assert call.channels == {"agent": 1, "customer": 0}
    assert call.stages == ["preprocess", "diarize", "transcribe", "merge", "punctuate"]
    assert call.details == {"branch": "서울", "tags": [1, None, {"a": "\\u0000 is text"}]}
    assert call.audio_bytes == len(tone())
    assert pipeline.hints[0].priority is Priority.HIGH


def test_everything_is_done_with_a_call_unless_it_asks_for_less(
    client: ApiClient, sessions: sessionmaker[Session]
) -> None:
    assert row(sessions, client.submit()).stages == list(EVERY_STAGE)


def test_the_options_may_follow_the_recording(client: ApiClient) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
        + tone()
        + b'\r\n--b\r\nContent-Disposition: form-data; name="consultation_id"\r\n\r\nCL-1\r\n--b--\r\n'
    )
    response = client.post(
        CALLS, content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    call = client.get(response.headers["location"]).json()
    assert call["consultation_id"] == "CL-1"


@pytest.mark.parametrize("absolute", [True, False])
def test_a_file_below_a_root_is_copied(
    client: ApiClient, context: ApiContext, audio_root: Path, absolute: bool
) -> None:
    file = audio_root / "2025" / "call.wav"
    file.parent.mkdir()
    file.write_bytes(tone())
    path = str(file) if absolute else "2025/call.wav"

    response = client.post(CALLS, json={"audio_path": path})

    assert response.status_code == 202, response.text
    file.unlink()
    assert stored(context, response.json()["call_id"]) == tone()


def test_an_address_is_kept_for_the_first_stage(
    client: ApiClient, sessions: sessionmaker[Session]
) -> None:
    url = "https://public.example/call.wav?token=1"
    response = client.post(CALLS, json={"audio_url": url, "channels": {"agent": 0, "customer": 1}})

    assert response.status_code == 202, response.text
    call = row(sessions, response.json()["call_id"])
    assert (call.audio_url, call.audio_key) == (url, None)


class TestRefused:
    """Each with its own code, and nothing kept."""

    @pytest.fixture(autouse=True)
    def _nothing_is_kept(self, context: ApiContext, client: ApiClient, pipeline: Pipeline) -> Any:
        yield
        assert files_kept(context) == []
        assert client.get(CALLS).json()["data"] == []
        assert pipeline.hints == []

    def test_an_empty_file(self, client: ApiClient) -> None:
        problem(client.upload(b""), 422, "audio_empty")

    @pytest.mark.parametrize(
        "content",
        [b"%PDF-1.7 ...", b"<html></html>", b"hello " * 1000, b"PK\x03\x04" + b"\0" * 900],
    )
    def test_what_is_certainly_no_audio(self, client: ApiClient, content: bytes) -> None:
        problem(client.upload(content), 415, "not_audio")

    def test_an_announced_upload_over_the_limit(self, client: ApiClient) -> None:
        document = problem(client.upload(b"\0" * 2_000_000), 413, "audio_too_large")
        assert document["max_bytes"] == 100_000

    def test_an_upload_that_grows_over_the_limit(self, client: ApiClient) -> None:
        document = problem(client.upload(b"\0" * 200_000), 413, "audio_too_large")
        assert document["max_bytes"] == 100_000

    def test_a_form_without_a_recording(self, client: ApiClient) -> None:
        response = client.post(CALLS, files={"priority": (None, "high")})
        problem(response, 422, "invalid_request")

    def test_two_recordings(self, client: ApiClient) -> None:
        files = [("audio", ("a.wav", tone())), ("file", ("b.wav", tone()))]
        problem(client.post(CALLS, files=files), 422, "invalid_request")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"no form at all",
            b'--b\r\nContent-Disposition: form-data; name="audio"\r\n\r\nRIFF',
            b'--b\r\nContent-Disposition: form-data; name="audio"\r\n\r\n' + tone() + b"\r\n--b",
            b'--b\r\nContent-Disposition: form-data; name="audio"\r\n\r\n'
            + tone()
            + b'\r\n--b\r\nContent-Disposition: form-data; name="priority"\r\n\r\nhi',
        ],
    )
    def test_a_broken_form(self, client: ApiClient, body: bytes) -> None:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        problem(client.post(CALLS, content=body, headers=headers), 400, "malformed_request")

    def test_a_form_without_a_boundary(self, client: ApiClient) -> None:
        headers = {"Content-Type": "multipart/form-data"}
        problem(client.post(CALLS, content=tone(), headers=headers), 400, "malformed_request")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("priority", "urgent"),
            ("language", "korean"),
            ("language", "k\0"),
            ("consultation_id", "x" * 129),
            ("consultation_id", "a\0b"),
            ("hotwords", "x" * 65),
            ("channels", '{"agent": 0}'),
            ("channels", '{"agent": 0, "customer": 0}'),
            ("channels", '{"agent": -1, "customer": 0}'),
            ("channels", "stereo"),
            ("metadata", "[]"),
            ("metadata", '{"a": "\\u0000"}'),
            ("metadata", '{"a": NaN}'),
            ("metadata", json.dumps({"a": "x" * 17_000})),
            ("metadata", "[" * 2000),
            ("callback_url", "http://centerlink.example/"),
            ("callback_url", "https://user:password@centerlink.example/"),
            ("callback_url", "https://"),
            ("callback_url", "https://centerlink.example:port/"),
            ("callback_url", "centerlink"),
            ("nonsense", "1"),
        ],
    )
    def test_a_field_that_is_not_right(self, client: ApiClient, field: str, value: str) -> None:
        document = problem(client.upload(tone(), **{field: value}), 422, "invalid_request")
        named = " ".join([document["detail"], *(e["field"] for e in document.get("errors", []))])
        assert field in named
        assert value not in json.dumps(document) or value in ("1", "[]")

    def test_a_field_twice(self, client: ApiClient) -> None:
        problem(client.upload(tone(), priority=["high", "low"]), 422, "invalid_request")

    def test_a_field_that_is_not_utf_8(self, client: ApiClient) -> None:
        files = [("audio", ("a.wav", tone())), ("consultation_id", (None, b"\xff\xfe"))]
        problem(client.post(CALLS, files=files), 422, "invalid_request")

    def test_a_field_that_is_too_long(self, client: ApiClient) -> None:
        problem(client.upload(tone(), metadata=f'"{"x" * 70_000}"'), 422, "invalid_request")

    def test_too_many_fields(self, client: ApiClient) -> None:
        problem(client.upload(tone(), hotwords=["x"] * 200), 422, "invalid_request")

    def test_an_unknown_stage(self, client: ApiClient) -> None:
        document = problem(client.upload(tone(), stages="merge,translate"), 422, "unknown_stage")
        assert document["known"] == list(EVERY_STAGE)
        body = {"audio_url": "https://public.example/", "stages": ["translate"]}
        problem(client.post(CALLS, json=body), 422, "unknown_stage")

    @pytest.mark.parametrize("kind", ["text/plain", "audio/wav", ""])
    def test_another_content_type(self, client: ApiClient, kind: str) -> None:
        response = client.post(CALLS, content=tone(), headers={"Content-Type": kind})
        problem(response, 415, "unsupported_media_type")

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b'{"audio_url": }', b"\xff", b"[" * 5000, b'{"audio_path": "\\ud800"}'],
    )
    def test_what_is_not_json(self, client: ApiClient, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        problem(client.post(CALLS, content=body, headers=headers), 400, "malformed_request")

    def test_json_over_the_limit(self, client: ApiClient) -> None:
        body = {"audio_path": "a", "consultation_id": "x" * 2**20}
        problem(client.post(CALLS, json=body), 413, "request_too_large")

    @pytest.mark.parametrize(
        "body",
        [
            [],
            {},
            {"audio_url": "https://public.example/a", "audio_path": "a"},
            {"audio_path": ""},
            {"audio_path": "a\0b"},
            {"audio_path": 7},
            {"audio_url": "https://public.example/a", "metadata": {"\0": 1}},
        ],
    )
    def test_json_of_another_form(self, client: ApiClient, body: Any) -> None:
        headers = {"Content-Type": "application/json"}
        response = client.post(CALLS, content=json.dumps(body), headers=headers)
        problem(response, 422, "invalid_request")

    @pytest.mark.parametrize(
        "path", ["/etc/passwd", "../outside.wav", "link.wav", "folder/../../outside.wav", "/"]
    )
    def test_a_path_outside_the_roots(self, client: ApiClient, audio_root: Path, path: str) -> None:
        outside = audio_root.parent / "outside.wav"
        outside.write_bytes(tone())
        (audio_root / "link.wav").symlink_to(outside)
        problem(client.post(CALLS, json={"audio_path": path}), 403, "audio_path_forbidden")

    @pytest.mark.parametrize("path", ["missing.wav", ".", "folder", "pipe", "x" * 4000, "a.wav/b"])
    def test_a_path_that_names_no_readable_file(
        self, client: ApiClient, audio_root: Path, path: str
    ) -> None:
        (audio_root / "folder").mkdir()
        (audio_root / "a.wav").write_bytes(tone())
        os.mkfifo(audio_root / "pipe")
        problem(client.post(CALLS, json={"audio_path": path}), 422, "audio_path_unreadable")

    @pytest.mark.parametrize(
        ("content", "status", "code"),
        [
            (b"", 422, "audio_empty"),
            (b"\0" * 200_000, 413, "audio_too_large"),
            (b"%PDF-1.7", 415, "not_audio"),
        ],
    )
    def test_a_file_that_is_no_recording(
        self, client: ApiClient, audio_root: Path, content: bytes, status: int, code: str
    ) -> None:
        (audio_root / "file").write_bytes(content)
        problem(client.post(CALLS, json={"audio_path": "file"}), status, code)

    @pytest.mark.parametrize(
        "url",
        [
            "https://private.example/call.wav",
            "https://both.example/call.wav",
            "http://127.0.0.1/call.wav",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[64:ff9b::a00:1]/",
            "http://100.64.0.1/",
            "http://0/",
            "file:///etc/passwd",
            "ftp://public.example/call.wav",
            "https://user:password@public.example/call.wav",
            "public.example/call.wav",
            "https://",
        ],
    )
    def test_an_address_that_is_not_public(self, client: ApiClient, url: str) -> None:
        problem(client.post(CALLS, json={"audio_url": url}), 422, "audio_url_forbidden")

    def test_an_address_that_nobody_has(self, client: ApiClient) -> None:
        body = {"audio_url": "https://missing.example/call.wav"}
        problem(client.post(CALLS, json=body), 422, "audio_url_unreachable")
