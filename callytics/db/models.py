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
    Index,
    LargeBinary,
    MetaData,
    String,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from callytics.domain.job import JobStatus, Priority
from callytics.domain.scopes import Scope
from callytics.domain.stages import Stage, StageStatus
from callytics.domain.transcript import Role


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
        JobStatus: _words(JobStatus),
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

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    completed_at: Mapped[datetime | None]

    stage_runs: Mapped[list["StageRun"]] = relationship(
        back_populates="call", lazy="raise", passive_deletes=True
    )
    turns: Mapped[list["CallTurn"]] = relationship(
        order_by="CallTurn.index", lazy="raise", passive_deletes=True
    )
    summary: Mapped["Summary | None"] = relationship(lazy="raise", passive_deletes=True)

    __table_args__ = (
        Index("ix_calls_client_created", "client_id", text("created_at DESC"), text("id DESC")),
        Index("ix_calls_client_consultation", "client_id", "consultation_id"),
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
    model: Mapped[str]
    revision: Mapped[str]
    prompt_version: Mapped[str] = mapped_column(String(32))
    seconds: Mapped[float]
    prompt_tokens: Mapped[int]
    output_tokens: Mapped[int]
    checks: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


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


class IdempotencyKey(Base):
    """A key that a client sent, and the call that came of it."""

    __tablename__ = "idempotency_keys"

    client_id: Mapped[UUID] = mapped_column(
        ForeignKey("clients.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    call_id: Mapped[UUID] = mapped_column(ForeignKey("calls.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AudioPurge(Base):
    """Audio that is to be deleted: written with the row's deletion, removed once the store did it."""

    __tablename__ = "audio_purges"

    prefix: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
