"""Run by Alembic inside the transaction that `studio.database` opened."""

from __future__ import annotations

from alembic import context

from tutelage.studio.screening_tables import ScreeningBatch

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=ScreeningBatch.metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
