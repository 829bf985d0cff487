"""sums of metrics in rows; whose request and whose trace a call and a job belong to"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ASKED_FOR = ("calls", "jobs")
LOGS = {
    "calls": "completed_at",
    "analysis_runs": "completed_at",
    "delivery_attempts": "recorded_at",
}


def upgrade() -> None:
    for table in ASKED_FOR:
        op.add_column(table, sa.Column("request_id", sa.String(128), nullable=True))
        op.add_column(table, sa.Column("trace_parent", sa.String(64), nullable=True))
    for column in ("wait_s", "audio_s"):
        op.add_column("stage_attempts", sa.Column(column, sa.Float(), nullable=True))
    # First the column, then its default: what is there already is not rewritten, and counts as long counted.
    op.add_column(
        "delivery_attempts", sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.alter_column("delivery_attempts", "recorded_at", server_default=sa.text("clock_timestamp()"))
    for table, column in LOGS.items():
        op.create_index(f"ix_{table}_{column}", table, [column], postgresql_using="brin")
    op.create_index(
        "ix_jobs_failed", "jobs", ["kind"], postgresql_where=sa.text("status = 'failed'")
    )
    op.create_table(
        "metric_sums",
        sa.Column("metric", sa.String(64), nullable=False),
        sa.Column("labels", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("le", sa.Float(), nullable=False),
        sa.Column("observations", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("metric", "labels", "le", name=op.f("pk_metric_sums")),
    )
    op.create_table(
        "metric_marks",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("counted_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metric_marks")),
    )
    op.execute("INSERT INTO metric_marks VALUES (1, clock_timestamp())")


def downgrade() -> None:
    op.drop_table("metric_marks")
    op.drop_table("metric_sums")
    op.drop_index("ix_jobs_failed", "jobs")
    for table, column in reversed(LOGS.items()):
        op.drop_index(f"ix_{table}_{column}", table)
    op.drop_column("delivery_attempts", "recorded_at")
    for column in ("audio_s", "wait_s"):
        op.drop_column("stage_attempts", column)
    for table in reversed(ASKED_FOR):
        op.drop_column(table, "trace_parent")
        op.drop_column(table, "request_id")
