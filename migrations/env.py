"""How Alembic reaches the database: by the connection that callytics/db/migrate.py hands over."""

from alembic import context
from sqlalchemy import text

from callytics.db.models import Base

# Any number that nothing else locks; two upgrades at once wait for each other.
_LOCK = 0x63616C6C

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    compare_server_default=True,
)
with context.begin_transaction():
    context.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    context.run_migrations()
