"""What workers of the callback queue do, and a clock that need not be waited for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.adapters.callback_client import HttpCallbackClient
from callytics.db.deliveries import Deliveries
from callytics.db.engine import unit_of_work
from callytics.db.models import Client, Delivery, Endpoint, Job
from callytics.domain.delivery import Event
from callytics.domain.jobs import JobKind
from callytics.ports import CallbackAnswer, CallbackClient
from callytics.services import delivery, keys
from callytics.services.delivery import DeliveryWork
from callytics.services.job import run_job
from callytics.services.job_work import JobHint
from callytics.services.stage import Hint, Outcome, StageContext
from callytics.settings import CallbackSettings, Settings
from tests.support.calls import NoStore


@dataclass
class FakeCallbackClient:
    """Answers every request with `answer`; notes what it was given."""

    answer: CallbackAnswer
    posted: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        self.posted.append((url, headers, body))
        return self.answer


def answer(status: int | None = None, **values: object) -> CallbackAnswer:
    return CallbackAnswer(status=status, **{"seconds": 0.1, **values})  # type: ignore[arg-type]


@dataclass
class Deliverer:
    """`hints` is what the broker holds, `run` what a worker does with one delivery."""

    sessions: sessionmaker[Session]
    settings: Settings
    callbacks: CallbackSettings
    client: CallbackClient
    client_id: UUID
    hints: list[JobHint] = field(default_factory=list)

    @classmethod
    def make(
        cls,
        sessions: sessionmaker[Session],
        settings: Settings,
        client: CallbackClient | None = None,
        **callbacks: object,
    ) -> "Deliverer":
        """For the client `centerlink`, which is made here; `secret_of` says its secret."""
        own = CallbackSettings.model_validate(
            {"allowed_hosts": ["127.0.0.1"], "timeout_s": 10, **callbacks}
        )
        with unit_of_work(sessions) as session:
            keys.create(session, keys.make_cipher(settings), name="centerlink")
            client_id = session.scalars(select(Client.id)).one()
        return cls(
            sessions=sessions,
            settings=settings,
            callbacks=own,
            client=client or HttpCallbackClient(own),
            client_id=client_id,
        )

    @property
    def secrets(self) -> Sequence[str]:
        with unit_of_work(self.sessions) as session:
            return keys.live_secrets(session, keys.make_cipher(self.settings), self.client_id)

    def enqueue(self, url: str, *, key: str = "batch:1", body: bytes = b'{"batch_id":"1"}') -> UUID:
        with unit_of_work(self.sessions) as session:
            return delivery.enqueue(
                session,
                client_id=self.client_id,
                url=url,
                event=Event.BATCH_COMPLETED,
                key=key,
                body=body,
            ).job_id

    def run(self, delivery_id: UUID, *, worker: str = "test") -> Outcome:
        work = DeliveryWork(
            self.client, keys.make_cipher(self.settings), self.callbacks, jitter=lambda: 0.0
        )
        context = StageContext(
            sessions=self.sessions,
            works={},
            store=NoStore(),
            send=self._send,
            worker=worker,
            jobs={JobKind.DELIVERY: work},
        )
        return run_job(context, JobKind.DELIVERY, delivery_id)

    def _send(self, hints: Iterable[Hint | JobHint]) -> None:
        self.hints.extend(hint for hint in hints if isinstance(hint, JobHint))

    def get(self, delivery_id: UUID) -> Delivery:
        with unit_of_work(self.sessions) as session:
            return Deliveries(session).owned(None, delivery_id)

    def endpoint(self, url: str) -> Endpoint:
        with unit_of_work(self.sessions) as session:
            return session.scalars(select(Endpoint).where(Endpoint.url == url)).one()

    def wait_s(self, delivery_id: UUID) -> float:
        """Seconds until its job is due; 0 if it is."""
        with unit_of_work(self.sessions) as session:
            due, now = session.execute(
                select(Job.next_attempt_at, func.clock_timestamp()).where(Job.id == delivery_id)
            ).one()
        return max((due - now).total_seconds(), 0.0) if due is not None else 0.0

    def pass_time(self, hours: float) -> None:
        """As if so much time had gone by."""
        ago = timedelta(hours=hours)
        with unit_of_work(self.sessions) as session:
            session.execute(
                update(Job).values(
                    next_attempt_at=Job.next_attempt_at - ago, queued_at=Job.queued_at - ago
                )
            )
            session.execute(update(Delivery).values(due_at=Delivery.due_at - ago))
            session.execute(update(Endpoint).values(paused_until=Endpoint.paused_until - ago))
