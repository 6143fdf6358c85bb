"""Failed sign-ins store their origin, browsers are recognized, and people consent to the use of their labels."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tutelage.studio.tables import UtcTime

revision = "v0004"
down_revision = "v0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("consented_at", UtcTime(), nullable=True))
    op.add_column("failed_sign_ins", sa.Column("origin", sa.String(length=80), nullable=False, server_default=""))
    op.create_table(
        "known_devices",
        sa.Column("user_id", sa.String(length=16), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("seen_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_known_devices_user_id"),
        sa.PrimaryKeyConstraint("user_id", "token_hash", name="pk_known_devices"),
    )
    op.create_index("ix_known_devices_token_hash", "known_devices", ["token_hash"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_known_devices_token_hash", "known_devices")
    op.drop_table("known_devices")
    op.drop_column("failed_sign_ins", "origin")
    op.drop_column("users", "consented_at")
