"""What is lost where runs meet is found again from calls that came together."""

from statistics import fmean

import pytest

from callytics.domain.stages import Stage
from callytics.placement.calibrate import NO_BATCHES, Burst, loss_of
from callytics.placement.layout import Layout
from callytics.placement.profile import Kind, Profile
from callytics.placement.simulation import simulate
from callytics.placement.workload import Call, seeds
from tests.support.profiles import cost, layout, profile

CALLS = [Call(at_s=0.1 * number, audio_s=10) for number in range(6)]
COSTS = profile({Stage.TRANSCRIBE: cost(2, use=2), Stage.SUMMARIZE: cost(1, use=2)})
TWO_CORES = layout(cores=2)


def losing(loss: float) -> Profile:
    return COSTS.model_copy(update={"loss": COSTS.loss.model_copy(update={"value": loss})})


def burst(loss: float, placed: Layout = TWO_CORES) -> Burst:
    [draw] = seeds(5, 1)
    found = simulate(placed, losing(loss), CALLS, draw, NO_BATCHES).ended_at
    return Burst(calls=CALLS, mean_s=fmean(at - CALLS[n].at_s for n, at in found.items()))


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.35])
def test_the_loss_of_a_machine_is_found(loss: float) -> None:
    found = loss_of([burst(loss)] * 2, COSTS, TWO_CORES.workers, cores=2, source="here")

    assert found.value == pytest.approx(loss, abs=0.002)
    assert found.kind is Kind.MEASURED


def test_a_burst_that_was_quicker_than_can_be_loses_nothing() -> None:
    quick = Burst(calls=CALLS, mean_s=0.5)
    assert loss_of([quick], COSTS, TWO_CORES.workers, cores=2, source="here").value == 0
