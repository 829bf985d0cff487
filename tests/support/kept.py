"""One row of everything that may hold what people said, all of it saying the same word."""

from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import Engine, func, text
from sqlalchemy.orm import Session, sessionmaker

from callytics.db.engine import unit_of_work
from callytics.db.models import (
    AnalysisBatch,
    AnalysisItem,
    AnalysisResult,
    BatchFile,
    Call,
    CallTurn,
    Client,
    Conversation,
    Delivery,
    DeliveryAttempt,
    Diagnosis,
    Endpoint,
    IdempotencyKey,
    Job,
    QuickSummary,
    SentimentRequest,
    ShadowRun,
    SpokenTurn,
    StageRun,
    Summary,
)
from callytics.domain.batching import BatchStatus
from callytics.domain.delivery import Event, to_body
from callytics.domain.diagnosis import Kind, Language
from callytics.domain.job import JobStatus
from callytics.domain.jobs import JobKind
from callytics.domain.stages import Stage, StageStatus
from callytics.domain.transcript import Role
from callytics.ports import call_folder

OTHER = "CL-other"
"""A second consultation of the same batch and file, which says nothing of the first."""


def keep(
    sessions: sessionmaker[Session],
    word: str,
    *,
    status: StageStatus = StageStatus.DONE,
    age: timedelta = timedelta(),
) -> UUID:
    """The call's id. `word` is the consultation's id too; all came in `age` ago and stands at `status`."""
    with unit_of_work(sessions) as session:
        return _Kept(session, word, status, age).add()


class _Kept:
    def __init__(self, session: Session, word: str, status: StageStatus, age: timedelta) -> None:
        self._session, self._word, self._status = session, word, status
        self._ago = func.clock_timestamp() - age

    def add(self) -> UUID:
        client = Client(name=f"client-{uuid4().hex[:12]}")
        self._put(client)
        call = self._call(client.id)
        self._batch(client.id, call.id)
        self._waited_for(client.id)
        return call.id

    def _put(self, *rows: object) -> None:
        for row in rows:
            self._session.add(row)
            self._session.flush()

    def _job(self, kind: JobKind) -> UUID:
        job = Job(kind=kind, attempt_limit=3, status=self._status, created_at=self._ago)
        self._put(job)
        return job.id

    def _call(self, client_id: UUID) -> Call:
        word, id_ = self._word, uuid4()
        ended = self._status is StageStatus.DONE
        call = Call(
            id=id_,
            client_id=client_id,
            consultation_id=word,
            status=JobStatus.COMPLETED if ended else JobStatus.RUNNING,
            hotwords=[word],
            stages=[Stage.PREPROCESS.value],
            details={"note": word},
            audio_key=f"{call_folder(id_)}/original",
            audio_url=f"https://records.example/{word}",
            audio_bytes=10,
            sentiment={"label": "neutral", "score": 0.5},
            created_at=self._ago,
        )
        stage = StageRun(
            call_id=id_,
            stage=Stage.PREPROCESS,
            status=self._status,
            attempt_limit=4,
            output={"words": word},
        )
        turn = CallTurn(
            call_id=id_,
            index=0,
            start_s=0,
            end_s=1,
            speaker="A",
            role=Role.AGENT,
            role_confidence=1,
            text=word,
            words=[word],
            sentences=[word],
        )
        told = {"model": "m", "revision": "1", "prompt_version": "1", "seconds": 1.0}
        summary = Summary(
            call_id=id_, text=word, checks={"x": word}, prompt_tokens=1, output_tokens=1, **told
        )
        self._put(call, stage, turn, summary)
        self._shadow(call_id=id_, stage=Stage.TRANSCRIBE)
        self._callback(client_id, {"text": word}, Event.CALL_COMPLETED, call_id=id_)
        key = IdempotencyKey(
            client_id=client_id, key=f"send-{word}", request_hash="0", answer={"x": word}
        )
        self._put(key)
        return call

    def _shadow(self, **subject: object) -> None:
        job_id = self._job(JobKind.SHADOW_TRANSCRIBE)
        self._put(
            ShadowRun(
                id=job_id,
                main_attempt=1,
                main_variant="v1",
                input=[self._word],
                output=self._word,
                **subject,
            )
        )

    def _callback(self, client_id: UUID, body: object, event: Event, **about: object) -> None:
        endpoint = Endpoint(client_id=client_id, url=f"https://a.example/{uuid4()}", origin="a")
        self._put(endpoint)
        delivery_id = self._job(JobKind.DELIVERY)
        self._put(
            Delivery(
                id=delivery_id,
                client_id=client_id,
                endpoint_id=endpoint.id,
                event=event,
                key=str(uuid4()),
                body=to_body(body),  # type: ignore[arg-type]
                **about,
            ),
            DeliveryAttempt(
                delivery_id=delivery_id,
                attempt=1,
                started_at=self._ago,
                seconds=1,
                answer=self._word.encode(),
                verdict="delivered",
            ),
        )

    def _batch(self, client_id: UUID, call_id: UUID) -> None:
        word, ended = self._word, self._status is StageStatus.DONE
        batch = AnalysisBatch(
            name=f"BATCH-{uuid4().hex[:20]}",
            client_id=client_id,
            status=BatchStatus.COMPLETED if ended else BatchStatus.QUEUED,
            size=2,
            capacity=20,
            details={"note": word},
            closes_at=self._ago,
            closed_at=self._ago,
            completed_at=self._ago if ended else None,
        )
        self._put(batch)
        for position, said in enumerate((word, OTHER)):
            item_id = self._job(JobKind.ANALYSIS)
            item = AnalysisItem(
                id=item_id,
                batch_id=batch.id,
                position=position,
                client_id=client_id,
                consultation_id=said,
                conversation=said,
                content_hash="0" * 64,
                details={"note": said},
            )
            result = AnalysisResult(
                item_id=item_id, run_no=1, analysis={"summary": said}, attempts=1
            )
            self._put(item, result)
            if said == word:
                self._shadow(job_id=item_id)
        results = [{"consultation_id": said, "summary": said} for said in (word, OTHER)]
        body = {"batch_id": batch.name, "results": results, "errors": []}
        self._callback(client_id, body, Event.BATCH_COMPLETED, batch_id=batch.id, run_no=1)

    def _waited_for(self, client_id: UUID) -> None:
        word = self._word
        lines = "\n".join(f'{{"custom_id": "{said}"}}' for said in (word, OTHER))
        file = BatchFile(
            client_id=client_id, filename=word, size=1, content=lines, created_at=self._ago
        )
        conversation = Conversation(client_id=client_id, consultation_id=word, changed_at=self._ago)
        self._put(file, conversation)
        self._put(
            SpokenTurn(conversation_id=conversation.id, index=0, role=Role.AGENT, text=word),
            QuickSummary(
                id=self._job(JobKind.QUICK_SUMMARY),
                client_id=client_id,
                consultation_id=word,
                conversation=word,
                ahead=False,
                content_hash="0" * 64,
                received_at=self._ago,
                deadline_at=self._ago,
                text=word,
                checks={"x": word},
            ),
            Diagnosis(
                id=self._job(JobKind.DIAGNOSIS),
                client_id=client_id,
                content_hash="0" * 64,
                rests_on=next(iter(Kind)),
                language=next(iter(Language)),
                text=word,
                image=word.encode(),
                received_at=self._ago,
                deadline_at=self._ago,
                result={"x": word},
            ),
            SentimentRequest(
                id=uuid4(),
                part=0,
                texts=[word],
                size=1,
                status=StageStatus.DONE,
                created_at=self._ago,
                due_at=self._ago,
                deadline_at=self._ago,
                judgements=[word],
            ),
        )


def columns_saying(engine: Engine, word: str) -> set[tuple[str, str]]:
    """Every column of the database, whatever its type, that holds `word` somewhere."""
    with engine.connect() as connection:
        queries = connection.scalars(_QUERIES).all()
        rows = connection.execute(text(" UNION ALL ".join(queries)), {"word": word})
        return {(row.table, row.column) for row in rows}


_QUERIES = text("""
    SELECT format(
        'SELECT %L AS "table", %L AS "column" WHERE EXISTS ('
        'SELECT FROM %I WHERE strpos(' ||
        CASE data_type WHEN 'bytea' THEN 'encode(%I, ''escape'')' ELSE '%I::text' END ||
        ', \\:word) > 0)', table_name, column_name, table_name, column_name)
    FROM information_schema.columns WHERE table_schema = 'public'
""")
