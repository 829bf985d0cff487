"""The `endpoints` table: callback addresses, and how they have been doing."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Interval, case, func, select, type_coerce, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from callytics.db.models import Endpoint
from callytics.domain.addresses import origin_of


class Endpoints:
    def __init__(self, session: Session) -> None:
        self._session = session

    def obtain(self, client_id: UUID, url: str) -> UUID:
        """The id of the client's endpoint at `url`, which comes with its first use."""
        found = self._find(client_id, url)
        if found is None:
            # One that is there already is not locked, so that nobody who enqueues waits for an attempt.
            self._session.execute(
                insert(Endpoint)
                .values(client_id=client_id, url=url, origin=origin_of(url))
                .on_conflict_do_nothing(index_elements=["client_id", "url"])
            )
            found = self._find(client_id, url)
        assert found is not None  # noqa: S101 (whoever was quicker has committed it)
        return found

    def _find(self, client_id: UUID, url: str) -> UUID | None:
        return self._session.scalar(
            select(Endpoint.id).where(Endpoint.client_id == client_id, Endpoint.url == url)
        )

    def lock(self, endpoint_id: UUID) -> tuple[Endpoint, timedelta | None]:
        """The endpoint, locked until the transaction ends, and what is left of its pause.

        Every change of an endpoint or of what runs against its origin starts so, after the lock on a job.
        """
        origin = select(Endpoint.origin).where(Endpoint.id == endpoint_id).scalar_subquery()
        key = func.hashtextextended(func.concat("origin:", origin), 0)
        self._session.execute(select(func.pg_advisory_xact_lock(key)))
        left = type_coerce(Endpoint.paused_until - func.clock_timestamp(), Interval)
        endpoint, pause = self._session.execute(
            select(Endpoint, left)
            .where(Endpoint.id == endpoint_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        ).one()
        return endpoint, pause if pause is not None and pause > timedelta(0) else None

    def note_success(self, endpoint_id: UUID) -> None:
        self._change(
            [endpoint_id], failures=0, paused_until=None, last_success_at=func.clock_timestamp()
        )

    def note_failure(
        self, endpoint_id: UUID, *, pause: timedelta | None, disabled_reason: str | None
    ) -> None:
        """One more failure in a row; with `disabled_reason`, the last that anybody tried."""
        now = func.clock_timestamp()
        self._change([endpoint_id], failures=Endpoint.failures + 1, last_failure_at=now)
        if pause is not None:
            # A pause that is longer already stays.
            until = func.greatest(Endpoint.paused_until, now + pause)
            self._change([endpoint_id], paused_until=until)
        if disabled_reason is not None:
            self._change([endpoint_id], disabled_at=now, disabled_reason=disabled_reason)

    def revive(self, endpoint_ids: Collection[UUID]) -> None:
        """Let these be called again as if nothing had ever failed."""
        for endpoint_id in sorted(endpoint_ids):  # one order, so that no two wait for each other
            self.lock(endpoint_id)
        self._change(
            endpoint_ids, failures=0, paused_until=None, disabled_at=None, disabled_reason=None
        )

    def find(self, endpoint_id: UUID) -> Endpoint | None:
        return self._session.get(Endpoint, endpoint_id)

    def all(self) -> Sequence[Endpoint]:
        return self._session.scalars(select(Endpoint).order_by(Endpoint.url)).all()

    def of_client(self, client_id: UUID) -> Sequence[Endpoint]:
        return self._session.scalars(
            select(Endpoint).where(Endpoint.client_id == client_id).order_by(Endpoint.url)
        ).all()

    def standing(self) -> Mapping[str, int]:
        """How many are `ok`, `paused` and `disabled`."""
        disabled = Endpoint.disabled_at.is_not(None)
        paused = Endpoint.paused_until > func.clock_timestamp()
        state = case((disabled, "disabled"), (paused, "paused"), else_="ok")
        rows = self._session.execute(
            select(state.label("state"), func.count().label("found")).group_by("state")
        )
        return {"ok": 0, "paused": 0, "disabled": 0, **{row.state: row.found for row in rows}}

    def _change(self, endpoint_ids: Collection[UUID], **values: object) -> None:
        self._session.execute(update(Endpoint).where(Endpoint.id.in_(endpoint_ids)).values(values))
