"""Switching between variants of a model: a new route, and what waits moves along with it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from callytics.db.calls import Calls
from callytics.db.jobs import Jobs
from callytics.db.routes import ModelRoutes, book_of, route_of
from callytics.db.stage_runs import QueuedStage, StageRuns
from callytics.db.variant_stats import VariantStats
from callytics.domain.jobs import JOBS, SHADOW_KINDS
from callytics.domain.routes import ALONE, FIRST, MODEL_OF, Lane, Route, assign
from callytics.domain.stages import PIPELINE, SPECS, Queue
from callytics.errors import InvalidRouteError, NoEarlierRouteError, VariantNotReadyError
from callytics.services.health import IDLE, QueueHealth, readiness
from callytics.services.job_work import JobHint
from callytics.services.stage import AnyHint, Hint, hint_for
from callytics.settings import ModelsSettings

log = structlog.get_logger(__name__)

CHUNK = 500
"""Rows that one statement moves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Switched:
    changed: bool
    """False: the newest row said the same already."""
    hints: Sequence[AnyHint]
    """Of what moved, to send after the commit."""


def switch(
    session: Session,
    queue: Queue,
    route: Route,
    models: ModelsSettings,
    *,
    note: str | None = None,
    force: bool = False,
) -> Switched:
    """Let `route` count from now on, and move what waits for a variant that it gives no weight.

    Where the newest row says the same already none is added, so that a rollback takes back what changed
    something.

    What runs ends where it runs. Raises InvalidRouteError for a variant that neither the settings nor a
    living worker know, and for a shadow that would repeat nothing; unless `force`, VariantNotReadyError
    for a variant that no worker is ready for.
    """
    if route.variants == (route.shadow,):
        raise InvalidRouteError(
            f"{route.shadow} does all of the work, so as the shadow it would repeat nothing: name another "
            "variant for one of the two."
        )
    ModelRoutes(session).lock()
    _check(session, queue, route, models, force=force)
    changed = route != ModelRoutes(session).counting(queue)
    if changed:
        _set(session, queue, route, note)
    return Switched(changed=changed, hints=_move_all(session))


def _set(
    session: Session, queue: Queue, route: Route, note: str | None, undoes: int | None = None
) -> None:
    ModelRoutes(session).add(queue, route, note, undoes)
    log.info("route_set", queue=queue.value, weights=dict(route.weights), shadow=route.shadow)


def _move_all(session: Session) -> Sequence[AnyHint]:
    hints: list[AnyHint] = []
    while moved := move(session, CHUNK):
        hints += moved
    return hints


def rollback(
    session: Session, queue: Queue, models: ModelsSettings, *, force: bool = False
) -> tuple[Route, Sequence[AnyHint]]:
    """Take back the newest change that none took back yet: of two in a row the second goes further back.

    Raises NoEarlierRouteError if nothing else counted before that change, and what `switch` raises.
    """
    ModelRoutes(session).lock()
    changes = ModelRoutes(session).changes(queue, 2)
    route = route_of(changes[1]) if len(changes) > 1 else models.of(queue).route
    if not changes or route == route_of(changes[0]):
        raise NoEarlierRouteError
    _check(session, queue, route, models, force=force)
    _set(session, queue, route, f"rolled back from route {changes[0].id}", changes[0].id)
    return route, _move_all(session)


def _check(
    session: Session, queue: Queue, route: Route, models: ModelsSettings, *, force: bool
) -> None:
    found = readiness(session).queues
    _refuse(queue, _strange(queue, route.named, models, found))
    lanes = [str(Lane(queue, name)) for name in route.named]
    unready = [lane for lane in lanes if not found.get(lane, IDLE).ready]
    if unready and not force:
        raise VariantNotReadyError(
            f"No worker is ready for {', '.join(unready)}: start one (callytics worker --queues "
            f"{unready[0]}), or use --force and let the work wait for it."
        )


def check_known(
    session: Session, queue: Queue, variants: Sequence[str], models: ModelsSettings
) -> None:
    """Raises InvalidRouteError for one that neither the settings, a living worker nor any run know."""
    strange = _strange(queue, variants, models, readiness(session).queues)
    runs = VariantStats(session)
    _refuse(queue, [name for name in strange if not runs.has_any(queue, name)])


def _strange(
    queue: Queue,
    variants: Sequence[str],
    models: ModelsSettings,
    found: Mapping[str, QueueHealth],
) -> Sequence[str]:
    """Those that neither the settings nor a living worker know."""
    known = {FIRST, *models.of(queue).variants}
    return [
        name
        for name in variants
        if name not in known and not found.get(str(Lane(queue, name)), IDLE).workers
    ]


def _refuse(queue: Queue, strange: Sequence[str]) -> None:
    if strange:
        raise InvalidRouteError(
            f"No variant of {MODEL_OF[queue]} is called {', '.join(strange)}: name it in the settings, "
            "or start its worker first."
        )


def move(session: Session, limit: int) -> Sequence[AnyHint]:
    """Give up to so many stages, and jobs, that wait for a variant without weight to one that has some.

    Shadow runs that wait for a variant with no part in the route are cancelled. Returns the hints to send
    after the commit.
    """
    ModelRoutes(session).lock()
    routes = book_of(session).look(session)
    _cancel_shadows(session, routes, limit)
    return [*_move_stages(session, routes, limit), *_move_jobs(session, routes, limit)]


def _move_stages(session: Session, routes: Mapping[Queue, Route], limit: int) -> Sequence[AnyHint]:
    runs = StageRuns(session)
    variants = {spec.stage: _of(routes, spec.queue).variants for spec in PIPELINE}
    moved = [
        QueuedStage(call_id=call_id, stage=stage, variant=_choose(routes, queue, call_id))
        for call_id, stage in runs.misrouted(variants, limit)
        for queue in [SPECS[stage].queue]
    ]
    if moved:
        runs.move(moved)
    return hints_of(session, moved)


def _move_jobs(session: Session, routes: Mapping[Queue, Route], limit: int) -> Sequence[AnyHint]:
    jobs = Jobs(session)
    own = {kind: spec.queue for kind, spec in JOBS.items() if kind not in SHADOW_KINDS}
    variants = {kind: _of(routes, queue).variants for kind, queue in own.items()}
    moved = jobs.misrouted(variants, limit)
    for job in moved:
        jobs.move(job, _choose(routes, own[job.kind], job.id))
    session.flush()
    return [JobHint.of(job) for job in moved]


def _cancel_shadows(session: Session, routes: Mapping[Queue, Route], limit: int) -> None:
    jobs = Jobs(session)
    variants = {kind: _of(routes, JOBS[kind].queue).named for kind in SHADOW_KINDS}
    if idle := jobs.misrouted(variants, limit):
        jobs.cancel([job.id for job in idle])


def _of(routes: Mapping[Queue, Route], queue: Queue) -> Route:
    return routes.get(queue, ALONE)


def _choose(routes: Mapping[Queue, Route], queue: Queue, key: UUID) -> str:
    return assign(queue, key, _of(routes, queue).weights)


def hints_of(session: Session, queued: Collection[QueuedStage]) -> Sequence[Hint]:
    """What the broker is told of these."""
    calls = Calls(session).these({each.call_id for each in queued})
    return [
        hint_for(calls[each.call_id], each.stage, {each.stage: each.variant}) for each in queued
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneState:
    """One variant of a queue: what it is given, by its own share (0..1), and how its workers are."""

    lane: Lane
    share: float
    shadow: bool
    health: QueueHealth


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteState:
    """What counts for a queue; `since` None: what the settings say, as no route was ever set."""

    queue: Queue
    route: Route
    since: datetime | None
    note: str | None
    lanes: Sequence[LaneState]


def standing(session: Session, models: ModelsSettings) -> Sequence[RouteState]:
    """The route of every queue whose work has a model."""
    rows = {row.queue: row for row in ModelRoutes(session).newest()}
    routes = book_of(session).look(session)
    found = readiness(session).queues
    states = []
    for queue in MODEL_OF:
        route, row = _of(routes, queue), rows.get(queue)
        names = dict.fromkeys([FIRST, *models.of(queue).variants, *route.named])
        states.append(
            RouteState(
                queue=queue,
                route=route,
                since=row.created_at if row else None,
                note=row.note if row else None,
                lanes=[_lane_state(Lane(queue, name), route, found) for name in names],
            )
        )
    return states


def _lane_state(lane: Lane, route: Route, found: Mapping[str, QueueHealth]) -> LaneState:
    weight = route.weights.get(lane.variant, 0)
    return LaneState(
        lane=lane,
        share=weight / sum(route.weights.values()),
        shadow=lane.variant == route.shadow,
        health=found.get(str(lane), IDLE),
    )
