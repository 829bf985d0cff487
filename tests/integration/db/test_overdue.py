"""What the broker is told of again: no more than the limit, however PostgreSQL plans the statement."""

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.jobs import Jobs
from callytics.db.models import Job, StageRun
from callytics.db.stage_runs import StageRuns
from callytics.domain.jobs import JobKind
from tests.support.calls import insert_call

# Only nested loops, nothing sorted, hashed or kept: what stands on the inner side runs again for each row.
_RUN_AGAIN = "; ".join(
    f"SET LOCAL enable_{way} = off"
    for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material")
)


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_are_told_than_the_limit(sessions: sessionmaker[Session], limit: int) -> None:
    for _ in range(5):
        insert_call(sessions)
    with unit_of_work(sessions) as session:
        for _ in range(5):
            Jobs(session).add(JobKind.DELIVERY)
    with unit_of_work(sessions) as session:
        session.execute(update(Job).values(hinted_at=None))
        session.execute(update(StageRun).values(hinted_at=None))
        session.execute(text(_RUN_AGAIN))

        jobs = Jobs(session).overdue(0, limit)
        stages = StageRuns(session).overdue(0, limit)

    assert (len(jobs), len(stages)) == (limit, limit)
