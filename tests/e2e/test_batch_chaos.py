"""Batches and callbacks with real workers, beats, broker and receiver, each of which fails now and then."""

import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from uuid import UUID

import pytest
import redis
from cryptography.fernet import MultiFernet
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.adapters.callback_receiver import CallbackReceiver, Received, Reply
from callytics.db.clients import Clients
from callytics.db.engine import unit_of_work
from callytics.db.models import (
    AnalysisBatch,
    AnalysisItem,
    AnalysisResult,
    AnalysisRun,
    Delivery,
    Job,
)
from callytics.domain.batching import BatchStatus
from callytics.domain.jobs import JobKind
from callytics.domain.stages import StageStatus
from callytics.services import batches, keys
from callytics.services.batches import BatchRequest, Consultation
from callytics.settings import Settings
from tests.e2e.conftest import Farm
from tests.support.chat import CONVERSATION
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

ITEMS = 2000
FLUSHERS = 4
BREAKS = 10
WORKERS = ("mlm", "mlm", "callback", "control", "callback,control")
CHANCE = random.Random(20250913)
CLIENT = "centerlink"


class Centre(CallbackReceiver):
    """Fails a third of the time, half of these only after it has taken the callback in."""

    def __init__(self, secret: str) -> None:
        self.taken: Counter[tuple[str, int]] = Counter()
        """Batch and run -> how many callbacks of different ids told of it."""
        self.results: dict[str, int] = {}
        self.bad: list[tuple[str, ...]] = []
        super().__init__(
            ("127.0.0.1", 0), client_id=CLIENT, secrets=lambda: [secret], reply=self._answer
        )

    def _answer(self, received: Received) -> Reply:
        if received.faults:
            self.bad.append(received.faults)
            return Reply(status=401)
        if CHANCE.random() < 1 / 6:
            return Reply(status=500)
        if not received.repeated and received.id not in self.results:
            body = received.payload
            self.taken[body["batch_id"], body["run"]] += 1
            self.results[received.id] = len(body["results"])
        return Reply(status=503) if CHANCE.random() < 1 / 6 else Reply()


@pytest.fixture
def centre(sessions: sessionmaker[Session], settings: Settings) -> Iterator[Centre]:
    with unit_of_work(sessions) as session:
        cipher: MultiFernet = keys.make_cipher(settings)
        secret = keys.create(session, cipher, name=CLIENT)
    receiver = Centre(secret)
    thread = Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield receiver
    receiver.shutdown()
    thread.join()
    receiver.server_close()


@pytest.fixture
def farm(farm: Farm) -> Farm:
    farm.env |= {
        "CALLYTICS_CALLBACKS__ALLOWED_HOSTS": "127.0.0.1",
        "CALLYTICS_CALLBACKS__PAUSE_AFTER": "100000",
        "CALLYTICS_CALLBACKS__CONCURRENCY_PER_ENDPOINT": "8",
        "CALLYTICS_WORKERS__MLM__CONCURRENCY": "8",
        "CALLYTICS_BATCH__WINDOW_S": "2",
        "CALLYTICS_BATCH__TICK_EVERY_S": "0.5",
    }
    return farm


@pytest.mark.timeout(300)
def test_two_thousand_consultations_are_batched_and_told_once(
    farm: Farm, centre: Centre, settings: Settings
) -> None:
    window = settings.batch.model_copy(update={"window_s": 2.0})
    settings = settings.model_copy(update={"batch": window})
    running = {farm.worker(queues): queues for queues in WORKERS}
    for worker in running:
        farm.wait_ready(worker)
    for _ in range(2):
        farm.beat()
    client_id = client_of(farm)
    over = Event()

    def flush() -> None:
        while not over.wait(0.05):
            farm.send(batches.close_due(farm.sessions, settings))

    def hurry() -> None:
        while not over.wait(0.2):
            hurry_deliveries(farm)

    url = f"http://127.0.0.1:{centre.server_port}/webhook"
    with meanwhile(over, *[flush] * FLUSHERS, hurry, partial(break_things, farm, running, over)):
        send_everything(farm, settings, client_id, url)
        wait_until(lambda: all_told(farm, client_id), 240)

    assert centre.bad == []
    assert_each_once(farm, centre, client_id)


def send_everything(farm: Farm, settings: Settings, client_id: UUID, url: str) -> None:
    """In requests of all sizes, some of them sent twice under their key."""
    sizes: list[int] = []
    while sum(sizes) < ITEMS:
        sizes.append(min(CHANCE.randint(1, 50), ITEMS - sum(sizes)))

    def send(number: int) -> None:
        first = sum(sizes[:number])
        request = BatchRequest(
            client_id=client_id,
            callback_url=url,
            idempotency_key=f"request-{number}",
            consultations=[
                Consultation(consultation_id=f"CL-{n:04}", conversation=CONVERSATION)
                for n in range(first, first + sizes[number])
            ],
        )
        for _ in range(1 + number % 2):
            farm.send(batches.submit(farm.sessions, request, settings).hints)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(len(sizes))))


def break_things(farm: Farm, running: dict[subprocess.Popen[bytes], str], over: Event) -> None:
    """Now and then kill a worker, and start another for it, or wipe the broker."""
    with redis.Redis.from_url(farm.env["CALLYTICS_REDIS_URL"]) as broker:
        for _ in range(BREAKS):
            if over.wait(CHANCE.uniform(2, 5)):
                return
            if CHANCE.random() < 1 / 4:
                broker.flushall()
                continue
            victim = CHANCE.choice(list(running))
            queues = running.pop(victim)
            victim.send_signal(signal.SIGKILL)
            running[farm.worker(queues)] = queues


def hurry_deliveries(farm: Farm) -> None:
    """What the schedule would have wait for minutes is due now."""
    now = func.clock_timestamp()
    waiting = (Job.kind == JobKind.DELIVERY) & (Job.status == StageStatus.QUEUED)
    with unit_of_work(farm.sessions) as session:
        session.execute(
            update(Job).where(waiting, Job.next_attempt_at > now).values(next_attempt_at=now)
        )
        session.execute(update(Delivery).where(Delivery.due_at > now).values(due_at=now))


def all_told(farm: Farm, client_id: UUID) -> bool:
    """Whether every consultation is in a batch that ended, and every delivery has arrived."""
    with farm.sessions() as session:
        open_batches = session.scalar(
            select(func.count())
            .select_from(AnalysisBatch)
            .where(AnalysisBatch.status == BatchStatus.QUEUED)
        )
        undelivered = session.scalar(
            select(func.count())
            .select_from(Job)
            .where(Job.kind == JobKind.DELIVERY, Job.status != StageStatus.DONE)
        )
    return not open_batches and not undelivered


def assert_each_once(farm: Farm, centre: Centre, client_id: UUID) -> None:
    with farm.sessions() as session:
        found = session.scalars(
            select(AnalysisBatch).where(AnalysisBatch.client_id == client_id)
        ).all()
        members = session.execute(
            select(AnalysisItem.batch_id, func.count()).group_by(AnalysisItem.batch_id)
        ).all()
        ids = session.scalars(select(AnalysisItem.consultation_id)).all()
        runs = session.scalar(select(func.count()).select_from(AnalysisRun))
        results = session.scalar(select(func.count()).select_from(AnalysisResult))
        told = session.execute(select(Delivery.batch_id, Delivery.run_no, Delivery.id)).all()

    assert sorted(ids) == [f"CL-{n:04}" for n in range(ITEMS)]
    assert {batch.status for batch in found} == {BatchStatus.COMPLETED}
    assert {batch.id: batch.size for batch in found} == {row[0]: row[1] for row in members}
    assert all(0 < batch.size <= 20 for batch in found)
    assert results == ITEMS
    assert runs == len(found) == len(told)
    assert {(row.batch_id, row.run_no) for row in told} == {(batch.id, 1) for batch in found}
    # What the other side took in: one id for each run of each batch, every consultation once.
    assert centre.taken == Counter({(batch.name, 1): 1 for batch in found})
    assert set(centre.accepted) == set(centre.results) == {str(row.id) for row in told}
    assert sum(centre.results.values()) == ITEMS


def client_of(farm: Farm) -> UUID:
    with farm.sessions() as session:
        return Clients(session).get(CLIENT).id


@contextmanager
def meanwhile(over: Event, *jobs: Callable[[], None]) -> Iterator[None]:
    """Run these in threads until the block ends; what one of them raises is raised here."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        started = [pool.submit(job) for job in jobs]
        try:
            yield
        finally:
            over.set()
        for one in started:
            one.result()
