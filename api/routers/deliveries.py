"""Callbacks: seen, and sent again."""

from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from sqlalchemy.orm import Session

from api import openapi
from api.deps import AUTH_ERRORS, Context, Reader, Writer
from api.routers.batches import BatchId
from api.routers.consultation import PREFIX
from api.schemas.deliveries import DeliveryPage, DeliveryQuery, EndpointList
from callytics.db.batches import Batches
from callytics.db.deliveries import Deliveries, DeliveryFilter
from callytics.db.endpoints import Endpoints
from callytics.db.engine import unit_of_work
from callytics.db.models import Delivery
from callytics.errors import (
    BatchNotFoundError,
    DeliveryNotFoundError,
    DeliveryOpenError,
    InvalidRequestError,
)
from callytics.services import delivery
from callytics.services.delivery_views import DeliveryDetail, DeliveryView, EndpointView

router = APIRouter(prefix=PREFIX, tags=["deliveries"], responses=openapi.problems(*AUTH_ERRORS))


async def _delivery_id(delivery_id: Annotated[str, Path(description="The delivery's id.")]) -> UUID:
    try:
        return UUID(delivery_id)
    except ValueError as error:
        raise DeliveryNotFoundError from error


DeliveryId = Annotated[UUID, Depends(_delivery_id)]


@router.get(
    "/deliveries",
    summary="List callbacks, newest first",
    responses=openapi.problems(
        *AUTH_ERRORS, DeliveryNotFoundError, BatchNotFoundError, InvalidRequestError
    ),
)
def list_deliveries(
    context: Context, client_id: Reader, query: Annotated[DeliveryQuery, Query()]
) -> DeliveryPage:
    """`status=dead` lists what was given up."""
    with unit_of_work(context.sessions) as session:
        batch = Batches(session).get(client_id, query.batch_id) if query.batch_id else None
        filters = DeliveryFilter(
            status=query.status,
            batch_id=batch.id if batch else None,
            call_id=query.call_id,
            created_after=query.created_after,
        )
        found = Deliveries(session).page(
            client_id, filters, after=query.after, limit=query.limit + 1
        )
        shown = found[: query.limit]
        return DeliveryPage.of(_views(session, shown), has_more=len(found) > query.limit)


@router.get(
    "/batches/{batch_id}/deliveries",
    summary="A batch's callbacks, oldest first",
    responses=openapi.problems(*AUTH_ERRORS, BatchNotFoundError),
)
def of_batch(context: Context, client_id: Reader, batch_id: BatchId) -> DeliveryPage:
    """One for each run that ended."""
    with unit_of_work(context.sessions) as session:
        batch = Batches(session).get(client_id, batch_id)
        return DeliveryPage.of(_views(session, Deliveries(session).of_batch(batch.id)))


@router.get(
    "/deliveries/{delivery_id}",
    summary="A callback with all its attempts",
    responses=openapi.problems(*AUTH_ERRORS, DeliveryNotFoundError),
)
def show(context: Context, client_id: Reader, delivery_id: DeliveryId) -> DeliveryDetail:
    with unit_of_work(context.sessions) as session:
        found = Deliveries(session).owned(client_id, delivery_id)
        return DeliveryDetail.of(found, batch=_batch_names(session, [found]).get(found.id))


@router.post(
    "/deliveries/{delivery_id}/replay",
    status_code=202,
    summary="Send a callback again",
    responses=openapi.problems(*AUTH_ERRORS, DeliveryNotFoundError, DeliveryOpenError),
)
def replay(context: Context, client_id: Writer, delivery_id: DeliveryId) -> DeliveryDetail:
    """The same bytes under the same id, from the start of the schedule; whether it was given up or
    delivered. Its endpoint is switched on again.
    """
    with unit_of_work(context.sessions) as session:
        hint = delivery.replay(session, client_id, delivery_id)
    context.send([hint])
    return show(context, client_id, delivery_id)


@router.get("/endpoints", summary="Callback addresses, and how they have been doing")
def endpoints(context: Context, client_id: Reader) -> EndpointList:
    with unit_of_work(context.sessions) as session:
        found = Endpoints(session).of_client(client_id)
        return EndpointList(data=[EndpointView.of(endpoint) for endpoint in found])


def _views(session: Session, found: Sequence[Delivery]) -> list[DeliveryView]:
    names = _batch_names(session, found)
    return [DeliveryView.of(one, batch=names.get(one.id)) for one in found]


def _batch_names(session: Session, found: Sequence[Delivery]) -> Mapping[UUID, str]:
    """Delivery -> the name of its batch."""
    names = Batches(session).names([one.batch_id for one in found if one.batch_id])
    return {one.id: names[one.batch_id] for one in found if one.batch_id}
