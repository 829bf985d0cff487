"""The `jobs` table: claims, leases, ends.

All times are the database's (`clock_timestamp()`), so they compare across machines.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Insert, Uuid, and_, bindparam, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from callytics.db.changes import CHANGES, announce
from callytics.db.models import Job
from callytics.db.routes import variant_for
from callytics.domain.job import Priority
from callytics.domain.jobs import JOBS, JobKind
from callytics.domain.stages import StageStatus

_JOB = Job.__table__.columns

# One statement, one round trip. A claim that a crash of PostgreSQL undoes is made again, so its commit
# need not wait for the disk.
_CLAIM = (
    select(Job)
    .from_statement(
        text("""
            UPDATE jobs SET
                status = 'running', attempt = attempt + 1, worker = :worker,
                started_at = clock_timestamp(), lease_until = clock_timestamp() + :lease,
                finished_at = NULL
            WHERE id = :id AND kind = :kind AND variant = :variant AND attempt < attempt_limit
              AND status = 'queued' AND coalesce(next_attempt_at <= clock_timestamp(), true)
            RETURNING *, set_config('synchronous_commit', 'off', true)
        """).columns(*_JOB)
    )
    .execution_options(populate_existing=True)
)

_LOCK = (
    select(Job)
    .where(Job.id == bindparam("id"))
    .with_for_update()
    .execution_options(populate_existing=True)
)

_HOLD = text("""
    SELECT FROM jobs WHERE id = :id AND attempt = :attempt AND status = 'running' FOR UPDATE
""")

_END = text("""
    UPDATE jobs SET
        status = CASE WHEN CAST(:retry_after AS interval) IS NULL THEN :status
                      WHEN attempt < attempt_limit THEN 'queued' ELSE 'failed' END,
        next_attempt_at = clock_timestamp() + CAST(:retry_after AS interval),
        queued_at = CASE WHEN CAST(:retry_after AS interval) IS NULL THEN queued_at
                         ELSE clock_timestamp() END,
        hinted_at = NULL, hints = 0, lease_until = NULL, finished_at = clock_timestamp(),
        problem = :problem
    WHERE id = :id AND attempt = :attempt AND status = 'running'
    RETURNING status, pg_notify(:channel, CAST(id AS text))
""").bindparams(bindparam("problem", type_=JSONB(none_as_null=True)), bindparam("id", type_=Uuid()))

_HAND_BACK = text("""
    UPDATE jobs SET
        status = 'queued', attempt_limit = attempt_limit + 1, lease_until = NULL,
        queued_at = clock_timestamp(), next_attempt_at = NULL, hinted_at = NULL, hints = 0
    WHERE worker = :worker AND status = 'running'
    RETURNING *
""").columns(*_JOB)

# Chosen before anything is updated: a plan may run a subquery of the WHERE again for each row, with the rows
# that it found before passed over as locked, and so find more than the limit.
_OVERDUE = text("""
    WITH due AS MATERIALIZED (
        SELECT id FROM jobs
        WHERE status = 'queued'
          AND coalesce(next_attempt_at <= clock_timestamp(), true)
          AND coalesce(hinted_at + power(2, least(hints - 1, 6)) * CAST(:hint_after_s AS float8)
                       * interval '1 second' <= clock_timestamp(), true)
        -- However many shadows wait for a worker that is away, nothing else waits for them.
        ORDER BY starts_with(kind, 'shadow_'), queued_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE jobs SET hinted_at = clock_timestamp(), hints = hints + 1
    FROM due WHERE jobs.id = due.id
    RETURNING jobs.*
""").columns(*_JOB)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenJobs:
    """How many jobs of a kind are in a state, and how long the oldest of them has been, in seconds."""

    kind: JobKind
    variant: str
    status: StageStatus
    count: int
    oldest_s: float


def insertion(kind: JobKind, **values: Any) -> Insert:
    """The statement that adds a job, queued, and counts it as told to the broker; what `Jobs.add` does,
    for who adds a row beside it in the same round trip.
    """
    return insert(Job.__table__).values(**_queued(kind), **values)  # type: ignore[arg-type]


def _queued(kind: JobKind) -> dict[str, Any]:
    now = func.clock_timestamp()
    return {
        "kind": kind,
        "status": StageStatus.QUEUED,
        "attempt_limit": JOBS[kind].max_attempts,
        "queued_at": now,
        "hinted_at": now,
        "hints": 1,
    }


class Jobs:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self, kind: JobKind, *, priority: Priority = Priority.NORMAL, variant: str | None = None
    ) -> Job:
        """A new job, queued for `variant`, or for the one that its route gives it; the caller tells the
        broker of it after the commit.
        """
        id_ = uuid4()
        chosen = variant or variant_for(self._session, JOBS[kind].queue, id_)
        job = Job(id=id_, priority=priority, variant=chosen, **_queued(kind))
        self._session.add(job)
        self._session.flush()
        return job

    def claim(
        self, job_id: UUID, kind: JobKind, *, variant: str, worker: str, lease: timedelta
    ) -> Job | None:
        """Take the job if it is queued for `variant` and due; None if it is not."""
        claimed: Job | None = self._session.scalar(
            _CLAIM,
            {
                "id": job_id,
                "kind": kind.value,
                "variant": variant,
                "worker": worker,
                "lease": lease,
            },
        )
        return claimed

    def lock(self, job_id: UUID) -> Job | None:
        """The job, locked until the transaction ends. Every change of it starts so."""
        return self._session.scalar(_LOCK, {"id": job_id})

    def hold(self, job: Job) -> bool:
        """Lock the row if the attempt that `job` was claimed for is the running one still."""
        found = self._session.execute(_HOLD, {"id": job.id, "attempt": job.attempt})
        return found.first() is not None

    def is_done(self, job_id: UUID, attempt: int) -> bool:
        """Whether this attempt did the job, and nobody has it done again."""
        found = self._session.scalar(
            select(Job.id).where(
                Job.id == job_id, Job.attempt == attempt, Job.status == StageStatus.DONE
            )
        )
        return found is not None

    def lock_all(self, job_ids: Collection[UUID]) -> Sequence[Job]:
        """These jobs, locked one after the other by id, so that no two transactions wait for each other."""
        return self._session.scalars(
            select(Job)
            .where(Job.id.in_(job_ids))
            .order_by(Job.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).all()

    def renew(self, job_id: UUID, attempt: int, lease: timedelta) -> bool:
        """Prolong the lease; False if the claim is lost."""
        changed = self._session.execute(
            update(Job)
            .where(Job.id == job_id, Job.attempt == attempt, Job.status == StageStatus.RUNNING)
            .values(lease_until=func.clock_timestamp() + lease)
            .returning(Job.id)
        )
        return changed.first() is not None

    def end(
        self,
        job_id: UUID,
        attempt: int,
        status: StageStatus,
        *,
        problem: Mapping[str, Any] | None = None,
        retry_after: timedelta | None = None,
    ) -> StageStatus | None:
        """End a running attempt with `status`, or queue it again `retry_after`, if a try is left.

        Where the job stands then; None if `attempt` is not the running one any more.
        """
        found = self._session.scalar(
            _END,
            {
                "id": job_id,
                "attempt": attempt,
                "status": status.value,
                "problem": dict(problem) if problem else None,
                "retry_after": retry_after,
                "channel": CHANGES,
            },
        )
        return StageStatus(found) if found else None

    def put_off(self, job: Job, delay: timedelta) -> None:
        """Give back a job that was just claimed, for `delay` at least; it does not count as an attempt.

        With no delay at all it counts as told to the broker, which the caller does.
        """
        self._session.execute(
            update(Job)
            .where(Job.id == job.id)
            .values(
                status=StageStatus.QUEUED,
                priority=job.priority,
                attempt_limit=Job.attempt_limit + 1,
                lease_until=None,
                next_attempt_at=func.clock_timestamp() + delay if delay else None,
                hinted_at=None if delay else func.clock_timestamp(),
                hints=0 if delay else 1,
            )
        )
        announce(self._session, job.id)

    def queue(self, job_ids: Collection[UUID], *, again: bool = False) -> None:
        """Have these jobs done; `again`, with as many tries as a fresh one."""
        values: dict[str, Any] = {
            "status": StageStatus.QUEUED,
            "queued_at": func.clock_timestamp(),
            "next_attempt_at": None,
            "hinted_at": func.clock_timestamp(),
            "hints": 1,
            "problem": None,
            "finished_at": None,
        }
        for kind, spec in JOBS.items() if again else ():
            self._session.execute(
                update(Job)
                .where(Job.id.in_(job_ids), Job.kind == kind)
                .values(attempt_limit=Job.attempt + spec.max_attempts)
            )
        self._session.execute(update(Job).where(Job.id.in_(job_ids)).values(values))
        self._route(job_ids)

    def _route(self, job_ids: Collection[UUID]) -> None:
        """Give each of these the variant that its route says."""
        rows = self._session.execute(select(Job.id, Job.kind).where(Job.id.in_(job_ids)))
        chosen: dict[str, list[UUID]] = {}
        for row in rows:
            variant = variant_for(self._session, JOBS[row.kind].queue, row.id)
            chosen.setdefault(variant, []).append(row.id)
        for variant, ids in chosen.items():
            self._session.execute(update(Job).where(Job.id.in_(ids)).values(variant=variant))

    def misrouted(self, variants: Mapping[JobKind, Collection[str]], limit: int) -> Sequence[Job]:
        """Queued jobs, locked, whose variant is none of its kind's `variants`.

        Those that somebody else has locked are left out.
        """
        return self._session.scalars(
            select(Job)
            .where(
                Job.status == StageStatus.QUEUED,
                or_(
                    *(
                        and_(Job.kind == kind, Job.variant.not_in(known))
                        for kind, known in variants.items()
                    )
                ),
            )
            .order_by(Job.queued_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        ).all()

    def move(self, job: Job, variant: str) -> None:
        """Give a queued job to `variant`, at once, with as many tries as a fresh one has; it counts as told
        to the broker, which the caller does.
        """
        job.variant = variant
        job.attempt_limit = max(job.attempt_limit, job.attempt + JOBS[job.kind].max_attempts)
        job.next_attempt_at = None
        job.hinted_at = func.clock_timestamp()
        job.hints = 1

    def give_up(self, job: Job, problem: Mapping[str, Any]) -> None:
        """End a queued job, whose row is locked, that nobody will run in time."""
        job.status = StageStatus.FAILED
        job.finished_at = func.clock_timestamp()
        job.problem = dict(problem)
        announce(self._session, job.id)

    def cancel(self, job_ids: Collection[UUID]) -> None:
        """End what has not ended. A worker that runs one of these notices by its lease."""
        open_states = (StageStatus.WAITING, StageStatus.QUEUED, StageStatus.RUNNING)
        self._session.execute(
            update(Job)
            .where(Job.id.in_(job_ids), Job.status.in_(open_states))
            .values(
                status=StageStatus.CANCELLED,
                finished_at=func.clock_timestamp(),
                lease_until=None,
            )
        )

    def hand_back(self, worker: str) -> Sequence[Job]:
        """Queue again what `worker` is about to leave unfinished; it does not count as an attempt."""
        return self._session.scalars(
            select(Job).from_statement(_HAND_BACK), {"worker": worker}
        ).all()

    def lapsed(self, limit: int) -> Sequence[tuple[UUID, JobKind, int]]:
        """Running jobs whose lease ran out: id, kind, attempt; oldest first."""
        rows = self._session.execute(
            select(Job.id, Job.kind, Job.attempt)
            .where(Job.status == StageStatus.RUNNING, Job.lease_until < func.clock_timestamp())
            .order_by(Job.lease_until)
            .limit(limit)
        )
        return [(row.id, row.kind, row.attempt) for row in rows]

    def count_lapsed(self) -> int:
        """Running jobs whose lease ran out."""
        query = select(func.count()).where(
            Job.status == StageStatus.RUNNING, Job.lease_until < func.clock_timestamp()
        )
        return self._session.scalars(query).one()

    def has_lapsed(self, job_id: UUID) -> bool:
        """Whether the job still runs although its lease ran out."""
        found = self._session.scalar(
            select(Job.id).where(
                Job.id == job_id,
                Job.status == StageStatus.RUNNING,
                Job.lease_until < func.clock_timestamp(),
            )
        )
        return found is not None

    def overdue(self, hint_after_s: float, limit: int) -> Sequence[Job]:
        """Queued jobs that are due and that the broker seems to have forgotten; marks them as told."""
        return self._session.scalars(
            select(Job).from_statement(_OVERDUE), {"hint_after_s": hint_after_s, "limit": limit}
        ).all()

    def done_within(self, window: timedelta) -> Mapping[tuple[JobKind, str], int]:
        """How many jobs of each kind and variant were done in the latest `window`."""
        rows = self._session.execute(
            select(Job.kind, Job.variant, func.count().label("found"))
            .where(
                Job.finished_at > func.clock_timestamp() - window, Job.status == StageStatus.DONE
            )
            .group_by(Job.kind, Job.variant)
        )
        return {(row.kind, row.variant): row.found for row in rows}

    def open(self) -> Sequence[OpenJobs]:
        """What waits for a worker now, and what runs."""
        since = func.coalesce(func.greatest(Job.next_attempt_at, Job.queued_at), Job.queued_at)
        age = func.extract("epoch", func.clock_timestamp() - func.min(since))
        rows = self._session.execute(
            select(
                Job.kind,
                Job.variant,
                Job.status,
                func.count().label("found"),
                age.label("oldest_s"),
            )
            .where(
                Job.status.in_((StageStatus.QUEUED, StageStatus.RUNNING)),
                func.coalesce(Job.next_attempt_at <= func.clock_timestamp(), True),
            )
            .group_by(Job.kind, Job.variant, Job.status)
        )
        return [
            OpenJobs(
                kind=row.kind,
                variant=row.variant,
                status=row.status,
                count=row.found,
                oldest_s=float(row.oldest_s),
            )
            for row in rows
        ]
