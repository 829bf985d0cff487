"""The simulation against formulas, and what holds of every run."""

import math
from itertools import pairwise
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callytics.domain.stages import PIPELINE, SPECS, Stage
from callytics.placement.profile import ANALYSIS, Profile
from callytics.placement.simulation import Batching, Simulated, simulate
from callytics.placement.workload import Call, Workload
from tests.support.profiles import BATCHING, cost, exponential, figure, layout, profile, worker


def waits(simulated: Simulated, stage: Stage) -> list[float]:
    return [run.wait_s for run in simulated.runs if run.work is stage]


def poisson(
    model: Profile, *, rate: float, workers: int = 1, calls: int = 4000, cores: float = 64
) -> Simulated:
    draw = Random(11)
    came = Workload(calls_per_hour=3600 * rate).draw(calls, draw)
    return simulate(layout(audio=workers, cores=cores), model, came, draw, BATCHING)


# With these many calls the mean wait of a replication lies within a tenth of its expectation; the seed is
# fixed, so the test gives the same answer each time.
CLOSE = 0.1


def pollaczek_khinchine(rate: float, mean: float, second_moment: float) -> float:
    """Mean wait of M/G/1 (Kleinrock, Queueing Systems I, 1975, section 5.6)."""
    return rate * second_moment / (2 * (1 - rate * mean))


def erlang_c(servers: int, load: float) -> float:
    """Probability that one waits in M/M/c (Kleinrock, section 3.5)."""
    below = sum(load**k / math.factorial(k) for k in range(servers))
    full = load**servers / math.factorial(servers) * servers / (servers - load)
    return full / (below + full)


@pytest.mark.parametrize("ratios", [[1.0], exponential(5000), [0.2, 1.8]])
def test_one_worker_waits_as_pollaczek_and_khinchine_say(ratios: list[float]) -> None:
    model = profile({Stage.PREPROCESS: cost(1.0, ratios=ratios)})
    expected = pollaczek_khinchine(0.5, 1.0, fmean(ratio**2 for ratio in ratios))

    found = poisson(model, rate=0.5)

    assert fmean(waits(found, Stage.PREPROCESS)) == pytest.approx(expected, rel=CLOSE)


def test_each_wait_of_one_worker_is_what_lindley_says() -> None:
    # The wait of the next: that of this one and its seconds, less the time between them (Lindley 1952).
    model = profile({Stage.PREPROCESS: cost(1.0, ratios=exponential(300))})

    found = poisson(model, rate=0.9, calls=300)

    runs = sorted((r for r in found.runs if r.work is Stage.PREPROCESS), key=lambda r: r.call)
    for one, following in pairwise(runs):
        between = following.queued_at - one.queued_at
        expected = max(0.0, one.wait_s + one.seconds - between)
        assert following.wait_s == pytest.approx(expected, abs=1e-6)


def test_several_workers_wait_as_erlang_says() -> None:
    model = profile({Stage.PREPROCESS: cost(1.0, ratios=exponential(5000))})
    expected = erlang_c(3, 2.1) / (3 - 2.1)

    found = poisson(model, rate=2.1, workers=3)

    assert fmean(waits(found, Stage.PREPROCESS)) == pytest.approx(expected, rel=CLOSE)


def test_runs_that_share_a_device_take_as_long_as_processor_sharing_says() -> None:
    # M/M/1-PS: seconds / (1 - load) (Kleinrock, Queueing Systems II, 1976, section 4.4). So many workers
    # that nobody waits for one.
    model = profile({Stage.PREPROCESS: cost(1.0, ratios=exponential(5000))})

    found = poisson(model, rate=0.5, workers=60, cores=1)

    spans = [r.ended_at - r.queued_at for r in found.runs if r.work is Stage.PREPROCESS]
    assert fmean(spans) == pytest.approx(1 / (1 - 0.5), rel=CLOSE)
    assert max(waits(found, Stage.PREPROCESS)) == 0


seconds = st.floats(0, 5)
costs = st.fixed_dictionaries(dict.fromkeys(Stage, seconds))
came = st.lists(st.tuples(st.floats(0, 20), st.floats(1, 60)), min_size=1, max_size=12)


@settings(max_examples=60)
@given(costs, came, st.integers(1, 3), st.floats(0.5, 8))
def test_every_stage_runs_once_after_what_it_needs_and_no_worker_does_two_things(
    chosen: dict[Stage, float], calls: list[tuple[float, float]], workers: int, cores: float
) -> None:
    model = profile({stage: cost(fixed_s) for stage, fixed_s in chosen.items()})
    where = layout(audio=workers, cores=cores)
    sent = [Call(at_s=at_s, audio_s=audio_s) for at_s, audio_s in sorted(calls)]

    found = simulate(where, model, sent, Random(1), BATCHING)

    runs = {(run.call, run.work): run for run in found.runs}
    assert len(found.runs) == len(runs) == len(sent) * len(PIPELINE)
    for (call, work), run in runs.items():
        ready_at = max(
            (runs[call, need].ended_at for need in SPECS[Stage(work)].needs),
            default=sent[call].at_s,
        )
        assert run.queued_at == pytest.approx(ready_at)
        assert run.started_at >= run.queued_at
        assert run.ended_at - run.started_at >= run.seconds - 1e-6
    for number in range(len(sent)):
        assert found.ended_at[number] == max(runs[number, stage].ended_at for stage in Stage)
    busiest = max(
        sum(other.started_at <= run.started_at < other.ended_at for other in found.runs
            if other.worker and other.worker.queues == "audio")
        for run in found.runs
    )  # fmt: skip
    assert busiest <= workers


@given(came, costs)
@settings(max_examples=30)
def test_without_contention_a_call_takes_its_longest_way(
    calls: list[tuple[float, float]], chosen: dict[Stage, float]
) -> None:
    model = profile({stage: cost(fixed_s) for stage, fixed_s in chosen.items()})
    sent = [Call(at_s=1000.0 * i, audio_s=audio_s) for i, (_, audio_s) in enumerate(calls)]

    found = simulate(layout(), model, sent, Random(1), BATCHING)

    way: dict[Stage, float] = {}
    for spec in PIPELINE:
        way[spec.stage] = chosen[spec.stage] + max((way[n] for n in spec.needs), default=0)
    for number, call in enumerate(sent):
        assert found.ended_at[number] - call.at_s == pytest.approx(max(way.values()))


@settings(max_examples=30)
@given(came, costs, st.floats(1.01, 4))
def test_a_device_that_is_quicker_at_everything_ends_everything_sooner(
    calls: list[tuple[float, float]], chosen: dict[Stage, float], factor: float
) -> None:
    """Time is scaled as a whole, arrivals too: that holds exactly, where more workers alone need not."""
    slow = profile({stage: cost(fixed_s * factor) for stage, fixed_s in chosen.items()})
    quick = profile({stage: cost(fixed_s) for stage, fixed_s in chosen.items()})
    sent = [Call(at_s=at_s, audio_s=audio_s) for at_s, audio_s in sorted(calls)]
    later = [Call(at_s=call.at_s * factor, audio_s=call.audio_s) for call in sent]

    one = simulate(layout(cores=2), quick, sent, Random(1), BATCHING)
    other = simulate(layout(cores=2), slow, later, Random(1), BATCHING)

    for number in range(len(sent)):
        assert other.ended_at[number] == pytest.approx(one.ended_at[number] * factor, abs=1e-6)


def test_the_same_seed_gives_the_same_run() -> None:
    model = profile({Stage.TRANSCRIBE: cost(1.0, ratios=exponential(100))})
    one, other = (poisson(model, rate=0.5, calls=50).ended_at for _ in range(2))
    assert one == other


def test_a_hop_passes_before_each_stage() -> None:
    model = profile({}).model_copy(update={"hop_s": figure(0.5)})

    found = simulate(layout(), model, [Call(at_s=0, audio_s=1)], Random(1), BATCHING)

    # preprocess, transcribe, merge, punctuate, summarize
    assert found.ended_at[0] == pytest.approx(5 * 0.5)


def test_calls_are_analysed_in_batches_that_close_when_full_or_in_time() -> None:
    model = profile({}, {"mlm": worker(at_once=2)})
    model = model.model_copy(update={"works": {**model.works, ANALYSIS: cost(10.0)}})
    where = layout()
    mlm = where.workers[0].__class__(queues="mlm")
    where = where.__class__(hardware=where.hardware, workers=(*where.workers, mlm))
    sent = [Call(at_s=at_s, audio_s=1) for at_s in (0.0, 5.0, 6.0)]

    found = simulate(where, model, sent, Random(1), Batching(size=2, window_s=100))

    analyses = {run.call: run for run in found.runs if run.work == ANALYSIS}
    assert analyses[0].queued_at == pytest.approx(5)
    assert analyses[1].queued_at == pytest.approx(5)
    assert analyses[2].queued_at == pytest.approx(106)
    # Both at once, and the call does not wait for them.
    assert analyses[0].ended_at == analyses[1].ended_at == pytest.approx(15)
    assert found.ended_at == pytest.approx({0: 0, 1: 5, 2: 6})
