"""what was purged and when, and when the timetable's work was last done"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

PURGED = ("audio", "text")


def upgrade() -> None:
    for what in PURGED:
        column = sa.Column(f"{what}_purged_at", sa.DateTime(timezone=True), nullable=True)
        op.add_column("calls", column)
        op.create_index(
            f"ix_calls_with_{what}",
            "calls",
            ["created_at"],
            postgresql_where=sa.text(f"{what}_purged_at IS NULL"),
        )
    op.create_index("ix_calls_created_at", "calls", ["created_at", "id"])
    op.create_table(
        "purges",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("counts", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purges")),
    )
    op.create_table(
        "ticks",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ticks")),
    )


def downgrade() -> None:
    op.drop_table("ticks")
    op.drop_table("purges")
    op.drop_index("ix_calls_created_at", "calls")
    for what in reversed(PURGED):
        op.drop_index(f"ix_calls_with_{what}", "calls")
        op.drop_column("calls", f"{what}_purged_at")
