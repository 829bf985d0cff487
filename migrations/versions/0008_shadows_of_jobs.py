"""shadow runs of quick summaries and analyses"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

KINDS = (
    "quick_summary",
    "analysis",
    "call_ended",
    "delivery",
    "diagnosis",
    "shadow_diarize",
    "shadow_transcribe",
    "shadow_punctuate",
    "shadow_sentiment",
    "shadow_summarize",
)
SHADOW_KINDS = ("shadow_quick_summary", "shadow_analysis")


def upgrade() -> None:
    _allow_kinds(*KINDS, *SHADOW_KINDS)
    op.alter_column("shadow_runs", "call_id", nullable=True)
    op.alter_column("shadow_runs", "stage", nullable=True)
    op.add_column("shadow_runs", sa.Column("job_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_shadow_runs_job_id"),
        "shadow_runs",
        "jobs",
        ["job_id"],
        ["id"],
        ondelete="CASCADE",
    )
    op.create_index(op.f("ix_shadow_runs_job_id"), "shadow_runs", ["job_id"])
    op.create_check_constraint(
        op.f("ck_shadow_runs_subject"),
        "shadow_runs",
        "num_nonnulls(call_id, stage) = 2 * num_nulls(job_id)",
    )


def downgrade() -> None:
    known = ", ".join(f"'{kind}'" for kind in SHADOW_KINDS)
    op.execute(sa.text(f"DELETE FROM jobs WHERE kind IN ({known})"))  # noqa: S608 (our own names)
    op.drop_constraint(op.f("ck_shadow_runs_subject"), "shadow_runs")
    op.drop_column("shadow_runs", "job_id")
    op.alter_column("shadow_runs", "stage", nullable=False)
    op.alter_column("shadow_runs", "call_id", nullable=False)
    _allow_kinds(*KINDS)


def _allow_kinds(*kinds: str) -> None:
    op.drop_constraint(op.f("ck_jobs_jobkind"), "jobs")
    known = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(op.f("ck_jobs_jobkind"), "jobs", f"kind IN ({known})")
