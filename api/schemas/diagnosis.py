"""What clients ask of diagnoses, and what they are shown of them."""

import base64
import binascii
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import Field

from api.schemas.base import StrictSchema
from callytics.db.models import Diagnosis
from callytics.domain.diagnosis import Kind, Language, Likelihood, Urgency, notice
from callytics.domain.stages import StageStatus
from callytics.errors import InvalidRequestError
from callytics.services.schema import Schema


class DiagnosisFields(StrictSchema):
    """What a form has beside the image."""

    text: str | None = None
    """The complaint in words. Control characters are dropped."""

    language: Language = Language.KOREAN
    """Of the answer."""


class NewDiagnosis(DiagnosisFields):
    image: str | None = Field(default=None, min_length=1)
    """The photo as base64, or as a data URL (`data:image/jpeg;base64,...`): JPEG, PNG, WebP, BMP or HEIC."""

    def image_bytes(self) -> bytes | None:
        """Raises InvalidRequestError where the image is not base64."""
        if self.image is None:
            return None
        head, comma, encoded = self.image.partition(",")
        if comma and not (head.startswith("data:") and head.endswith(";base64")):
            raise InvalidRequestError("The field `image` must be base64, or a data URL of base64.")
        try:
            return base64.b64decode("".join((encoded or head).split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidRequestError("The field `image` is not valid base64.") from error


class DiagnosisTaken(Schema):
    job_id: UUID

    status: StageStatus

    status_url: str
    """GET: where it stands, and the diagnosis."""

    cached: bool = False
    """Whether an earlier request with the same content has this job already."""


class ImageSizes(Schema):
    """The photo before and after it was made small for the model."""

    format: str

    bytes_before: int

    width_before: int

    height_before: int

    bytes_after: int

    width_after: int

    height_after: int


class Condition(Schema):
    name: str

    likelihood: Likelihood

    reason: str
    """What of the findings speaks for it."""


class DiagnosisResult(Schema):
    image_usable: bool | None
    """Whether the photo can be judged; null without one. If not, no conditions are named."""

    image_reason: str | None

    findings: list[str]
    """What is said or seen."""

    conditions: list[Condition]
    """What it may be: two to four are asked for; none where there is nothing to conclude from."""

    urgency: Urgency
    """`emergency`: help at once; `soon`: a doctor within days; `routine`: a doctor, no hurry;
    `self_care`: none, as long as no warning sign comes up."""

    urgency_reason: str

    next_steps: list[str]

    warning_signs: list[str]
    """What to see a doctor for at once."""


class DiagnosisJob(Schema):
    job_id: UUID

    status: StageStatus

    kind: Kind
    """What it rests on: `text`, or `image` where there is a photo."""

    language: Language

    result: DiagnosisResult | None
    """Null until the status is `done`."""

    provider: str | None
    """Whose server answered."""

    model: str | None
    """Which model answered."""

    image: ImageSizes | None

    processing_time: float | None
    """Seconds from the request's arrival to the end; null until then."""

    cached: bool
    """Whether a later request with the same content was given this job."""

    attempts: int

    problem: dict[str, Any] | None
    """Why there is no diagnosis, or why another attempt is made: `code` and `detail`."""

    notice: str
    """To be shown with every result."""

    created_at: datetime

    @classmethod
    def of(cls, row: Diagnosis) -> Self:
        job = row.job
        # A job that waits for another attempt has the end of the last one there.
        ended = job.finished_at if job.status in (StageStatus.DONE, StageStatus.FAILED) else None
        took = round((ended - row.received_at).total_seconds(), 3) if ended else None
        return cls(
            job_id=row.id,
            status=job.status,
            kind=row.rests_on,
            language=row.language,
            result=DiagnosisResult.model_validate(row.result) if row.result else None,
            provider=row.provider,
            model=row.model,
            image=ImageSizes.model_validate(row.image_sizes) if row.image_sizes else None,
            processing_time=took,
            cached=row.reused > 0,
            attempts=job.attempt,
            problem=job.problem,
            notice=notice(row.language),
            created_at=row.received_at,
        )
