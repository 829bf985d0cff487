"""Callback addresses, as an operator looks after them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from callytics.db.deliveries import Deliveries
from callytics.db.endpoints import Endpoints
from callytics.db.models import Endpoint
from callytics.errors import EndpointNotFoundError
from callytics.services.job_work import JobHint


def resume(
    session: Session, endpoint_id: UUID, *, at_once: int
) -> tuple[Endpoint, Sequence[JobHint]]:
    """Have the address called again as if nothing had failed; up to `at_once` of what waits for it goes
    now, the rest follows. What was given up stays so until it is replayed.
    """
    endpoints = Endpoints(session)
    if endpoints.find(endpoint_id) is None:
        raise EndpointNotFoundError
    endpoints.revive([endpoint_id])
    endpoint, _pause = endpoints.lock(endpoint_id)
    waiting = Deliveries(session).call_up(endpoint.origin, at_once)
    return endpoint, [JobHint.of(job) for job in waiting]
