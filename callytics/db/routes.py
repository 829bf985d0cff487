"""The `model_routes` table, and what each process remembers of it for a second."""

from collections.abc import Mapping, Sequence
from time import monotonic
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from callytics.db.models import ModelRoute
from callytics.domain.routes import ALONE, FIRST, Route, assign
from callytics.domain.stages import Queue

ROUTE_LOCK = 0x726F7574  # "rout": one switch at a time, and no sweeper that has not seen it

REMEMBERED_S = 1.0
"""What is queued by a route that was changed meanwhile, the sweeper puts right."""


class RouteBook:
    """The routes that count, for all sessions of one sessionmaker."""

    def __init__(self, defaults: Mapping[Queue, Route]) -> None:
        """`defaults` count where no row says otherwise."""
        self._defaults = defaults
        self._known: Mapping[Queue, Route] = {}
        self._good_until = 0.0

    def default(self, queue: Queue) -> Route:
        """What counts where no row says otherwise."""
        return self._defaults.get(queue, ALONE)

    def now(self, session: Session) -> Mapping[Queue, Route]:
        """As they were a second ago at the earliest; mostly without a round trip."""
        return self._known if monotonic() < self._good_until else self.look(session)

    def look(self, session: Session) -> Mapping[Queue, Route]:
        """As they are."""
        rows = ModelRoutes(session).newest()
        said = {Queue(row.queue): route_of(row) for row in rows if row.queue in list(Queue)}
        self._known = {**self._defaults, **said}
        self._good_until = monotonic() + REMEMBERED_S
        return self._known


def route_of(row: ModelRoute) -> Route:
    return Route(weights=row.weights, shadow=row.shadow)


def book_of(session: Session) -> RouteBook:
    book: RouteBook = session.info[RouteBook]
    return book


def route(session: Session, queue: Queue) -> Route:
    return book_of(session).now(session).get(queue, ALONE)


def variant_for(session: Session, queue: Queue, key: UUID) -> str:
    """The variant that is to work on `key` (a call, or a job) in `queue`."""
    weights = route(session, queue).weights
    return FIRST if weights.keys() == {FIRST} else assign(queue, key, weights)


class ModelRoutes:
    def __init__(self, session: Session) -> None:
        self._session = session

    def lock(self) -> None:
        """Until the transaction ends nobody else changes a route, or moves what waits by one."""
        self._session.execute(select(func.pg_advisory_xact_lock(ROUTE_LOCK)))

    def newest(self) -> Sequence[ModelRoute]:
        """The row that counts, of each queue that has one."""
        newest = select(func.max(ModelRoute.id)).group_by(ModelRoute.queue)
        return self._session.scalars(select(ModelRoute).where(ModelRoute.id.in_(newest))).all()

    def changes(self, queue: Queue, count: int) -> Sequence[ModelRoute]:
        """Up to `count` changes that none took back, the one that counts first."""
        undone = select(ModelRoute.undoes).where(ModelRoute.undoes.is_not(None))
        query = select(ModelRoute).where(
            ModelRoute.queue == queue, ModelRoute.undoes.is_(None), ModelRoute.id.not_in(undone)
        )
        return self._session.scalars(query.order_by(ModelRoute.id.desc()).limit(count)).all()

    def counting(self, queue: Queue) -> Route | None:
        """The newest row's; None where there is none."""
        query = select(ModelRoute).where(ModelRoute.queue == queue)
        row = self._session.scalar(query.order_by(ModelRoute.id.desc()).limit(1))
        return route_of(row) if row else None

    def add(self, queue: Queue, route: Route, note: str | None, undoes: int | None = None) -> None:
        self._session.add(
            ModelRoute(
                queue=queue,
                weights=dict(route.weights),
                shadow=route.shadow,
                note=note,
                undoes=undoes,
            )
        )
        self._session.flush()
