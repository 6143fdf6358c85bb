"""Slots store what their order depends on, so that the next one is found without scanning all of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0003"
down_revision = "v0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("slots", sa.Column("kind", sa.String(length=16), nullable=False, server_default=""))
    op.add_column("slots", sa.Column("order_key", sa.Integer(), nullable=False, server_default="0"))
    of_item = "SELECT {} FROM items WHERE items.id = slots.item_id"
    op.execute(
        f"UPDATE slots SET kind = ({of_item.format('items.kind')}), order_key = ({of_item.format('-items.priority')})"
    )
    is_open = sa.text("state <> 'done'")
    op.create_index(
        "ix_slots_open",
        "slots",
        ["kind", "order_key", "item_id", "place"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def downgrade() -> None:
    op.drop_index("ix_slots_open", "slots")
    op.drop_column("slots", "order_key")
    op.drop_column("slots", "kind")
