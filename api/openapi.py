"""What the OpenAPI document says beside the schemas: errors by code, examples, bodies read by hand."""

import json
from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from api import examples
from api.errors import MEDIA_TYPE, problem_of, status_of
from api.schemas.consultation import BatchAnalysisRequest, NewTurns, QuickSummaryRequest
from api.schemas.diagnosis import DiagnosisFields, NewDiagnosis
from api.schemas.problem import Problem
from api.schemas.requests import NewCall, Options
from api.schemas.sentiment import SentimentBatchRequest, SentimentRequest
from callytics.errors import CallyticsError
from callytics.services.transcripts import TranscriptFormat

TITLE = "Callytics"
DESCRIPTION = """\
Recordings of calls go in; speaker-attributed transcripts with punctuation and sentiment, call metrics
and a one-sentence summary come out.

Every request but those for health carries a fresh `X-Bound-Key`; *Authorize* says how one is made, and
`callytics bound-key` prints one. The text services take an `X-API-Key` in its place, for programs that
cannot sign: `callytics api-keys create` makes one.

Submit a recording with `POST /api/v1/calls`, follow it at its `events_url` or look at its `status_url`.
Every error is a problem document (RFC 9457) whose `code` is stable. Times are UTC, durations seconds.
"""
TAGS = [
    {
        "name": "calls",
        "description": "Submit recordings, follow them, read and correct the results.",
    },
    {
        "name": "consultation",
        "description": "One sentence for the agent's screen within three seconds.",
    },
    {
        "name": "batches",
        "description": "The full analysis of consultations, in batches, called back when done.",
    },
    {
        "name": "sentiment",
        "description": "What texts sound like, for whoever asks: a text service of its own.",
    },
    {
        "name": "files",
        "description": "Batches out of JSONL files, for clients of OpenAI's Batch API.",
    },
    {
        "name": "deliveries",
        "description": "Callbacks: how each one fared, and how to have it sent again.",
    },
    {
        "name": "diagnosis",
        "description": "What a skin lesion may be, by a photo, a description or both. No medical advice.",
    },
    {
        "name": "synchronous",
        "description": "The older paths: one request, answered when all is done.",
    },
    {"name": "health", "description": "What runs, what is ready. No key needed."},
]

READ_BY_HAND: tuple[type[BaseModel], ...] = (
    QuickSummaryRequest,
    NewTurns,
    BatchAnalysisRequest,
    SentimentRequest,
    SentimentBatchRequest,
    NewDiagnosis,
)
"""Bodies that endpoints read by themselves, so that FastAPI does not know of them."""

SCHEMAS = "#/components/schemas/"
_REF = f"{SCHEMAS}{{model}}"

Responses = dict[int | str, dict[str, Any]]


def problems(*kinds: type[CallyticsError]) -> Responses:
    """The documentation of these errors: one response a status, one example a code."""
    by_status: dict[int, list[type[CallyticsError]]] = defaultdict(list)
    for kind in kinds:
        by_status[status_of(kind)].append(kind)
    return {status: _response(status, of_status) for status, of_status in by_status.items()}


def _response(status: int, kinds: list[type[CallyticsError]]) -> dict[str, Any]:
    shown = {
        kind.code: {
            "value": problem_of(kind(), instance="/api/v1/calls", request_id="4bf92f3577b3")
        }
        for kind in kinds
    }
    codes = ", ".join(f"`{kind.code}`" for kind in kinds)
    return {
        "description": f"{HTTPStatus(status).phrase}: {codes}",
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"{SCHEMAS}Problem"}, "examples": shown}},
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
    shown = {name: examples.RESULT[name] for name in fields}
    files = {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in FILE_TYPES.values()}
    return {
        "description": "The transcript in the format asked for",
        "content": {"application/json": {"example": shown}, **files},
    }


def json_body(model: type[BaseModel], shown: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an endpoint that reads it by itself."""
    schema = {"$ref": f"{SCHEMAS}{model.__name__}"}
    content = {"application/json": {"schema": schema, "examples": dict(shown)}}
    return {"requestBody": {"required": True, "content": content}}


def file_form(line: Mapping[str, Any]) -> dict[str, Any]:
    """The form that takes a file of consultations, each of them a `line` like this one."""
    file = {
        "type": "string",
        "format": "binary",
        "description": f"UTF-8 text, a JSON object a line: `{json.dumps(line, ensure_ascii=False)}`",
    }
    fields = {"purpose": {"type": "string", "enum": ["batch"]}, "file": file}
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
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
                    "examples": examples.SUBMISSIONS,
                },
            },
        }
    }


def diagnosis_body() -> dict[str, Any]:
    """The body of a complaint: JSON, or a form with the photo."""
    fields = dict(DiagnosisFields.model_json_schema(ref_template=_REF)["properties"])
    fields["image"] = {
        "type": "string",
        "format": "binary",
        "description": "The photo: JPEG, PNG, WebP, BMP or HEIC.",
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": {"type": "object", "properties": fields}},
                "application/json": {
                    "schema": {"$ref": f"{SCHEMAS}{NewDiagnosis.__name__}"},
                    "examples": examples.DIAGNOSES,
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
    models: tuple[type[BaseModel], ...] = (Problem, *READ_BY_HAND)
    for model in models:
        schema = model.model_json_schema(ref_template=f"{SCHEMAS}{{model}}")
        schemas.update(schema.pop("$defs", {}), **{model.__name__: schema})
    for methods in document["paths"].values():
        for operation in methods.values():
            invalid = operation["responses"].get("422", {})
            if MEDIA_TYPE not in invalid.get("content", {}):
                operation["responses"].pop("422", None)
    return document
