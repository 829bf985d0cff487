"""What the OpenAPI document says beside the schemas: errors by code, examples, bodies read by hand."""

from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from api.errors import MEDIA_TYPE, problem_of, status_of
from api.schemas.calls import NewCall, Options
from api.schemas.problem import Problem
from callytics.errors import CallyticsError
from callytics.services.transcripts import TranscriptFormat

TITLE = "Callytics"
DESCRIPTION = """\
Recordings of calls go in; speaker-attributed transcripts with punctuation and sentiment, call metrics
and a one-sentence summary come out.

Submit a recording with `POST /api/v1/calls`, follow it at its `events_url` or look at its `status_url`.
Every error is a problem document (RFC 9457) whose `code` is stable. Times are UTC, durations seconds.
"""
TAGS = [
    {
        "name": "calls",
        "description": "Submit recordings, follow them, read and correct the results.",
    },
    {
        "name": "synchronous",
        "description": "The older paths: one request, answered when all is done.",
    },
    {"name": "health", "description": "What runs, what is ready. No key needed."},
]

SCHEMAS = "#/components/schemas/"

Responses = dict[int | str, dict[str, Any]]


def problems(*kinds: type[CallyticsError]) -> Responses:
    """The documentation of these errors: one response a status, one example a code."""
    by_status: dict[int, list[type[CallyticsError]]] = defaultdict(list)
    for kind in kinds:
        by_status[status_of(kind)].append(kind)
    return {status: _response(status, of_status) for status, of_status in by_status.items()}


def _response(status: int, kinds: list[type[CallyticsError]]) -> dict[str, Any]:
    examples = {
        kind.code: {
            "value": problem_of(kind(), instance="/api/v1/calls", request_id="4bf92f3577b3")
        }
        for kind in kinds
    }
    codes = ", ".join(f"`{kind.code}`" for kind in kinds)
    return {
        "description": f"{HTTPStatus(status).phrase}: {codes}",
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"{SCHEMAS}Problem"}, "examples": examples}},
    }


CALL_ID = "0b9a6a0e-6f0c-4f0e-9a53-0d6f1f0f7c55"
SUBMITTED = {
    "call_id": CALL_ID,
    "status": "queued",
    "status_url": f"https://callytics.example/api/v1/calls/{CALL_ID}",
    "events_url": f"https://callytics.example/api/v1/calls/{CALL_ID}/events",
}
BY_URL = {
    "audio_url": "https://records.example/2025/09/13/1234.wav",
    "consultation_id": "CL-2025091301234",
    "callback_url": "https://centerlink.example/webhook/calls",
    "priority": "high",
    "language": "ko",
    "channels": {"agent": 0, "customer": 1},
    "metadata": {"branch": "서울"},
}
BY_PATH = {"audio_path": "2025/09/13/1234.wav", "stages": ["punctuate"]}
SPEAKERS: Any = {
    "swap": {"value": {"swap": True}},
    "roles": {"value": {"roles": {"SPEAKER_00": "agent", "SPEAKER_01": "customer"}}},
}
STAGE = {
    "name": "transcribe",
    "status": "done",
    "attempts": 1,
    "queued_at": "2025-09-13T14:02:11.120Z",
    "started_at": "2025-09-13T14:02:11.128Z",
    "finished_at": "2025-09-13T14:02:19.530Z",
    "wait_s": 0.008,
    "run_s": 8.402,
    "model": "whisper-large-v3",
    "revision": "edaa852ec7e145841d8ffdb056a99866b5f0a478",
    "device": "cuda:0",
    "worker": "stt-4711@gpu-1",
    "progress": 1.0,
    "problem": None,
}
EVENTS = """\
id: 1
event: stage
data: {"name":"transcribe","status":"running","attempts":1,"progress":0.4, ...}

id: 2
event: status
data: {"call_id":"0b9a6a0e-6f0c-4f0e-9a53-0d6f1f0f7c55","status":"running","completed_at":null}
"""
RESULT: dict[str, Any] = {
    "call_id": CALL_ID,
    "consultation_id": "CL-2025091301234",
    "status": "completed",
    "duration_s": 61.4,
    "language": "ko",
    "channels": {"agent": 0, "customer": 1},
    "turns": [
        {
            "index": 0,
            "start_s": 0.42,
            "end_s": 3.1,
            "speaker": "CHANNEL_0",
            "role": "agent",
            "role_confidence": 1.0,
            "text": "안녕하세요, 고객센터입니다. 무엇을 도와드릴까요?",
            "sentences": [
                {
                    "text": "안녕하세요, 고객센터입니다.",
                    "sentiment": {"label": "positive", "score": 0.81},
                },
                {"text": "무엇을 도와드릴까요?", "sentiment": {"label": "neutral", "score": 0.74}},
            ],
            "sentiment": {"label": "positive", "score": 0.68},
        }
    ],
    "sentiment": {"label": "neutral", "score": 0.71},
    "metrics": {"silence_s": 7.2},
    "summary": {
        "text": "고객이 사업자 등록 절차를 문의하여 필요 서류와 방법을 안내함",
        "model": "qwen3-4b",
        "seconds": 1.92,
    },
    "stages": [STAGE],
    "created_at": "2025-09-13T14:02:09.310Z",
    "completed_at": "2025-09-13T14:02:27.004Z",
    "priority": "high",
    "metadata": {"branch": "서울"},
}


def example(value: Any, description: str = "Done") -> dict[str, Any]:
    """A response with an example."""
    return {"description": description, "content": {"application/json": {"example": value}}}


FILE_TYPES: Mapping[TranscriptFormat, str] = {
    TranscriptFormat.TXT: "text/plain; charset=utf-8",
    TranscriptFormat.SRT: "application/x-subrip; charset=utf-8",
    TranscriptFormat.VTT: "text/vtt; charset=utf-8",
    TranscriptFormat.CSV: "text/csv; charset=utf-8; header=present",
}


def transcripts() -> dict[str, Any]:
    """The response of the transcript in all its formats."""
    fields = ("call_id", "duration_s", "language", "turns")
    shown = {name: RESULT[name] for name in fields}
    files = {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in FILE_TYPES.values()}
    return {
        "description": "The transcript in the format asked for",
        "content": {"application/json": {"example": shown}, **files},
    }


def submit_body() -> dict[str, Any]:
    """The body of a submission, which is read as it streams in: JSON, or a form with the recording."""
    form = Options.model_json_schema(ref_template=f"{SCHEMAS}{{model}}")
    listed = "May be repeated, or hold several with commas between them. "
    fields = {name: dict(schema) for name, schema in form["properties"].items()}
    for name in ("hotwords", "stages"):
        fields[name]["description"] = listed + fields[name].get("description", "")
    for name in ("channels", "metadata"):
        fields[name]["description"] = "JSON. " + fields[name].get("description", "")
    fields["audio"] = {
        "type": "string",
        "format": "binary",
        "description": "The recording, in any format that ffmpeg decodes. `file` is understood too.",
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {"type": "object", "properties": fields, "required": ["audio"]},
                    "encoding": {
                        "channels": {"contentType": "application/json"},
                        "metadata": {"contentType": "application/json"},
                    },
                },
                "application/json": {
                    "schema": {"$ref": f"{SCHEMAS}{NewCall.__name__}"},
                    "examples": {"audio_url": {"value": BY_URL}, "audio_path": {"value": BY_PATH}},
                },
            },
        }
    }


def install(app: FastAPI) -> None:
    """Let the application's document name our problems where FastAPI would name its own."""
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_our_problems(generate())
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # as FastAPI's documentation does it


def _with_our_problems(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    for foreign in ("HTTPValidationError", "ValidationError"):
        schemas.pop(foreign, None)
    problem = Problem.model_json_schema(ref_template=f"{SCHEMAS}{{model}}")
    schemas.update(problem.pop("$defs"), Problem=problem)
    for methods in document["paths"].values():
        for operation in methods.values():
            invalid = operation["responses"].get("422", {})
            if MEDIA_TYPE not in invalid.get("content", {}):
                operation["responses"].pop("422", None)
    return document
