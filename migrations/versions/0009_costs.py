"""what an answer cost, beside its tokens"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

ANSWERED = ("summaries", "quick_summaries", "analysis_results", "diagnoses")


def upgrade() -> None:
    for table in ANSWERED:
        op.add_column(table, sa.Column("cost_usd", sa.Numeric(asdecimal=False), nullable=True))


def downgrade() -> None:
    for table in reversed(ANSWERED):
        op.drop_column(table, "cost_usd")
