"""The tables. State lives here and nowhere else."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from callytics.domain.batching import BatchStatus
from callytics.domain.delivery import Event
from callytics.domain.diagnosis import Kind, Language
from callytics.domain.job import JobStatus, Priority
from callytics.domain.jobs import JobKind
from callytics.domain.routes import FIRST
from callytics.domain.scopes import Scope
from callytics.domain.stages import Stage, StageStatus
from callytics.domain.transcript import Role
from callytics.logs import request_id
from callytics.tracing import trace_parent


def _words(enum_class: type[Any]) -> Enum:
    """An enum kept as text with a check: adding a value later is an easy migration."""
    return Enum(
        enum_class,
        native_enum=False,
        length=32,
        create_constraint=True,
        name=enum_class.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
    )


def _variant() -> Mapped[str]:
    return mapped_column(String(32), default=FIRST, server_default=FIRST)


def _request_id() -> Mapped[str | None]:
    """Of the request that had this done; the lines that are logged about it carry it."""
    return mapped_column(String(128), default=request_id)


def _trace_parent() -> Mapped[str | None]:
    """What its spans hang on (`traceparent` of W3C Trace Context); None: nobody traces."""
    return mapped_column(String(64), default=trace_parent)


def _cost() -> Mapped[float | None]:
    """Of the answers that its tokens are of, by the prices that were set; 0 without a price."""
    return mapped_column(Numeric(asdecimal=False))


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(none_as_null=True),
        list[Any]: JSONB(none_as_null=True),
        list[str]: ARRAY(String),
        BatchStatus: _words(BatchStatus),
        Event: _words(Event),
        JobKind: _words(JobKind),
        JobStatus: _words(JobStatus),
        Kind: _words(Kind),
        Language: _words(Language),
        Priority: _words(Priority),
        Stage: _words(Stage),
        StageStatus: _words(StageStatus),
        Role: _words(Role),
    }


class Client(Base):
    """Who may call the API; `name` is the client_id of a bound key."""

    __tablename__ = "clients"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(default=lambda: list(Scope))
    rate_limit_per_minute: Mapped[int | None]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    secrets: Mapped[list["ClientSecret"]] = relationship(
        back_populates="client", lazy="raise", passive_deletes=True
    )


class ClientSecret(Base):
    """A secret that bound keys are signed with, encrypted. At most two of a client are live."""

    __tablename__ = "client_secrets"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    client_id: Mapped[UUID] = mapped_column(
        ForeignKey("clients.id", ondelete="CASCADE"), index=True
    )
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    client: Mapped[Client] = relationship(back_populates="secrets", lazy="raise")


class ApiKey(Base):
    """A key that stands for a client on the text services. Only its digest is kept."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    client_id: Mapped[UUID] = mapped_column(
        ForeignKey("clients.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str] = mapped_column(String(64))
    """What it is for, in the operator's words."""
    hint: Mapped[str] = mapped_column(String(16))
    """How it begins, to tell it from others."""
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Call(Base):
    """A call: what was asked for, and what was found that is not a turn, a stage or a summary."""

    __tablename__ = "calls"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    consultation_id: Mapped[str | None] = mapped_column(String(128))
    status: Mapped[JobStatus] = mapped_column(default=JobStatus.QUEUED)
    priority: Mapped[Priority] = mapped_column(default=Priority.NORMAL)

    language: Mapped[str | None] = mapped_column(String(8))
    """Asked for; None: found by the model."""
    hotwords: Mapped[list[str]] = mapped_column(default=list)
    channels: Mapped[dict[str, Any] | None]
    """Role -> channel number, as asked for."""
    stages: Mapped[list[str]]
    """The plan: every stage that this call goes through."""
    callback_url: Mapped[str | None]
    analyse: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """Whether the call joins a batch for the full analysis when it is completed."""
    details: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)

    audio_key: Mapped[str | None]
    """The original in the audio store; None until an `audio_url` was fetched."""
    audio_url: Mapped[str | None]
    audio_bytes: Mapped[int | None] = mapped_column(BigInteger)
    audio_sha256: Mapped[str | None] = mapped_column(String(64))
    duration_s: Mapped[float | None]
    detected_language: Mapped[str | None] = mapped_column(String(8))

    speaker_roles: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Speaker -> role, where a person corrected what was found."""
    sentiment: Mapped[dict[str, Any] | None]
    metrics: Mapped[dict[str, Any] | None]

    request_id: Mapped[str | None] = _request_id()
    trace_parent: Mapped[str | None] = _trace_parent()
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    completed_at: Mapped[datetime | None]
    audio_purged_at: Mapped[datetime | None]
    """Since when its audio is gone although the row stays."""
    text_purged_at: Mapped[datetime | None]
    """The same of what was said in it."""

    stage_runs: Mapped[list["StageRun"]] = relationship(
        back_populates="call", lazy="raise", passive_deletes=True
    )
    turns: Mapped[list["CallTurn"]] = relationship(
        order_by="CallTurn.index", lazy="raise", passive_deletes=True
    )
    summary: Mapped["Summary | None"] = relationship(lazy="raise", passive_deletes=True)
    analyses: Mapped[list["AnalysisItem"]] = relationship(
        order_by="AnalysisItem.batch_id", lazy="raise", viewonly=True
    )

    __table_args__ = (
        Index("ix_calls_client_created", "client_id", text("created_at DESC"), text("id DESC")),
        Index("ix_calls_client_consultation", "client_id", "consultation_id"),
        Index("ix_calls_completed_at", "completed_at", postgresql_using="brin"),
        # What retention looks through; what it has been at stays out.
        Index(
            "ix_calls_with_audio",
            "created_at",
            postgresql_where=text("audio_purged_at IS NULL"),
        ),
        Index(
            "ix_calls_with_text",
            "created_at",
            postgresql_where=text("text_purged_at IS NULL"),
        ),
        Index("ix_calls_created_at", "created_at", "id"),
    )


class StageRun(Base):
    """One stage of one call: where it stands, who holds it, what came out.

    `attempt` only grows, over re-runs too, so it tells a live run from a stale twin.
    `attempt_limit` is where the sweeper gives up; a re-run raises it.
    """

    __tablename__ = "stage_runs"

    call_id: Mapped[UUID] = mapped_column(
        ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True
    )
    stage: Mapped[Stage] = mapped_column(primary_key=True)
    status: Mapped[StageStatus] = mapped_column(default=StageStatus.WAITING)
    attempt: Mapped[int] = mapped_column(default=0)
    attempt_limit: Mapped[int]
    queued_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    """Not before this time; None: at once."""
    hinted_at: Mapped[datetime | None]
    """When the broker was last told."""
    hints: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    progress: Mapped[float | None]
    problem: Mapped[dict[str, Any] | None]

    output: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    """What later stages read and no table of its own holds."""
    model: Mapped[str | None]
    revision: Mapped[str | None]
    device: Mapped[str | None]
    model_settings: Mapped[dict[str, Any] | None]
    audio_s: Mapped[float | None]
    variant: Mapped[str] = _variant()
    """Of its model: whose workers may take it, and who did it in the end."""

    call: Mapped[Call] = relationship(back_populates="stage_runs", lazy="raise")

    __table_args__ = (
        CheckConstraint("attempt <= attempt_limit", name="attempts"),
        # What the sweeper and the metrics look for; done stages, nearly all rows, stay out.
        Index(
            "ix_stage_runs_open",
            "status",
            "stage",
            "queued_at",
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
    )


class StageAttempt(Base):
    """The log of attempts: one row a claim, closed once with its outcome. Never changed after that."""

    __tablename__ = "stage_attempts"

    call_id: Mapped[UUID] = mapped_column(
        ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True
    )
    stage: Mapped[Stage] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    worker: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(64))
    """`done`, `abandoned`, or the code of the problem."""
    variant: Mapped[str] = _variant()
    wait_s: Mapped[float | None]
    """That the stage was due, and no worker took it."""
    audio_s: Mapped[float | None]
    """That was worked through."""

    # The log grows in order of time, so a few pages of BRIN find what ended lately.
    __table_args__ = (
        Index("ix_stage_attempts_finished_at", "finished_at", postgresql_using="brin"),
    )


class CallTurn(Base):
    __tablename__ = "turns"

    call_id: Mapped[UUID] = mapped_column(
        ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True
    )
    index: Mapped[int] = mapped_column(primary_key=True)
    start_s: Mapped[float]
    end_s: Mapped[float]
    speaker: Mapped[str] = mapped_column(String(32))
    role: Mapped[Role]
    role_confidence: Mapped[float]
    text: Mapped[str]
    words: Mapped[list[Any]] = mapped_column(deferred=True)
    sentences: Mapped[list[Any]] = mapped_column(default=list)
    sentiment: Mapped[dict[str, Any] | None]


class Summary(Base):
    """The sentence for the agent's screen, and what it takes to trust it."""

    __tablename__ = "summaries"

    call_id: Mapped[UUID] = mapped_column(
        ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True
    )
    text: Mapped[str]
    provider: Mapped[str | None] = mapped_column(String(64))
    """Who answered; None where nobody was asked."""
    model: Mapped[str]
    revision: Mapped[str]
    prompt_version: Mapped[str] = mapped_column(String(32))
    seconds: Mapped[float]
    prompt_tokens: Mapped[int]
    output_tokens: Mapped[int]
    cost_usd: Mapped[float | None] = _cost()
    checks: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Job(Base):
    """Work beside the pipeline: where it stands and who holds it. What it is about stands in the table
    of its kind, under the same id.

    `attempt` only grows, over re-runs too, so it tells a live run from a stale twin.
    """

    __tablename__ = "jobs"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    kind: Mapped[JobKind]
    priority: Mapped[Priority] = mapped_column(default=Priority.NORMAL)
    status: Mapped[StageStatus] = mapped_column(default=StageStatus.WAITING)
    attempt: Mapped[int] = mapped_column(default=0)
    attempt_limit: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    queued_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    """Not before this time; None: at once."""
    hinted_at: Mapped[datetime | None]
    """When the broker was last told."""
    hints: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    problem: Mapped[dict[str, Any] | None]
    variant: Mapped[str] = _variant()
    """Of its model: whose workers may take it."""
    request_id: Mapped[str | None] = _request_id()
    trace_parent: Mapped[str | None] = _trace_parent()

    __table_args__ = (
        CheckConstraint("attempt <= attempt_limit", name="attempts"),
        Index("ix_jobs_finished_at", "finished_at"),
        Index("ix_jobs_failed", "kind", postgresql_where=text("status = 'failed'")),
        Index(
            "ix_jobs_open",
            "kind",
            "status",
            "queued_at",
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
    )


class ModelRoute(Base):
    """How the work of a queue was shared among the variants of its model from then on; never changed.

    The newest row of a queue counts; where there is none, the settings do.
    """

    __tablename__ = "model_routes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    queue: Mapped[str] = mapped_column(String(32))
    weights: Mapped[dict[str, Any]]
    """Variant -> weight."""
    shadow: Mapped[str | None] = mapped_column(String(32))
    note: Mapped[str | None]
    undoes: Mapped[int | None] = mapped_column(ForeignKey("model_routes.id"))
    """The change that this row takes back; None: it is a change itself."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (Index("ix_model_routes_queue", "queue", text("id DESC")),)


class ShadowRun(Base):
    """What another variant makes of what a stage of a call, or a job, was done with. It is never shown."""

    __tablename__ = "shadow_runs"

    id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    call_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("calls.id", ondelete="CASCADE"), index=True
    )
    stage: Mapped[Stage | None]
    job_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), index=True
    )
    """What it repeats: a stage of a call, or a job."""
    main_attempt: Mapped[int]
    """The attempt at the stage, or the job, that it is compared with."""
    main_variant: Mapped[str] = mapped_column(String(32))
    input: Mapped[list[Any] | None] = mapped_column(deferred=True)
    """What was read, where it may be another by the time that the shadow runs."""
    output: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True), deferred=True)
    model: Mapped[str | None]
    revision: Mapped[str | None]
    seconds: Mapped[float | None]
    """That it computed."""
    audio_s: Mapped[float | None]

    __table_args__ = (
        CheckConstraint("num_nonnulls(call_id, stage) = 2 * num_nulls(job_id)", name="subject"),
    )


class QuickSummary(Base):
    """A conversation whose summary an agent waits for, and the answer."""

    __tablename__ = "quick_summaries"

    id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    consultation_id: Mapped[str] = mapped_column(String(128))
    conversation: Mapped[str] = mapped_column(deferred=True)
    ahead: Mapped[bool]
    """Whether the conversation was sent turn by turn before, so that the engine has read it."""
    content_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of what the answer depends on, the model's revision apart."""
    received_at: Mapped[datetime]
    deadline_at: Mapped[datetime]
    late: Mapped[bool] = mapped_column(default=False)
    """The deadline could not be made: the client was told to fetch the answer."""
    text: Mapped[str | None]
    provider: Mapped[str | None] = mapped_column(String(64))
    """Who answered; None where nobody was asked."""
    model: Mapped[str | None]
    revision: Mapped[str | None]
    prompt_version: Mapped[str | None] = mapped_column(String(32))
    seconds: Mapped[float | None]
    """That the model took."""
    prompt_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    cost_usd: Mapped[float | None] = _cost()
    checks: Mapped[dict[str, Any] | None]

    job: Mapped[Job] = relationship(lazy="raise")

    __table_args__ = (
        Index("ix_quick_summaries_client_content", "client_id", "content_hash", "received_at"),
        Index("ix_quick_summaries_received_at", "received_at"),
    )


class SentimentRequest(Base):
    """Texts that somebody waits to have judged, as many as go to the model at once, and what it said.

    Who asked takes the row with the answer. It is not worth a crash of PostgreSQL: its client asks again.
    """

    __tablename__ = "sentiment_requests"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """Of the request; its parts share it."""
    part: Mapped[int] = mapped_column(primary_key=True)
    variant: Mapped[str] = mapped_column(String(32), server_default="v1")
    """Of the model that is to judge."""
    texts: Mapped[list[Any]]
    size: Mapped[int]
    """What they cost the model, in texts of usual length."""
    status: Mapped[StageStatus]
    attempt: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    due_at: Mapped[datetime]
    """Its place in the queue: a long request's later parts let others pass."""
    deadline_at: Mapped[datetime]
    """Nobody waits any more."""
    judgements: Mapped[list[Any] | None]
    model: Mapped[dict[str, Any] | None]
    """Name, revision and fingerprint of what judged, and how many texts it judged together."""
    problem: Mapped[dict[str, Any] | None]

    __table_args__ = (
        Index(
            "ix_sentiment_requests_open",
            "variant",
            "due_at",
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
        {"prefixes": ["UNLOGGED"]},
    )


class Conversation(Base):
    """A conversation that goes on: its turns are sent as they are spoken."""

    __tablename__ = "conversations"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    consultation_id: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())

    turns: Mapped[list["SpokenTurn"]] = relationship(
        order_by="SpokenTurn.index", lazy="raise", passive_deletes=True
    )

    __table_args__ = (
        Index("uq_conversations_client_consultation", "client_id", "consultation_id", unique=True),
    )


class SpokenTurn(Base):
    """One turn of a conversation that goes on."""

    __tablename__ = "spoken_turns"

    conversation_id: Mapped[UUID] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True
    )
    index: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[Role]
    text: Mapped[str]


class AnalysisBatch(Base):
    """Consultations that are analysed together and called back together.

    It is open until `closed_at`: its members and parameters are frozen from then on.
    """

    __tablename__ = "analysis_batches"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    """`BATCH-20250913-001`: the day (UTC) that it was opened, and a count."""
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    callback_url: Mapped[str | None]
    status: Mapped[BatchStatus] = mapped_column(default=BatchStatus.QUEUED)
    size: Mapped[int] = mapped_column(default=0)
    """Consultations in it."""
    capacity: Mapped[int]
    """How many close it, as set when it was opened."""
    run_no: Mapped[int] = mapped_column(default=1)
    """The latest run."""
    input_file_id: Mapped[UUID | None]
    """The file that it was made of, which may be gone by now."""
    details: Mapped[dict[str, Any] | None] = mapped_column("metadata")
    """The client's own notes on a batch that was made of a file."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    closes_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]

    runs: Mapped[list["AnalysisRun"]] = relationship(
        order_by="AnalysisRun.run_no", lazy="raise", passive_deletes=True
    )

    __table_args__ = (
        CheckConstraint("size <= capacity", name="size"),
        Index("ix_analysis_batches_open", "closes_at", postgresql_where=text("closed_at IS NULL")),
        Index("ix_analysis_batches_closed_at", "closed_at"),
        # What the tick looks through; batches that ended, nearly all rows, stay out.
        Index(
            "ix_analysis_batches_unsettled",
            "id",
            postgresql_where=text("status = 'queued' AND closed_at IS NOT NULL"),
        ),
        Index(
            "uq_analysis_batches_open",
            "client_id",
            text("coalesce(callback_url, '')"),
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index(
            "ix_analysis_batches_client_created",
            "client_id",
            text("created_at DESC"),
            text("id DESC"),
        ),
    )


class BatchNumber(Base):
    """The last number given to a batch of a day."""

    __tablename__ = "batch_numbers"

    day: Mapped[str] = mapped_column(String(8), primary_key=True)
    last: Mapped[int]


class BatchFile(Base):
    """A file of consultations, a JSON line each, that a client sent to have a batch made of it."""

    __tablename__ = "batch_files"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    filename: Mapped[str] = mapped_column(String(255))
    size: Mapped[int]
    """Bytes."""
    content: Mapped[str] = mapped_column(deferred=True)
    created_at: Mapped[datetime] = mapped_column(index=True)


class AnalysisRun(Base):
    """One run over a batch: the first when it closes, one more each time that it is re-run.

    What the run is done with is frozen here; which revision answered stands with each result.
    """

    __tablename__ = "analysis_runs"

    batch_id: Mapped[UUID] = mapped_column(
        ForeignKey("analysis_batches.id", ondelete="CASCADE"), primary_key=True
    )
    run_no: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str]
    prompt_version: Mapped[str] = mapped_column(String(32))
    options: Mapped[dict[str, Any]]
    items: Mapped[int]
    """How many consultations this run analyses."""
    started_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    completed_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_analysis_runs_completed_at", "completed_at", postgresql_using="brin"),
    )


class AnalysisItem(Base):
    """A consultation that waits for its analysis, or has it."""

    __tablename__ = "analysis_items"

    id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    batch_id: Mapped[UUID] = mapped_column(ForeignKey("analysis_batches.id", ondelete="CASCADE"))
    position: Mapped[int]
    """Place in the batch, from 0."""
    run_no: Mapped[int] = mapped_column(default=1)
    """The latest run that analyses it."""
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    consultation_id: Mapped[str] = mapped_column(String(128))
    call_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("calls.id", ondelete="SET NULL"), index=True
    )
    """The call whose turns are analysed, where no text was sent."""
    conversation: Mapped[str | None] = mapped_column(deferred=True)
    content_hash: Mapped[str] = mapped_column(String(64))
    """Empty: the consultation was purged, only its place is left."""
    with_evidence: Mapped[bool] = mapped_column(default=False)
    """Whether the callback is to carry what each part rests on."""
    details: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)

    job: Mapped[Job] = relationship(lazy="raise")
    batch: Mapped[AnalysisBatch] = relationship(lazy="raise")
    results: Mapped[list["AnalysisResult"]] = relationship(
        order_by="AnalysisResult.run_no", lazy="raise", passive_deletes=True
    )

    __table_args__ = (
        Index("uq_analysis_items_batch_position", "batch_id", "position", unique=True),
        Index("ix_analysis_items_client_consultation", "client_id", "consultation_id"),
    )

    @property
    def is_purged(self) -> bool:
        return not self.content_hash


class AnalysisResult(Base):
    """What one run found of one consultation: an analysis, or the problem that ended it."""

    __tablename__ = "analysis_results"

    item_id: Mapped[UUID] = mapped_column(
        ForeignKey("analysis_items.id", ondelete="CASCADE"), primary_key=True
    )
    run_no: Mapped[int] = mapped_column(primary_key=True)
    analysis: Mapped[dict[str, Any] | None]
    quality_score: Mapped[float | None]
    problem: Mapped[dict[str, Any] | None]
    attempts: Mapped[int]
    provider: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str | None]
    revision: Mapped[str | None]
    prompt_version: Mapped[str | None] = mapped_column(String(32))
    seconds: Mapped[float | None]
    prompt_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    cost_usd: Mapped[float | None] = _cost()
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (
        Index(
            "ix_analysis_results_rate",
            "model",
            text("created_at DESC"),
            postgresql_where=text("seconds IS NOT NULL"),
        ),
    )


class Diagnosis(Base):
    """A skin complaint, and what a model makes of it."""

    __tablename__ = "diagnoses"

    id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    content_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of what the answer depends on."""
    rests_on: Mapped[Kind]
    language: Mapped[Language]
    text: Mapped[str | None] = mapped_column(deferred=True)
    image: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    """The small plain JPEG; what was sent is kept nowhere."""
    image_sizes: Mapped[dict[str, Any] | None]
    """Format, bytes, width and height before and after."""
    received_at: Mapped[datetime]
    deadline_at: Mapped[datetime]
    reused: Mapped[int] = mapped_column(default=0)
    """Later requests with the same content that were given this one."""
    result: Mapped[dict[str, Any] | None]
    provider: Mapped[str | None]
    model: Mapped[str | None]
    revision: Mapped[str | None]
    prompt_version: Mapped[str | None] = mapped_column(String(32))
    seconds: Mapped[float | None]
    """That the model took."""
    prompt_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    cost_usd: Mapped[float | None] = _cost()

    job: Mapped[Job] = relationship(lazy="raise")

    __table_args__ = (
        Index("ix_diagnoses_client_content", "client_id", "content_hash", "received_at"),
        Index("ix_diagnoses_received_at", "received_at"),
    )


class CallEnding(Base):
    """A call that came to its end, and whose end is to be told."""

    __tablename__ = "call_endings"

    id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    call_id: Mapped[UUID] = mapped_column(ForeignKey("calls.id", ondelete="CASCADE"), index=True)


class Endpoint(Base):
    """A callback address of a client, and how it has been doing."""

    __tablename__ = "endpoints"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    url: Mapped[str]
    origin: Mapped[str] = mapped_column(index=True)
    """Scheme, host and port of the address: of one server only so many attempts are made at once."""
    failures: Mapped[int] = mapped_column(default=0)
    """Attempts in a row that failed."""
    paused_until: Mapped[datetime | None]
    """Its deliveries wait until then; the first one after that is the probe."""
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None] = mapped_column(String(64))
    last_success_at: Mapped[datetime | None]
    last_failure_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("uq_endpoints_client_url", "client_id", "url", unique=True),)


class Delivery(Base):
    """A callback: what is sent, word for word, over all its attempts. Its id is the `webhook-id`."""

    __tablename__ = "deliveries"

    id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.id"))
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("endpoints.id"), index=True)
    event: Mapped[Event]
    key: Mapped[str] = mapped_column(String(128), unique=True)
    """What it tells of: one run of one batch, one end of one call. Nothing is told twice."""
    batch_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("analysis_batches.id", ondelete="CASCADE"), index=True
    )
    run_no: Mapped[int | None]
    call_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("calls.id", ondelete="SET NULL"), index=True
    )
    body: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    supersedes: Mapped[UUID | None]
    """The earlier delivery that told of the same."""
    tries: Mapped[int] = mapped_column(default=0)
    """Attempts since it was made, or last replayed."""
    refusals: Mapped[int] = mapped_column(default=0)
    """Those of them that met what another try hardly mends."""
    due_at: Mapped[datetime | None]
    """When the schedule has it tried next; None: at once. Its job may wait longer, for its endpoint."""
    replays: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    delivered_at: Mapped[datetime | None]

    job: Mapped[Job] = relationship(lazy="raise")
    endpoint: Mapped[Endpoint] = relationship(lazy="raise")
    attempts: Mapped[list["DeliveryAttempt"]] = relationship(
        order_by="DeliveryAttempt.attempt", lazy="raise", passive_deletes=True
    )

    __table_args__ = (
        Index(
            "ix_deliveries_client_created", "client_id", text("created_at DESC"), text("id DESC")
        ),
        Index("ix_deliveries_created", text("created_at DESC"), text("id DESC")),
    )


class DeliveryAttempt(Base):
    """One request to the endpoint, and what came back."""

    __tablename__ = "delivery_attempts"

    delivery_id: Mapped[UUID] = mapped_column(
        ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(primary_key=True)
    """The attempt of the job that made it."""
    started_at: Mapped[datetime]
    seconds: Mapped[float]
    status: Mapped[int | None]
    """The HTTP status; None: no answer came."""
    problem: Mapped[str | None] = mapped_column(String(64))
    """Why it was no success, as a code."""
    answer: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    """The first 2 kB of the answer's body."""
    verdict: Mapped[str] = mapped_column(String(16))
    recorded_at: Mapped[datetime | None] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (
        Index("ix_delivery_attempts_recorded_at", "recorded_at", postgresql_using="brin"),
    )


class WorkerHeartbeat(Base):
    """What a worker says of itself. Readiness is judged from these rows alone."""

    __tablename__ = "worker_heartbeats"

    worker: Mapped[str] = mapped_column(String(128), primary_key=True)
    queues: Mapped[list[str]]
    state: Mapped[str] = mapped_column(String(16))
    """loading, warming, ready, failed or stopped"""
    pid: Mapped[int]
    device: Mapped[str]
    models: Mapped[dict[str, Any]]
    """Stage -> status, model, revision, device, load_seconds, problem."""
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    beat_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Tick(Base):
    """When the timetable's work was last done, whoever did it."""

    __tablename__ = "ticks"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    """sweep, close_batches or tidy"""
    at: Mapped[datetime]


class ProviderChoice(Base):
    """Who answers for a task, in order, where it is not whom the settings say."""

    __tablename__ = "provider_choices"

    task: Mapped[str] = mapped_column(String(32), primary_key=True)
    providers: Mapped[list[str]]
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ProviderUsage(Base):
    """Requests to providers, added up by the hour; never what was asked or answered."""

    __tablename__ = "provider_usage"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(String(32), primary_key=True)
    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(String(32), primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger)
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
    cost_usd: Mapped[float]
    seconds: Mapped[float]


class IdempotencyKey(Base):
    """A key that a client sent, and what came of it: a call, or the answer that was given."""

    __tablename__ = "idempotency_keys"

    client_id: Mapped[UUID] = mapped_column(
        ForeignKey("clients.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    call_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("calls.id", ondelete="CASCADE"), index=True
    )
    answer: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Purge(Base):
    """That something was purged: by whom, when, and how much; never whose."""

    __tablename__ = "purges"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    actor: Mapped[str] = mapped_column(String(128))
    """`retention`, or the account and machine that the command was given at."""
    reason: Mapped[str] = mapped_column(String(16))
    """age or consultation"""
    scope: Mapped[str] = mapped_column(String(16))
    """audio, text or all"""
    before: Mapped[datetime | None]
    """By age: what is older was purged."""
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Kind of row -> how many, as of the last step that went through."""
    started_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    finished_at: Mapped[datetime | None]
    """None: it goes on, or was cut short and is to be asked for again."""


class AudioPurge(Base):
    """Audio that is to be deleted: written with the row's deletion, removed once the store did it."""

    __tablename__ = "audio_purges"

    prefix: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class MetricSum(Base):
    """What a metric has come to over all processes, and over their restarts: what was observed in one bucket.

    A counter has one row for its labels, whose bucket has no bound.
    """

    __tablename__ = "metric_sums"

    metric: Mapped[str] = mapped_column(String(64), primary_key=True)
    labels: Mapped[list[str]] = mapped_column(primary_key=True)
    """Values, in the order of the metric's labels."""
    le: Mapped[float] = mapped_column(primary_key=True)
    """The bucket's upper bound."""
    observations: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[float]


class MetricMark(Base):
    """Up to when the logs of what ended are summed up in `metric_sums`; one row."""

    __tablename__ = "metric_marks"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    counted_until: Mapped[datetime]
