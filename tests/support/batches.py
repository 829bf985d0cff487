"""Consultations on their way through batches, with rows whose times a test can move."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from uuid import UUID, uuid4

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.batches import AnalysisItems, Batches
from callytics.db.engine import unit_of_work
from callytics.db.models import AnalysisBatch, AnalysisItem, Client, Delivery
from callytics.domain.jobs import JobKind
from callytics.services import batches
from callytics.services.batch_items import AnalysisWork
from callytics.services.batches import BatchRequest, Consultation, Placed
from callytics.services.job import run_job
from callytics.services.job_work import JobHint
from callytics.services.stage import AnyHint, Outcome, StageContext
from callytics.settings import PipelineSettings, Settings
from tests.support.calls import NoStore
from tests.support.chat import CONVERSATION, ScriptedChat

CALLBACK = "https://centerlink.example/webhook"
FAST = PipelineSettings(lease_s=1, retry_base_s=0.001, retry_max_s=0.001, hint_after_s=0.01)


def insert_client(sessions: sessionmaker[Session]) -> UUID:
    client_id = uuid4()
    with unit_of_work(sessions) as session:
        session.add(Client(id=client_id, name=f"client-{client_id.hex[:12]}"))
    return client_id


@dataclass
class BatchDesk:
    """One client's batches; `run` does what workers of the medium model would."""

    sessions: sessionmaker[Session]
    settings: Settings
    client_id: UUID
    chat: ScriptedChat = field(default_factory=ScriptedChat)
    sent: list[JobHint] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def consultations(self, number: int) -> list[Consultation]:
        return [
            Consultation(consultation_id=f"CL-{next(self._numbers):04}", conversation=CONVERSATION)
            for _ in range(number)
        ]

    def submit(
        self,
        consultations: int | Sequence[Consultation],
        *,
        url: str | None = CALLBACK,
        key: str | None = None,
    ) -> Placed:
        some = (
            self.consultations(consultations) if isinstance(consultations, int) else consultations
        )
        request = BatchRequest(
            client_id=self.client_id, consultations=some, callback_url=url, idempotency_key=key
        )
        placed = batches.submit(self.sessions, request, self.settings)
        self.send(placed.hints)
        return placed

    def send(self, hints: Sequence[AnyHint]) -> None:
        self.sent.extend(hint for hint in hints if isinstance(hint, JobHint))

    def tick(self) -> None:
        self.send(batches.close_due(self.sessions, self.settings))

    def context(self, worker: str = "w1") -> StageContext:
        return StageContext(
            sessions=self.sessions,
            works={},
            store=NoStore(),
            send=lambda hints: self.send(list(hints)),
            worker=worker,
            settings=FAST,
            jobs={JobKind.ANALYSIS: AnalysisWork(self.chat.named)},
        )

    def run(self) -> list[Outcome]:
        """Every analysis that the broker was told of; deliveries stay where they are."""
        outcomes = []
        while told := next((one for one in self.sent if one.kind is JobKind.ANALYSIS), None):
            self.sent.remove(told)
            outcomes.append(run_job(self.context(), told.kind, told.job_id))
        return outcomes

    def age(self, by: timedelta) -> None:
        """Open batches become older."""
        with unit_of_work(self.sessions) as session:
            session.execute(
                update(AnalysisBatch)
                .where(AnalysisBatch.closed_at.is_(None))
                .values(
                    created_at=AnalysisBatch.created_at - by,
                    closes_at=AnalysisBatch.closes_at - by,
                )
            )

    def batches(self) -> list[AnalysisBatch]:
        """In the order of their numbers."""
        with unit_of_work(self.sessions) as session:
            return list(
                session.scalars(
                    select(AnalysisBatch)
                    .where(AnalysisBatch.client_id == self.client_id)
                    .order_by(func.length(AnalysisBatch.name), AnalysisBatch.name)
                )
            )

    def batch(self, name: str) -> AnalysisBatch:
        with unit_of_work(self.sessions) as session:
            return Batches(session).get(None, name)

    def items(self, name: str) -> Sequence[AnalysisItem]:
        with unit_of_work(self.sessions) as session:
            return AnalysisItems(session).of(Batches(session).get(None, name).id)

    def deliveries(self) -> list[Delivery]:
        with unit_of_work(self.sessions) as session:
            query = select(Delivery).where(Delivery.client_id == self.client_id)
            return list(session.scalars(query.order_by(Delivery.created_at)))

    def closed_sizes(self) -> list[int]:
        return [batch.size for batch in self.batches() if batch.closed_at is not None]

    def open_sizes(self) -> list[int]:
        return [batch.size for batch in self.batches() if batch.closed_at is None]
