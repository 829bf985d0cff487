"""Running batches again from the command line: what it would do, a question, the runs, their ends."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from callytics.cli import local
from callytics.cli.broker import make_tell
from callytics.cli.console import say, stderr
from callytics.cli.prompt import confirm
from callytics.db.batches import Batches, BatchFilter
from callytics.db.engine import unit_of_work
from callytics.domain.batching import BATCH_FINISHED, RERUNNABLE, BatchStatus
from callytics.domain.jobs import JOBS, JobKind
from callytics.domain.stages import StageStatus
from callytics.errors import BatchRunningError, NothingToRerunError
from callytics.services import batches
from callytics.services.batches import Rerun, RerunPlan
from callytics.services.health import readiness
from callytics.services.lease import while_database_returns
from callytics.settings import Settings

LARGE_BATCHES, LARGE_CONSULTATIONS = 1, 20
"""More than that is begun only after a question."""

PAGE = 500
POLL_S = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    client: str
    plan: RerunPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """What became of a run's consultations."""

    status: BatchStatus
    done: int
    failed: int

    @property
    def succeeded(self) -> bool:
        return not self.failed and self.status is not BatchStatus.CANCELLED


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    sessions: sessionmaker[Session]
    settings: Settings
    client: str | None
    """Whose batches alone are touched; None: anybody's."""

    def plan(self, wanted: Rerun, names: Sequence[str]) -> list[Planned]:
        """Each of these; raises what is wrong with the first that cannot be run again."""
        return [self._run(_dry(wanted), name) for name in dict.fromkeys(names)]

    def plan_failed(self, wanted: Rerun, since: timedelta | None) -> list[Planned]:
        """Every batch with failures that ended in that time, the oldest first."""
        return self._each(_dry(wanted), self._failed(since))

    def begin(self, wanted: Rerun, plans: Sequence[Planned]) -> list[Planned]:
        """One batch a transaction; those that somebody else was quicker with are left out."""
        return self._each(wanted, [planned.plan.batch for planned in plans])

    def _failed(self, since: timedelta | None) -> list[str]:
        names: list[str] = []
        with unit_of_work(self.sessions) as session:
            owner = local.client_id(session, self.client)
            filters = BatchFilter(
                statuses=tuple(RERUNNABLE), moved_since=local.moment(session, since)
            )
            while True:
                after = names[-1] if names else None
                page = Batches(session).page(owner, filters, after=after, limit=PAGE)
                names += [batch.name for batch in page]
                if len(page) < PAGE:
                    return names[::-1]

    def _each(self, wanted: Rerun, names: Sequence[str]) -> list[Planned]:
        tell = None if wanted.dry else make_tell(self.settings)
        begun = []
        for name in names:
            try:
                planned = self._run(wanted, name)
            except (BatchRunningError, NothingToRerunError) as error:
                say(f"{name} is left out: {error.detail}", "yellow")
                continue
            begun.append(planned)
            if tell is not None:
                tell(planned.plan.hints)
        return begun

    def _run(self, wanted: Rerun, name: str) -> Planned:
        with unit_of_work(self.sessions) as session:
            owner = local.client_id(session, self.client)
            plan = batches.rerun(session, owner, name, wanted, self.settings)
            batch = Batches(session).get(owner, name)
            client = Batches(session).client_names([batch.client_id])[batch.client_id]
        return Planned(client=client, plan=plan)

    def wait(self, plans: Sequence[Planned]) -> dict[str, Ended]:
        """Show the consultations as they end, until the runs have; batch -> its end."""
        if not plans:
            return {}
        self._warn_without_workers()
        ended: dict[str, Ended] = {}
        names = [planned.plan.batch for planned in plans]
        with _progress(sum(planned.plan.items for planned in plans)) as show:
            while len(ended) < len(names):
                now = while_database_returns(lambda: self._look(names))
                show(sum(one.done + one.failed for one in now.values()))
                for name, one in now.items():
                    if one.status in BATCH_FINISHED and name not in ended:
                        ended[name] = one
                        say(f"{name}: {one.status}, {one.done} done, {one.failed} failed")
                if len(ended) < len(names):
                    time.sleep(POLL_S)
        return ended

    def _look(self, names: Sequence[str]) -> Mapping[str, Ended]:
        with unit_of_work(self.sessions) as session:
            found = Batches(session).named(names)
            counts = Batches(session).counts([batch.id for batch in found], latest_run=True)
            return {batch.name: _standing(batch.status, counts[batch.id]) for batch in found}

    def _warn_without_workers(self) -> None:
        queue = JOBS[JobKind.ANALYSIS].queue
        with unit_of_work(self.sessions) as session:
            ready = readiness(session).queues[queue].ready
        if not ready:
            say(
                f"No worker takes from the queue {queue} now; the runs begin when one does.",
                "yellow",
            )


def _dry(wanted: Rerun) -> Rerun:
    return Rerun(everything=wanted.everything, model=wanted.model, dry=True)


def _standing(status: BatchStatus, counts: Mapping[StageStatus, int]) -> Ended:
    failed = counts.get(StageStatus.FAILED, 0) + counts.get(StageStatus.CANCELLED, 0)
    return Ended(status=status, done=counts.get(StageStatus.DONE, 0), failed=failed)


def ask(plans: Sequence[Planned], *, yes: bool) -> None:
    """A question, if it is much."""
    items = sum(planned.plan.items for planned in plans)
    if len(plans) > LARGE_BATCHES or items > LARGE_CONSULTATIONS:
        confirm(f"Run {items} consultations of {len(plans)} batches again?", yes=yes)


def views(plans: Sequence[Planned], ended: Mapping[str, Ended], *, dry_run: bool) -> dict[str, Any]:
    """As `--json` prints it. `done` and `failed` are known of runs that were waited for."""
    return {
        "dry_run": dry_run,
        "consultations": sum(planned.plan.items for planned in plans),
        "batches": [
            _view(planned, ended.get(planned.plan.batch), dry_run=dry_run) for planned in plans
        ],
    }


def _view(planned: Planned, end: Ended | None, *, dry_run: bool) -> dict[str, Any]:
    begun = None if dry_run else BatchStatus.QUEUED.value
    return {
        "batch_id": planned.plan.batch,
        "client_id": planned.client,
        "run": planned.plan.run_no,
        "consultations": planned.plan.items,
        "kept": planned.plan.kept,
        "status": end.status.value if end else begun,
        "done": end.done if end else None,
        "failed": end.failed if end else None,
    }


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Told how many consultations have ended: a bar on a terminal, a line a change elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    drawn = stderr().is_terminal
    columns = ("consultations", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    shown = 0
    with Progress(*columns, console=stderr(), redirect_stdout=False, disable=not drawn) as bar:
        task = bar.add_task("", total=total)

        def show(ended: int) -> None:
            nonlocal shown
            bar.update(task, completed=ended)
            if ended != shown and not drawn:
                say(f"{ended} of {total} consultations")
            shown = ended

        yield show
