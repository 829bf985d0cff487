"""The search: what fits where, what holds the rate, and what is said when nothing does."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callytics.domain.stages import Stage
from callytics.errors import NoPlacementError
from callytics.placement.demand import BUSY, Task, device_loads
from callytics.placement.forecast import Effort
from callytics.placement.hardware import Hardware, parse_gpus
from callytics.placement.layout import CPU, FULL, gpu_share_mib, index_of
from callytics.placement.missing import Missing
from callytics.placement.planner import plan, search
from callytics.placement.profile import Profile
from callytics.placement.workload import Workload
from tests.support.profiles import BATCHING, cost, profile, worker

SHORT = Effort(calls=200, replications=2)


def task(
    model: Profile,
    gpus: str = "1x24GB",
    *,
    rate: float = 360,
    max_wait_s: float = 60,
    cores: float = 8,
) -> Task:
    return Task(
        profile=model,
        hardware=Hardware(gpus=parse_gpus(gpus), cores=cores),
        workload=Workload(calls_per_hour=rate),
        max_wait_s=max_wait_s,
        batching=BATCHING,
    )


def on_gpus(stt_s: float = 2.0, stt_mib: float = 6000, diarize_mib: float = 4000) -> Profile:
    return profile(
        {
            Stage.PREPROCESS: cost(0.5),
            Stage.TRANSCRIBE: cost(stt_s),
            Stage.DIARIZE: cost(1.0),
        },
        {"stt": worker(gpu_memory_mib=stt_mib), "diarize": worker(gpu_memory_mib=diarize_mib)},
    )


def test_what_one_gpu_holds_is_put_on_one() -> None:
    found = plan(task(on_gpus(), "4x24GB"), SHORT)

    devices = {one.queues: one.device for one in found.layout.workers}
    assert devices["stt"] == devices["diarize"] == "gpu0"
    assert devices["audio"] == CPU
    assert found.highest_per_hour > 360
    assert "GPU 0" in found.binds


def test_what_takes_more_compute_than_a_gpu_has_gets_another() -> None:
    found = plan(task(on_gpus(stt_s=8.5), "2x24GB"), SHORT)

    devices = {one.queues: one.device for one in found.layout.workers}
    assert devices["stt"] != devices["diarize"]


def test_a_queue_that_is_waited_for_gets_another_worker() -> None:
    model = profile({Stage.PREPROCESS: cost(8.0, ratios=[0.1, 1.9])})
    patient = plan(task(model, "0", rate=340, max_wait_s=3600), SHORT)
    hasty = plan(task(model, "0", rate=340, max_wait_s=2), SHORT)

    assert patient.layout.count("audio") < hasty.layout.count("audio")
    assert hasty.layout.count("stt") == 1


@settings(max_examples=8, deadline=None)
@given(
    st.floats(0.1, 6),
    st.integers(1000, 20000),
    st.integers(1000, 20000),
    st.sampled_from(["1x24GB", "2x24GB", "1x16GB,1x80GB"]),
)
def test_what_is_proposed_fits_memory_and_leaves_every_device_room(
    stt_s: float, stt_mib: int, diarize_mib: int, gpus: str
) -> None:
    asked = task(on_gpus(stt_s, stt_mib, diarize_mib), gpus)
    found = search(asked, Effort(calls=50, replications=1))
    if isinstance(found, Missing):
        return
    for index, memory in enumerate(asked.hardware.gpus):
        given_away = sum(
            gpu_share_mib(asked.profile.workers[one.queues])
            for one in found.layout.workers
            if one.device != CPU and index_of(one.device) == index
        )
        assert given_away <= FULL * memory
    assert max(device_loads(found.layout, asked).values()) <= BUSY
    assert {one.queues for one in found.layout.workers} == set(asked.profile.workers)


def test_a_model_that_is_larger_than_any_gpu_is_named_with_its_size() -> None:
    with pytest.raises(NoPlacementError, match=r"stt takes 34.7 GB .* has 24 GB.*do not change"):
        plan(task(on_gpus(stt_mib=30000)), SHORT)


def test_memory_that_does_not_suffice_is_added_up_and_what_would_do_is_said() -> None:
    with pytest.raises(NoPlacementError, match=r"memory is missing.*With 1 more of 24 GB"):
        plan(task(on_gpus(stt_mib=14000, diarize_mib=12000)), SHORT)


def test_compute_that_does_not_suffice_names_the_gpu_and_how_many_more_would_do() -> None:
    with pytest.raises(NoPlacementError, match=r"Compute is missing.*GPU 0.*With 1 more"):
        plan(task(on_gpus(stt_s=8.5)), SHORT)


def test_cores_that_do_not_suffice_are_counted() -> None:
    model = profile({Stage.PREPROCESS: cost(10.0)})
    with pytest.raises(NoPlacementError, match=r"Cores are missing.*125%.*About 3 would do"):
        plan(task(model, "0", rate=900, cores=2), SHORT)


def test_a_profile_for_gpus_wants_some() -> None:
    with pytest.raises(NoPlacementError, match="--gpus"):
        plan(task(on_gpus(), "0"), SHORT)


def test_no_more_workers_are_added_than_the_devices_keep_busy() -> None:
    # They would only turn waits into longer runs.
    model = profile({Stage.PREPROCESS: cost(1.0)})
    asked = task(model, "0", rate=1200, cores=2, max_wait_s=1)
    asked = replace(asked, workload=replace(asked.workload, burst=20))
    with pytest.raises(
        NoPlacementError, match=r"At audio 95 of 100 calls wait.*1 s are allowed.*share"
    ):
        plan(asked, SHORT)


def test_what_is_proposed_keeps_to_the_wait_that_is_allowed() -> None:
    found = plan(task(on_gpus(), "2x24GB", rate=900, max_wait_s=10), SHORT)

    assert found.forecast.worst.p95_wait_s.value <= 10


def test_where_a_further_worker_does_not_fit_the_wait_is_named_too() -> None:
    asked = task(on_gpus(stt_s=4.0, stt_mib=14000), "1x24GB,1x16GB", rate=600, max_wait_s=1)
    with pytest.raises(NoPlacementError, match=r"At stt 95 of 100.*GPU memory is missing.*2 x stt"):
        plan(asked, SHORT)
