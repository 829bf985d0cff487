"""variants of models: who may take what, routes, shadow runs"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

VARIED = ("stage_runs", "stage_attempts", "jobs")
KINDS = ("quick_summary", "analysis", "call_ended", "delivery", "diagnosis")
SHADOW_KINDS = (
    "shadow_diarize",
    "shadow_transcribe",
    "shadow_punctuate",
    "shadow_sentiment",
    "shadow_summarize",
)
STAGES = ("preprocess", "diarize", "transcribe", "merge", "punctuate", "sentiment", "summarize")


def upgrade() -> None:
    for table in VARIED:
        variant = sa.Column("variant", sa.String(32), nullable=False, server_default="v1")
        op.add_column(table, variant)
    _allow_kinds(*KINDS, *SHADOW_KINDS)
    op.create_table(
        "model_routes",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("queue", sa.String(32), nullable=False),
        sa.Column("weights", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("shadow", sa.String(32), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("undoes", sa.BigInteger(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
        ),
        sa.ForeignKeyConstraint(
            ["undoes"], ["model_routes.id"], name=op.f("fk_model_routes_undoes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_routes")),
    )
    op.create_index("ix_model_routes_queue", "model_routes", ["queue", sa.text("id DESC")])
    op.create_table(
        "shadow_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column(
            "stage",
            sa.Enum(*STAGES, name="stage", native_enum=False, length=32, create_constraint=True),
            nullable=False,
        ),
        sa.Column("main_attempt", sa.Integer(), nullable=False),
        sa.Column("main_variant", sa.String(32), nullable=False),
        sa.Column("input", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("output", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("revision", sa.String(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("audio_s", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name=op.f("fk_shadow_runs_call_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["id"], ["jobs.id"], name=op.f("fk_shadow_runs_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadow_runs")),
    )
    op.create_index(op.f("ix_shadow_runs_call_id"), "shadow_runs", ["call_id"])


def downgrade() -> None:
    op.drop_table("shadow_runs")
    op.drop_table("model_routes")
    op.execute(sa.text("DELETE FROM jobs WHERE kind LIKE 'shadow_%'"))
    _allow_kinds(*KINDS)
    for table in reversed(VARIED):
        op.drop_column(table, "variant")


def _allow_kinds(*kinds: str) -> None:
    op.drop_constraint(op.f("ck_jobs_jobkind"), "jobs")
    known = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(op.f("ck_jobs_jobkind"), "jobs", f"kind IN ({known})")
