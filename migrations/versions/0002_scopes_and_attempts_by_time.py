"""scopes of clients; the attempts that ended lately"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "clients",
        sa.Column(
            "scopes",
            postgresql.ARRAY(sa.String()),
            nullable=False,
            server_default="{calls:read,calls:write}",
        ),
    )
    op.alter_column("clients", "scopes", server_default=None)
    op.create_index(
        "ix_stage_attempts_finished_at",
        "stage_attempts",
        ["finished_at"],
        postgresql_using="brin",
    )


def downgrade() -> None:
    op.drop_index("ix_stage_attempts_finished_at", table_name="stage_attempts")
    op.drop_column("clients", "scopes")
