"""The pipeline's table and what follows from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callytics.domain.job import JobStatus, status_of
from callytics.domain.stages import (
    EVERY_STAGE,
    SPECS,
    Stage,
    StageStatus,
    became_ready,
    chain_from,
    downstream,
    next_in_chain,
    plan,
)

subsets = st.sets(st.sampled_from(list(Stage)), min_size=1)


@given(subsets)
def test_a_plan_holds_what_its_stages_need_in_the_order_of_the_pipeline(wanted: set[Stage]) -> None:
    planned = plan(wanted)

    assert wanted <= set(planned)
    for position, stage in enumerate(planned):
        assert set(SPECS[stage].needs) <= set(planned[:position])


@given(subsets)
def test_chains_cover_a_plan_without_doubles(wanted: set[Stage]) -> None:
    planned = plan(wanted)
    carried = {next_in_chain(stage, planned) for stage in planned}
    starts = [stage for stage in planned if stage not in carried]

    assert sorted(s for start in starts for s in chain_from(start, planned)) == sorted(planned)


@given(subsets, st.randoms())
def test_following_what_became_ready_runs_every_stage_once(wanted: set[Stage], random) -> None:  # type: ignore[no-untyped-def]
    planned = plan(wanted)
    statuses = dict.fromkeys(planned, StageStatus.WAITING)
    ran = []
    queue = list(became_ready(statuses))
    while queue:
        stage = queue.pop(random.randrange(len(queue)))
        ran.append(stage)
        statuses[stage] = StageStatus.DONE
        queue.extend(s for s in became_ready(statuses) if s not in queue)

    assert sorted(ran) == sorted(planned)
    assert status_of(statuses.values()) is JobStatus.COMPLETED


def test_downstream_is_what_rests_on_a_stage() -> None:
    assert downstream(Stage.PUNCTUATE, EVERY_STAGE) == (
        Stage.PUNCTUATE,
        Stage.SENTIMENT,
        Stage.SUMMARIZE,
    )
    assert downstream(Stage.DIARIZE, plan([Stage.MERGE])) == (Stage.DIARIZE, Stage.MERGE)


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([StageStatus.QUEUED, StageStatus.WAITING], JobStatus.QUEUED),
        ([StageStatus.DONE, StageStatus.QUEUED], JobStatus.RUNNING),
        ([StageStatus.DONE, StageStatus.RUNNING, StageStatus.FAILED], JobStatus.RUNNING),
        ([StageStatus.DONE, StageStatus.FAILED, StageStatus.WAITING], JobStatus.FAILED),
        ([StageStatus.DONE, StageStatus.CANCELLED], JobStatus.CANCELLED),
        ([StageStatus.DONE, StageStatus.DONE], JobStatus.COMPLETED),
    ],
)
def test_a_call_is_what_its_stages_make_it(stages: list[StageStatus], expected: JobStatus) -> None:
    assert status_of(stages) is expected


@given(st.lists(st.sampled_from(list(StageStatus)), min_size=1))
def test_a_call_has_ended_exactly_when_nothing_of_it_can_move(stages: list[StageStatus]) -> None:
    moving = {StageStatus.QUEUED, StageStatus.RUNNING}.intersection(stages)

    assert (status_of(stages) in {JobStatus.QUEUED, JobStatus.RUNNING}) == bool(moving)
