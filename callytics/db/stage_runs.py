"""The `stage_runs` table and its log, `stage_attempts`.

All times are the database's (`clock_timestamp()`), so they compare across machines.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, and_, bindparam, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from callytics.db.changes import CHANGES
from callytics.db.models import Call, StageAttempt, StageRun
from callytics.domain.stages import SPECS, Stage, StageStatus
from callytics.errors import CallyticsError
from callytics.ports import Computed

_CALL = Call.__table__.columns

# One statement, one round trip. The call's row is locked first, as everywhere (Calls.lock_or_none).
# A stage that this very worker left running belongs to a child that died: a worker that runs one stage
# at a time takes it over at once.
_CLAIM = text(f"""
    WITH call AS (
        SELECT * FROM calls WHERE id = :call_id FOR UPDATE
    ), run AS (
        UPDATE stage_runs SET
            status = 'running', attempt = attempt + 1, worker = :worker,
            started_at = clock_timestamp(), lease_until = clock_timestamp() + :lease,
            finished_at = NULL, progress = NULL,
            -- What is taken over did not wait.
            queued_at = CASE WHEN status = 'queued' THEN queued_at ELSE clock_timestamp() END
        FROM (SELECT id FROM call) AS locked
        WHERE call_id = locked.id AND stage = :stage AND variant = :variant
          AND attempt < attempt_limit
          AND (status = 'queued' AND coalesce(next_attempt_at <= clock_timestamp(), true)
               OR status = 'running' AND worker = :worker AND :exclusive)
        RETURNING call_id, stage, attempt, worker, started_at, variant,
            greatest(0, extract(epoch FROM started_at - greatest(queued_at, next_attempt_at)))
                AS wait_s
    ), log AS (
        INSERT INTO stage_attempts (call_id, stage, attempt, worker, started_at, variant, wait_s)
        SELECT call_id, stage, attempt, worker, started_at, variant, wait_s FROM run
    ), lost AS (
        UPDATE stage_attempts AS log SET finished_at = run.started_at, outcome = 'worker_lost'
        FROM run
        WHERE log.call_id = run.call_id AND log.stage = run.stage AND log.attempt < run.attempt
          AND log.finished_at IS NULL
    ), started AS (
        UPDATE calls SET status = 'running' FROM run WHERE id = run.call_id AND status = 'queued'
    )
    SELECT {", ".join(f"call.{column.name}" for column in _CALL)}, run.attempt,
           CAST(run.wait_s AS float8) AS wait_s,
           pg_notify(:channel, call_id::text),
           -- A claim that a crash of PostgreSQL undoes is made again: no need to wait for the disk.
           set_config('synchronous_commit', 'off', true)
    FROM run JOIN call ON call.id = run.call_id
""").columns(*_CALL, StageRun.attempt, StageAttempt.wait_s)  # noqa: S608 (names of columns)

# What this statement selects is what stood before it, but for the finished stage itself.
_FINISH = text("""
    WITH run AS (
        UPDATE stage_runs SET
            status = 'done', finished_at = clock_timestamp(), progress = 1, problem = NULL,
            lease_until = NULL, output = :output, model = :model, revision = :revision,
            device = :device, model_settings = :model_settings, audio_s = :audio_s
        WHERE call_id = :call_id AND stage = :stage AND attempt = :attempt AND status = 'running'
        RETURNING call_id, stage, attempt, finished_at
    ), log AS (
        UPDATE stage_attempts AS log
        SET finished_at = run.finished_at, outcome = 'done', audio_s = :audio_s
        FROM run
        WHERE log.call_id = run.call_id AND log.stage = run.stage AND log.attempt = run.attempt
    )
    SELECT found.stage, CASE WHEN found.stage = run.stage THEN 'done' ELSE found.status END AS status
    FROM stage_runs AS found JOIN run ON found.call_id = run.call_id
""").bindparams(bindparam("output", type_=JSONB), bindparam("model_settings", type_=JSONB))

_FAIL = text("""
    WITH run AS (
        UPDATE stage_runs SET
            status = CASE WHEN CAST(:retry_after AS interval) IS NOT NULL AND attempt < attempt_limit
                          THEN 'queued' ELSE 'failed' END,
            next_attempt_at = clock_timestamp() + :retry_after,
            queued_at = clock_timestamp(), hinted_at = NULL, hints = 0,
            finished_at = clock_timestamp(), lease_until = NULL, problem = :problem
        WHERE call_id = :call_id AND stage = :stage AND attempt = :attempt AND status = 'running'
        RETURNING status, finished_at
    ), log AS (
        UPDATE stage_attempts SET finished_at = run.finished_at, outcome = :code
        FROM run WHERE call_id = :call_id AND stage = :stage AND attempt = :attempt
    )
    SELECT status FROM run
""").bindparams(bindparam("problem", type_=JSONB))

_HAND_BACK = text("""
    WITH run AS (
        UPDATE stage_runs SET
            status = 'queued', attempt_limit = attempt_limit + 1, lease_until = NULL,
            queued_at = clock_timestamp(), next_attempt_at = NULL, hinted_at = NULL, hints = 0
        WHERE worker = :worker AND status = 'running'
        RETURNING call_id, stage, attempt, variant
    ), log AS (
        UPDATE stage_attempts SET finished_at = clock_timestamp(), outcome = 'handed_back'
        FROM run WHERE stage_attempts.call_id = run.call_id
          AND stage_attempts.stage = run.stage AND stage_attempts.attempt = run.attempt
    )
    SELECT call_id, stage, variant FROM run
""").columns(call_id=Uuid(), stage=StageRun.stage.type, variant=StageRun.variant.type)

_CANCEL = text("""
    WITH run AS (
        UPDATE stage_runs SET
            status = 'cancelled', finished_at = clock_timestamp(), lease_until = NULL
        WHERE call_id = :call_id AND status IN ('waiting', 'queued', 'running')
        RETURNING stage, attempt, finished_at
    )
    UPDATE stage_attempts SET finished_at = run.finished_at, outcome = 'abandoned'
    FROM run WHERE call_id = :call_id AND stage_attempts.stage = run.stage
      AND stage_attempts.attempt = run.attempt AND stage_attempts.finished_at IS NULL
""")

# Chosen before anything is updated, as the jobs that are due (`jobs.py` says why).
_OVERDUE = text("""
    WITH due AS MATERIALIZED (
        SELECT call_id, stage FROM stage_runs
        WHERE status = 'queued'
          AND coalesce(next_attempt_at <= clock_timestamp(), true)
          AND coalesce(hinted_at + power(2, least(hints - 1, 6)) * CAST(:hint_after_s AS float8)
                       * interval '1 second' <= clock_timestamp(), true)
        ORDER BY queued_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE stage_runs AS run SET hinted_at = clock_timestamp(), hints = hints + 1
    FROM due WHERE run.call_id = due.call_id AND run.stage = due.stage
    RETURNING run.call_id, run.stage, run.variant
""")

_MOVE = text("""
    UPDATE stage_runs AS run SET
        variant = moved.variant,
        attempt_limit = greatest(attempt_limit, attempt + moved.tries),
        next_attempt_at = NULL, hinted_at = clock_timestamp(), hints = 1
    FROM unnest(CAST(:call_ids AS uuid[]), CAST(:stages AS text[]), CAST(:variants AS text[]),
                CAST(:tries AS int[])) AS moved(call_id, stage, variant, tries)
    WHERE run.call_id = moved.call_id AND run.stage = moved.stage
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedStage:
    """A stage of `call` that a worker has in hand: `attempt` is the number of its try."""

    call: Call
    attempt: int
    wait_s: float
    """That it was due before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedStage:
    """A stage of a call that waits for a worker of `variant`."""

    call_id: UUID
    stage: Stage
    variant: str


class StageRuns:
    def __init__(self, session: Session) -> None:
        self._session = session

    def claim(
        self,
        call_id: UUID,
        stage: Stage,
        *,
        variant: str,
        worker: str,
        exclusive: bool,
        lease: timedelta,
    ) -> ClaimedStage | None:
        """Take the stage if it is queued for `variant` and due, else None.

        `exclusive` says that `worker` runs one stage at a time, so that what it left running is dead.
        """
        row = self._session.execute(
            select(Call, StageRun.attempt, StageAttempt.wait_s).from_statement(_CLAIM),
            {
                "call_id": call_id,
                "stage": stage.value,
                "variant": variant,
                "worker": worker,
                "channel": CHANGES,
                "exclusive": exclusive,
                "lease": lease,
            },
        ).first()
        return ClaimedStage(call=row.Call, attempt=row.attempt, wait_s=row.wait_s) if row else None

    def renew(
        self, call_id: UUID, stage: Stage, attempt: int, lease: timedelta, progress: float | None
    ) -> bool:
        """Prolong the lease and note the progress; False if the claim is lost."""
        changed = self._session.execute(
            update(StageRun)
            .where(
                StageRun.call_id == call_id,
                StageRun.stage == stage,
                StageRun.attempt == attempt,
                StageRun.status == StageStatus.RUNNING,
            )
            .values(lease_until=func.clock_timestamp() + lease, progress=progress)
            .returning(func.pg_notify(CHANGES, str(call_id)))
        )
        return changed.first() is not None

    def status(self, call_id: UUID, stage: Stage) -> StageStatus | None:
        return self.statuses(call_id).get(stage)

    def statuses(self, call_id: UUID) -> dict[Stage, StageStatus]:
        rows = self._session.execute(
            select(StageRun.stage, StageRun.status).where(StageRun.call_id == call_id)
        )
        found = {row.stage: row.status for row in rows}
        return {stage: found[stage] for stage in Stage if stage in found}

    def is_recorded(self, call_id: UUID, stage: Stage, attempt: int) -> bool:
        """Whether `attempt` is the one whose result is stored."""
        found = self._session.scalar(
            select(StageRun.attempt).where(
                StageRun.call_id == call_id,
                StageRun.stage == stage,
                StageRun.attempt == attempt,
                StageRun.status == StageStatus.DONE,
            )
        )
        return found is not None

    def finish(
        self,
        call_id: UUID,
        stage: Stage,
        attempt: int,
        output: dict[str, Any] | None,
        computed: Computed,
    ) -> dict[Stage, StageStatus] | None:
        """Mark the stage done: where all stages of the call stand then, or None if `attempt` is stale.

        The caller locked the call in an earlier statement, so what is returned is the latest.
        """
        model = computed.model
        rows = self._session.execute(
            _FINISH,
            {
                "call_id": call_id,
                "stage": stage.value,
                "attempt": attempt,
                "output": output,
                "audio_s": computed.audio_s,
                "model": model.name if model else None,
                "revision": model.revision if model else None,
                "device": model.device if model else None,
                "model_settings": dict(model.settings) if model else None,
            },
        )
        found = {Stage(row.stage): StageStatus(row.status) for row in rows}
        return {stage: found[stage] for stage in Stage if stage in found} or None

    def fail(
        self,
        call_id: UUID,
        stage: Stage,
        attempt: int,
        error: CallyticsError,
        *,
        retry_after: timedelta | None,
    ) -> StageStatus | None:
        """End a running attempt: `queued` again, or `failed` if no try is left or `retry_after` is None.

        None if the attempt is not the running one any more.
        """
        status = self._session.scalar(
            _FAIL,
            {
                "call_id": call_id,
                "stage": stage.value,
                "attempt": attempt,
                "retry_after": retry_after,
                "problem": error.as_problem(),
                "code": error.code,
            },
        )
        return StageStatus(status) if status else None

    def hand_back(self, worker: str) -> list[QueuedStage]:
        """Queue again what `worker` is about to leave unfinished; it does not count as an attempt."""
        rows = self._session.execute(_HAND_BACK, {"worker": worker})
        return [_queued(row) for row in rows]

    def lapsed(self, limit: int) -> list[tuple[UUID, Stage, int]]:
        """Running stages whose lease ran out: call, stage, attempt; oldest first."""
        rows = self._session.execute(
            select(StageRun.call_id, StageRun.stage, StageRun.attempt)
            .where(
                StageRun.status == StageStatus.RUNNING,
                StageRun.lease_until < func.clock_timestamp(),
            )
            .order_by(StageRun.lease_until)
            .limit(limit)
        )
        return [(row.call_id, row.stage, row.attempt) for row in rows]

    def has_lapsed(self, call_id: UUID, stage: Stage, attempt: int) -> bool:
        """Whether `attempt` still holds the stage although its lease ran out."""
        found = self._session.scalar(
            select(StageRun.attempt).where(
                StageRun.call_id == call_id,
                StageRun.stage == stage,
                StageRun.attempt == attempt,
                StageRun.status == StageStatus.RUNNING,
                StageRun.lease_until < func.clock_timestamp(),
            )
        )
        return found is not None

    def overdue(self, hint_after_s: float, limit: int) -> list[QueuedStage]:
        """Queued stages that are due and that the broker seems to have forgotten; marks them as told.

        After each telling the wait doubles, up to 64 times: a long queue is not flooded with doubles.
        """
        rows = self._session.execute(_OVERDUE, {"hint_after_s": hint_after_s, "limit": limit})
        return [_queued(row) for row in rows]

    def misrouted(
        self, variants: Mapping[Stage, Collection[str]], limit: int
    ) -> list[tuple[UUID, Stage]]:
        """Queued stages, locked, whose variant is none of its stage's `variants`.

        Those that somebody else has locked are left out.
        """
        rows = self._session.execute(
            select(StageRun.call_id, StageRun.stage)
            .where(
                StageRun.status == StageStatus.QUEUED,
                or_(
                    *(
                        and_(StageRun.stage == stage, StageRun.variant.not_in(known))
                        for stage, known in variants.items()
                    )
                ),
            )
            .order_by(StageRun.queued_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return [(row.call_id, row.stage) for row in rows]

    def move(self, queued: Collection[QueuedStage]) -> None:
        """Give these to their variants, at once, with as many tries as a fresh stage has; they count as
        told to the broker, which the caller does.
        """
        asked = {
            "call_ids": [each.call_id for each in queued],
            "stages": [each.stage.value for each in queued],
            "variants": [each.variant for each in queued],
            "tries": [SPECS[each.stage].max_attempts for each in queued],
        }
        self._session.execute(_MOVE, asked)

    def cancel(self, call_id: UUID) -> None:
        """End what has not ended. A worker that runs one of these notices by its lease."""
        self._session.execute(_CANCEL, {"call_id": call_id})

    def reset(self, call_id: UUID, stages: Iterable[Stage]) -> None:
        """Set the stages back to `waiting`, with as many tries as a fresh one; the results stay for now."""
        for stage in stages:
            self._session.execute(
                update(StageRun)
                .where(StageRun.call_id == call_id, StageRun.stage == stage)
                .values(
                    status=StageStatus.WAITING,
                    attempt_limit=StageRun.attempt + SPECS[stage].max_attempts,
                    queued_at=None,
                    started_at=None,
                    finished_at=None,
                    progress=None,
                    problem=None,
                )
            )

    def outputs(self, call_id: UUID, *stages: Stage) -> Mapping[Stage, Any]:
        """What the named stages left for later ones."""
        rows = self._session.execute(
            select(StageRun.stage, StageRun.output).where(
                StageRun.call_id == call_id, StageRun.stage.in_(stages)
            )
        )
        return {row.stage: row.output for row in rows}


def _queued(row: Row[Any]) -> QueuedStage:
    return QueuedStage(call_id=row.call_id, stage=Stage(row.stage), variant=row.variant)
