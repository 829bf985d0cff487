"""Two versions side by side in real worker processes: routes change, workers die, no call is lost."""

import json
import signal
import subprocess
from collections.abc import Sequence
from functools import partial
from time import sleep
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from callytics.db.engine import unit_of_work
from callytics.db.models import Job, ModelRoute, ShadowRun, StageRun
from callytics.db.routes import REMEMBERED_S
from callytics.domain.job import Priority
from callytics.domain.routes import Route
from callytics.domain.stages import Queue, Stage, StageStatus
from callytics.services import quick_summary, routes
from callytics.services.quick_summary import Question
from callytics.settings import ModelsSettings, Settings
from tests.e2e.conftest import Farm
from tests.support.batches import BatchDesk, insert_client
from tests.support.chat import CONVERSATION
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

FIRST, SECOND = Route(), Route(weights={"v2": 1})
HALVES = Route(weights={"v1": 1, "v2": 1})
VARIANTS: dict[str, Any] = {"v2": {"options": {}}}


class Sides:
    """Workers of everything, of `stt` and of `stt.v2`."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.models: ModelsSettings = Settings(models={"transcribe": {"variants": VARIANTS}}).models
        self.rest = farm.worker("audio,diarize,stt,punctuate,sentiment")
        self.light = farm.worker("control,slm")
        farm.beat()

    def switch(self, route: Route) -> None:
        with unit_of_work(self.farm.sessions) as session:
            hints = routes.switch(session, Queue.STT, route, self.models, force=True).hints
        self.farm.send(hints)

    def second(self) -> subprocess.Popen[bytes]:
        return self.farm.worker("stt.v2")

    def ready(self, *workers: subprocess.Popen[bytes]) -> None:
        for worker in (self.rest, self.light, *workers):
            self.farm.wait_ready(worker)

    def done_by(self, calls: Sequence[UUID]) -> list[str]:
        """The variant of each call's transcription, which its attempts must say too."""
        found = []
        for call_id in calls:
            variant = self.farm.stage(call_id, Stage.TRANSCRIBE).variant
            done = [
                row.variant
                for row in self.farm.attempts(call_id)
                if row.stage is Stage.TRANSCRIBE and row.outcome == "done"
            ]
            assert done == [variant]
            found.append(variant)
        return found


def kill(farm: Farm, worker: subprocess.Popen[bytes]) -> None:
    child = farm.child_of(worker)
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    # A child that outlives its worker for a moment must not finish what it has in hand.
    subprocess.run(["kill", "-9", str(child)], check=False, capture_output=True)


@pytest.fixture
def variants(farm: Farm, request: pytest.FixtureRequest) -> Sides:
    block = getattr(request, "param", VARIANTS)
    farm.env["CALLYTICS_MODELS__TRANSCRIBE__VARIANTS"] = json.dumps(block)
    return Sides(farm)


def test_calls_flow_while_the_route_is_switched_and_workers_are_killed(variants: Sides) -> None:
    farm, second = variants.farm, variants.second()
    variants.ready(second)
    calls: list[UUID] = []
    for number in range(10):
        variants.switch(SECOND if number % 2 == 0 else FIRST)
        calls += [farm.submit(seconds={Stage.TRANSCRIBE: 0.2}) for _ in range(3)]
        if number in {2, 6}:
            wait_until(partial(_in_hand, farm, calls))
            kill(farm, second)
            second = variants.second()
            farm.wait_ready(second)
    farm.wait_finished(*calls)
    farm.assert_complete_once(*calls)


def test_a_call_goes_by_a_switch_that_is_longer_ago_than_a_worker_remembers(
    variants: Sides,
) -> None:
    farm, second = variants.farm, variants.second()
    variants.ready(second)
    calls: list[UUID] = []
    for route in (SECOND, FIRST):
        variants.switch(route)
        sleep(REMEMBERED_S)
        calls.append(farm.submit())
        farm.wait_finished(calls[-1])

    farm.assert_complete_once(*calls)
    assert variants.done_by(calls) == ["v2", "v1"]


def _in_hand(farm: Farm, calls: Sequence[UUID]) -> bool:
    """Whether the second variant has something to do just now, or all of this is over."""
    with farm.sessions() as session:
        rows = session.execute(
            select(StageRun.status, StageRun.variant).where(
                StageRun.stage == Stage.TRANSCRIBE, StageRun.call_id.in_(calls)
            )
        ).all()
    running = any(row.variant == "v2" and row.status is StageStatus.RUNNING for row in rows)
    return running or all(row.status is StageStatus.DONE for row in rows)


@pytest.mark.parametrize("variants", [{"v2": {"options": {"fails": True}}}], indirect=True)
def test_a_variant_that_fails_everything_is_rolled_back_and_every_call_completes(
    variants: Sides,
) -> None:
    farm, second = variants.farm, variants.second()
    variants.ready(second)
    variants.switch(HALVES)
    calls = [farm.submit() for _ in range(8)]
    wait_until(lambda: any(row.attempt for row in _of_second(farm)))

    with unit_of_work(farm.sessions) as session:
        _, hints = routes.rollback(session, Queue.STT, variants.models)
    farm.send(hints)

    farm.wait_finished(*calls)
    farm.assert_complete_once(*calls)
    assert set(variants.done_by(calls)) == {"v1"}
    failed = [row for call in calls for row in farm.attempts(call) if row.outcome != "done"]
    assert failed
    assert {row.variant for row in failed} == {"v2"}


def _of_second(farm: Farm) -> Sequence[StageRun]:
    with farm.sessions() as session:
        return session.scalars(select(StageRun).where(StageRun.variant == "v2")).all()


def test_what_waits_for_a_variant_whose_workers_are_gone_the_first_takes_over(
    variants: Sides,
) -> None:
    farm = variants.farm
    variants.ready()
    variants.switch(SECOND)
    calls = [farm.submit() for _ in range(4)]
    wait_until(lambda: len(_of_second(farm)) == len(calls))

    variants.switch(FIRST)

    farm.wait_finished(*calls)
    farm.assert_complete_once(*calls)
    assert set(variants.done_by(calls)) == {"v1"}


def test_a_shadow_whose_worker_is_killed_runs_again_and_keeps_no_call_waiting(
    variants: Sides,
) -> None:
    farm, second = variants.farm, variants.second()
    variants.ready(second)
    variants.switch(Route(shadow="v2"))
    calls = [farm.submit(seconds={Stage.TRANSCRIBE: 1}) for _ in range(2)]
    wait_until(lambda: StageStatus.RUNNING in _shadows(farm))

    kill(farm, second)
    farm.wait_finished(*calls)
    farm.assert_complete_once(*calls)
    assert StageStatus.DONE not in _shadows(farm)
    farm.wait_ready(variants.second())

    wait_until(lambda: _shadows(farm) == [StageStatus.DONE] * 2, 60)
    assert set(variants.done_by(calls)) == {"v1"}


def test_shadows_of_jobs_find_their_workers(farm: Farm) -> None:
    farm.env["CALLYTICS_MODELS__ANALYSE__VARIANTS"] = json.dumps(VARIANTS)
    farm.env["CALLYTICS_MODELS__SUMMARIZE__VARIANTS"] = json.dumps(VARIANTS)
    workers = [farm.worker("slm,mlm"), farm.worker("slm.v2,mlm.v2")]
    with unit_of_work(farm.sessions) as session:
        for queue in (Queue.SLM, Queue.MLM):
            session.add(ModelRoute(queue=queue, weights={"v1": 1}, shadow="v2"))
    for worker in workers:
        farm.wait_ready(worker)
    desk = BatchDesk(farm.sessions, farm.settings, insert_client(farm.sessions))
    question = Question(
        client_id=desk.client_id,
        consultation_id="CL-1",
        conversation=CONVERSATION,
        priority=Priority.HIGH,
    )

    farm.send(quick_summary.ask(farm.sessions, question, farm.settings).hints)
    desk.submit(farm.settings.batch.size, url=None)
    farm.send(desk.sent)

    wait_until(lambda: _shadows(farm) == [StageStatus.DONE] * (1 + farm.settings.batch.size), 60)


def _shadows(farm: Farm) -> list[StageStatus]:
    with farm.sessions() as session:
        return list(session.scalars(select(Job.status).join(ShadowRun, ShadowRun.id == Job.id)))
