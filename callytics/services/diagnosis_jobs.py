"""Diagnoses as jobs: taken in, found again where the same was asked before, made, forgotten."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from callytics.db.diagnoses import Diagnoses
from callytics.db.engine import unit_of_work
from callytics.db.idempotency import IdempotencyKeys
from callytics.db.jobs import Jobs
from callytics.db.models import Job
from callytics.domain.diagnosis import (
    DIAGNOSIS_PROMPT_VERSION,
    Complaint,
    Kind,
    Language,
)
from callytics.domain.image import PlainImage
from callytics.domain.jobs import JobKind
from callytics.domain.stages import StageStatus
from callytics.domain.text_cleaning import visible
from callytics.errors import (
    DiagnosisEmptyError,
    DiagnosisTextTooLongError,
    DiagnosisTimedOutError,
    IdempotencyKeyReusedError,
    ImageDiagnosisOffError,
    ModelUnavailableError,
)
from callytics.ports import ChatModel, Progress
from callytics.services import providers
from callytics.services.diagnosis import Diagnosed, DiagnosisOptions, diagnose
from callytics.services.job_work import End, JobHint
from callytics.settings import DiagnosisSettings, ModelSettings, ModelsSettings, Settings

LEAST_S = 0.5
"""With less time left no model is asked any more."""

UNTAKEN = timedelta(minutes=1)
"""So long after its time a job that waits is ended without a worker; one that lives does it at once."""

TASKS: Mapping[Kind, str] = {Kind.TEXT: "diagnosis_text", Kind.IMAGE: "diagnosis_image"}
"""Which model (a field of ModelsSettings) judges what."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiagnosisRequest:
    client_id: UUID
    text: str | None
    image: PlainImage | None
    language: Language
    idempotency_key: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """The job that has, or will have, the diagnosis; `cached` if an earlier request has made it."""

    job_id: UUID
    cached: bool
    hints: Sequence[JobHint] = ()


def submit(sessions: sessionmaker[Session], request: DiagnosisRequest, settings: Settings) -> Taken:
    """Have the complaint judged, once for the same content of a client within the cache's time.

    Raises DiagnosisEmptyError, DiagnosisTextTooLongError, ImageDiagnosisOffError,
    IdempotencyKeyReusedError.
    """
    complaint = _complaint(request, settings.diagnosis)
    content = _content_hash(complaint, settings.models)
    with unit_of_work(sessions) as session:
        diagnoses = Diagnoses(session)
        diagnoses.serialise(request.client_id, content)
        earlier = _earlier(session, request, content, settings)
        if earlier is not None:
            return earlier
        by = _answering(session, TASKS[complaint.kind], settings)
        same = diagnoses.reuse(
            request.client_id,
            content,
            timedelta(seconds=settings.diagnosis.cache_ttl_s),
            by=by,
            least=timedelta(seconds=LEAST_S),
        )
        if same is not None:
            taken = Taken(job_id=same.id, cached=True)
        else:
            job = Jobs(session).add(JobKind.DIAGNOSIS)
            diagnoses.add(
                job,
                request.client_id,
                complaint,
                content_hash=content,
                image_sizes=_sizes(request.image) if request.image else None,
                budget=_budget(complaint.kind, settings.diagnosis),
            )
            taken = Taken(job_id=job.id, cached=False, hints=[JobHint.of(job)])
        _remember(session, request, content, taken)
        return taken


def _answering(session: Session, task: str, settings: Settings) -> Mapping[str, str]:
    """Provider -> what it calls its model, of those that answer at this moment."""
    order = providers.order_now(session, task, settings)
    models = providers.model_names(task, settings)
    return {name: model for name, model in models.items() if name in order}


def _complaint(request: DiagnosisRequest, settings: DiagnosisSettings) -> Complaint:
    text = visible(request.text or "")
    if len(text) > settings.max_chars:
        raise DiagnosisTextTooLongError(max_chars=settings.max_chars)
    if request.image is None and not any(letter.isalnum() for letter in text):
        raise DiagnosisEmptyError
    jpeg = request.image.jpeg if request.image else None
    return Complaint(text=text or None, language=request.language, jpeg=jpeg)


def _content_hash(complaint: Complaint, models: ModelsSettings) -> str:
    """SHA-256 over all that a diagnosis depends on; raises ImageDiagnosisOffError."""
    model: ModelSettings | None = getattr(models, TASKS[complaint.kind])
    if model is None:
        raise ImageDiagnosisOffError
    parts = [
        hashlib.sha256(complaint.jpeg).hexdigest() if complaint.jpeg else None,
        complaint.text,
        complaint.language,
        DIAGNOSIS_PROMPT_VERSION,
        model.model_dump(mode="json"),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _budget(kind: Kind, settings: DiagnosisSettings) -> timedelta:
    seconds = settings.text_budget_s if kind is Kind.TEXT else settings.image_budget_s
    return timedelta(seconds=seconds)


def _sizes(image: PlainImage) -> dict[str, Any]:
    return {
        "format": image.source_format,
        "bytes_before": image.source_bytes,
        "width_before": image.source_width,
        "height_before": image.source_height,
        "bytes_after": len(image.jpeg),
        "width_after": image.width,
        "height_after": image.height,
    }


def _earlier(
    session: Session, request: DiagnosisRequest, content: str, settings: Settings
) -> Taken | None:
    """What this Idempotency-Key was answered with."""
    if request.idempotency_key is None:
        return None
    ttl = timedelta(hours=settings.api.idempotency_ttl_h)
    known = IdempotencyKeys(session).find(request.client_id, request.idempotency_key, ttl)
    if known is None:
        return None
    if known.request_hash != content or known.answer is None:
        raise IdempotencyKeyReusedError
    return Taken(job_id=UUID(known.answer["job_id"]), cached=known.answer["cached"])


def _remember(session: Session, request: DiagnosisRequest, content: str, taken: Taken) -> None:
    """Tie the request's Idempotency-Key, if it has one, to its answer."""
    if request.idempotency_key is None:
        return
    answer = {"job_id": str(taken.job_id), "cached": taken.cached}
    claimed = IdempotencyKeys(session).claim(
        request.client_id, request.idempotency_key, content, answer=answer
    )
    if not claimed:  # by a request with another content, at this very moment
        raise IdempotencyKeyReusedError


@dataclass(frozen=True, kw_only=True, slots=True)
class _ToDiagnose:
    complaint: Complaint
    options: DiagnosisOptions
    left_s: float


class DiagnosisWork:
    kind = JobKind.DIAGNOSIS

    def __init__(self, chats: Mapping[str, ChatModel], models: ModelsSettings) -> None:
        """`chats` by task; one that is missing may come later."""
        self._chats = chats
        self._models: Mapping[Kind, ModelSettings | None] = {
            kind: getattr(models, task) for kind, task in TASKS.items()
        }

    def read(self, session: Session, job: Job) -> _ToDiagnose | End:
        complaint, left_s = Diagnoses(session).to_make(job.id)
        if left_s < LEAST_S:
            return _failed(DiagnosisTimedOutError(**_after(job)))
        model = self._models[complaint.kind]
        if model is None:
            return _failed(ImageDiagnosisOffError())
        options = DiagnosisOptions.of(model.options)
        return _ToDiagnose(complaint=complaint, options=options, left_s=left_s)

    def compute(self, inputs: _ToDiagnose, progress: Progress) -> Diagnosed:  # noqa: ARG002
        kind = inputs.complaint.kind
        chat = self._chats.get(TASKS[kind])
        if chat is None:
            raise ModelUnavailableError(
                f"The model for a diagnosis by {kind} is not loaded here yet."
            )
        return diagnose(chat, inputs.complaint, inputs.options, left_s=inputs.left_s)

    def write(self, session: Session, job: Job, found: Diagnosed) -> End:
        answer = found.answer
        Diagnoses(session).store(
            job.id,
            result=dict(found.result),
            provider=answer.provider or None,
            model=answer.model,
            revision=answer.revision or None,
            prompt_version=DIAGNOSIS_PROMPT_VERSION,
            seconds=answer.seconds,
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            cost_usd=answer.cost_usd,
        )
        return End()


def give_up(session: Session, limit: int) -> int:
    """End what no worker took in its time; how many those were."""
    left = Diagnoses(session).left(UNTAKEN, limit)
    for job in left:
        Jobs(session).give_up(job, DiagnosisTimedOutError(**_after(job)).as_problem())
    return len(left)


def _failed(problem: DiagnosisTimedOutError | ImageDiagnosisOffError) -> End:
    return End(status=StageStatus.FAILED, problem=problem)


def _after(job: Job) -> dict[str, Any]:
    """What the attempt before this one met."""
    return {"last_problem": job.problem} if job.problem else {}
