from uuid import uuid4

import pytest

from callytics.domain.job import Priority
from callytics.domain.jobs import SHADOW_KINDS, SHADOWS, JobKind
from callytics.domain.stages import SPECS, Stage
from callytics.queueing.app import make_celery
from callytics.queueing.dispatch import HARD_LIMIT_GRACE_S, job_signature
from callytics.queueing.queues import MESSAGE_PRIORITY
from callytics.services.job_work import JobHint
from callytics.settings import Settings

APP = make_celery(Settings(redis_url="redis://127.0.0.1:9/0"))


@pytest.mark.parametrize("stage", SHADOWS)
def test_a_shadow_has_the_time_limits_of_its_stage(stage: Stage) -> None:
    hint = JobHint(
        job_id=uuid4(), kind=SHADOWS[stage], priority=Priority.LOW, variant="v2", duration_s=60.0
    )

    options = job_signature(APP, hint).options

    limit_s = SPECS[stage].time_limit(60.0)
    assert options["soft_time_limit"] == limit_s
    assert options["time_limit"] == limit_s + HARD_LIMIT_GRACE_S


@pytest.mark.parametrize("kind", sorted(SHADOW_KINDS))
def test_a_shadow_goes_behind_everything_else(kind: JobKind) -> None:
    hint = JobHint(job_id=uuid4(), kind=kind, priority=Priority.LOW, variant="v2")

    assert job_signature(APP, hint).options["priority"] > max(MESSAGE_PRIORITY.values())


def test_other_jobs_have_none() -> None:
    hint = JobHint(job_id=uuid4(), kind=JobKind.ANALYSIS, priority=Priority.NORMAL)

    assert not job_signature(APP, hint).options.keys() & {"soft_time_limit", "time_limit"}
