"""What replications are summed up to."""

import pytest

from callytics.domain.stages import Queue, Stage
from callytics.placement.forecast import Effort, forecast, highest_per_hour, p95
from callytics.placement.workload import Workload
from tests.support.profiles import BATCHING, cost, layout, profile

EFFORT = Effort(calls=400, replications=3)
MODEL = profile(
    {Stage.TRANSCRIBE: cost(0, per_audio_s=0.1, use=1.5), Stage.MERGE: cost(0.5, use=0.5)}
)
MINUTES = Workload(calls_per_hour=300, durations=(60.0,))


def test_shares_of_time_are_rate_by_seconds() -> None:
    found = forecast(layout(cores=8), MODEL, MINUTES, EFFORT, BATCHING)

    per_s = 300 / 3600
    assert found.workers["stt"].value == pytest.approx(per_s * 6, rel=0.1)
    assert found.workers["audio"].value == pytest.approx(per_s * 0.5, rel=0.1)
    assert found.workers["slm"].value == 0
    assert found.devices["cpu"].value == pytest.approx(per_s * (6 * 1.5 + 0.5 * 0.5) / 8, rel=0.1)


def test_what_comes_in_goes_out_and_the_interval_holds_the_mean() -> None:
    found = forecast(layout(cores=8), MODEL, MINUTES, EFFORT, BATCHING)

    [stt] = [each for each in found.queues if each.queue is Queue.STT]
    assert stt.per_hour.value == pytest.approx(300, rel=0.1)
    assert stt.mean_run_s.value == pytest.approx(6)
    assert found.worst is stt
    assert stt.mean_wait_s.low <= stt.mean_wait_s.value <= stt.mean_wait_s.high
    assert found.mean_s.value == pytest.approx(found.mean_wait_s.value + 6.5)
    assert found.p95_s.value > found.mean_s.value


def test_two_workers_share_what_one_had() -> None:
    one, two = (
        forecast(layout(cores=8, stt=workers), MODEL, MINUTES, EFFORT, BATCHING)
        for workers in (1, 2)
    )
    assert two.workers["stt"].value == pytest.approx(one.workers["stt"].value / 2, rel=0.1)
    assert two.mean_wait_s.value < one.mean_wait_s.value


@pytest.mark.parametrize(
    ("workers", "cores", "expected"),
    [
        (1, 8, 600),  # one worker, 6 s a call
        (3, 16, 1800),
        (8, 3, 1150),  # the cores: 9.25 core-seconds a call
    ],
)
def test_the_most_is_what_the_bottleneck_lets_through(
    workers: int, cores: float, expected: float
) -> None:
    found = highest_per_hour(layout(cores=cores, stt=workers), MODEL, MINUTES, 1, BATCHING)
    assert found == pytest.approx(expected, rel=0.05)


def test_the_95th_of_a_hundred() -> None:
    assert p95(list(range(1, 101))) == 95
    assert p95([7.0]) == 7.0
