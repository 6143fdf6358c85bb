"""Requests per address, counted by all servers of the database together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0005"
down_revision = "v0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "request_counts",
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(length=80), nullable=False),
        sa.Column("num_drawn", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("minute", "address", name="pk_request_counts"),
    )


def downgrade() -> None:
    op.drop_table("request_counts")
