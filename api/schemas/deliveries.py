"""What clients are shown of callbacks."""

from collections.abc import Sequence
from typing import Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field

from api.schemas.base import StrictSchema
from api.schemas.consultation import BATCH_NAME
from callytics.domain.delivery import DeliveryStatus
from callytics.services.delivery_views import DeliveryView, EndpointView
from callytics.services.schema import Schema


class DeliveryQuery(StrictSchema):
    status: DeliveryStatus | None = None

    batch_id: str | None = Field(default=None, pattern=BATCH_NAME)
    """Only those of this batch."""

    call_id: UUID | None = None
    """Only those of this call."""

    created_after: AwareDatetime | None = None
    """With its offset from UTC: `2025-09-13T00:00:00+09:00`."""

    after: UUID | None = None
    """Begin behind this delivery: the `last_id` of the page before."""

    limit: int = Field(default=20, ge=1, le=100)


class DeliveryPage(Schema):
    object: Literal["list"] = "list"
    data: list[DeliveryView]
    first_id: UUID | None
    last_id: UUID | None
    has_more: bool

    @classmethod
    def of(cls, found: Sequence[DeliveryView], *, has_more: bool = False) -> Self:
        return cls(
            data=list(found),
            first_id=found[0].delivery_id if found else None,
            last_id=found[-1].delivery_id if found else None,
            has_more=has_more,
        )


class EndpointList(Schema):
    object: Literal["list"] = "list"
    data: list[EndpointView]
