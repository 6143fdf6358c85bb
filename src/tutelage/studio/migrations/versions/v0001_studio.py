"""The studio's first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from tutelage.studio.tables import UtcTime

revision = "v0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_TABLES = (
    "batches",
    "failed_sign_ins",
    "guidelines",
    "users",
    "api_tokens",
    "audit",
    "browser_sessions",
    "invites",
    "items",
    "drafts",
    "item_authors",
    "skips",
    "slots",
    "labels",
)


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
    )
    op.create_table(
        "failed_sign_ins",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("failed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_failed_sign_ins"),
    )
    op.create_index("ix_failed_sign_ins_name_failed_at", "failed_sign_ins", ["name", "failed_at"], unique=False)
    op.create_table(
        "guidelines",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("markdown", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_guidelines"),
        sa.UniqueConstraint("kind", "purpose", "version", name="uq_guidelines_kind_purpose_version"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("labeler_group", sa.String(length=16), nullable=False),
        sa.Column("quota", sa.Integer(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("revoked_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_tokens_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("token_hash", name="uq_api_tokens_token_hash"),
    )
    op.create_index("ix_api_tokens_user_id", "api_tokens", ["user_id"], unique=False)
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("happened_at", UtcTime(), nullable=False),
        sa.Column("user_id", sa.String(length=16), nullable=True),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_audit_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_table(
        "browser_sessions",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=16), nullable=False),
        sa.Column("csrf_token", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_browser_sessions_user_id"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_browser_sessions"),
    )
    op.create_index("ix_browser_sessions_user_id", "browser_sessions", ["user_id"], unique=False)
    op.create_table(
        "invites",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("labeler_group", sa.String(length=16), nullable=False),
        sa.Column("quota", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("used_by", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(["used_by"], ["users.id"], name="fk_invites_used_by"),
        sa.PrimaryKeyConstraint("id", name="pk_invites"),
        sa.UniqueConstraint("token_hash", name="uq_invites_token_hash"),
    )
    op.create_table(
        "items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Integer(), nullable=False),
        sa.Column("content_key", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("overlap", sa.Integer(), nullable=False),
        sa.Column("task", JSON, nullable=False),
        sa.Column("is_halted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="fk_items_batch_id"),
        sa.PrimaryKeyConstraint("id", name="pk_items"),
        sa.UniqueConstraint("content_key", name="uq_items_content_key"),
    )
    op.create_index("ix_items_batch_id", "items", ["batch_id"], unique=False)
    op.create_index("ix_items_kind_purpose_priority_id", "items", ["kind", "purpose", "priority", "id"], unique=False)
    op.create_table(
        "drafts",
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("labeler_id", sa.String(length=16), nullable=False),
        sa.Column("pages", JSON, nullable=False),
        sa.Column("active_seconds", JSON, nullable=False),
        sa.Column("saved_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name="fk_drafts_item_id"),
        sa.ForeignKeyConstraint(["labeler_id"], ["users.id"], name="fk_drafts_labeler_id"),
        sa.PrimaryKeyConstraint("item_id", "labeler_id", name="pk_drafts"),
    )
    op.create_table(
        "item_authors",
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("labeler_id", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name="fk_item_authors_item_id"),
        sa.PrimaryKeyConstraint("item_id", "labeler_id", name="pk_item_authors"),
    )
    op.create_table(
        "skips",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("labeler_id", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name="fk_skips_item_id"),
        sa.ForeignKeyConstraint(["labeler_id"], ["users.id"], name="fk_skips_labeler_id"),
        sa.PrimaryKeyConstraint("id", name="pk_skips"),
        sa.UniqueConstraint("item_id", "labeler_id", name="uq_skips_item_id_labeler_id"),
    )
    op.create_index("ix_skips_labeler_id", "skips", ["labeler_id"], unique=False)
    op.create_table(
        "slots",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("labeler_id", sa.String(length=16), nullable=True),
        sa.Column("lease_token", sa.String(length=32), nullable=True),
        sa.Column("leased_until", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name="fk_slots_item_id"),
        sa.ForeignKeyConstraint(["labeler_id"], ["users.id"], name="fk_slots_labeler_id"),
        sa.PrimaryKeyConstraint("id", name="pk_slots"),
        sa.UniqueConstraint("item_id", "labeler_id", name="uq_slots_item_id_labeler_id"),
        sa.UniqueConstraint("item_id", "place", name="uq_slots_item_id_place"),
    )
    op.create_index("ix_slots_labeler_id_state", "slots", ["labeler_id", "state"], unique=False)
    op.create_table(
        "labels",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slot_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("labeler_id", sa.String(length=16), nullable=False),
        sa.Column("client_uuid", sa.String(length=36), nullable=False),
        sa.Column("label", JSON, nullable=False),
        sa.Column("display_order", JSON, nullable=False),
        sa.Column("display_seed", sa.Integer(), nullable=False),
        sa.Column("guideline_id", sa.Integer(), nullable=False),
        sa.Column("ui_version", sa.String(length=40), nullable=False),
        sa.Column("active_seconds", JSON, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["guideline_id"], ["guidelines.id"], name="fk_labels_guideline_id"),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name="fk_labels_item_id"),
        sa.ForeignKeyConstraint(["labeler_id"], ["users.id"], name="fk_labels_labeler_id"),
        sa.ForeignKeyConstraint(["slot_id"], ["slots.id"], name="fk_labels_slot_id"),
        sa.PrimaryKeyConstraint("id", name="pk_labels"),
        sa.UniqueConstraint("client_uuid", name="uq_labels_client_uuid"),
        sa.UniqueConstraint("item_id", "labeler_id", name="uq_labels_item_id_labeler_id"),
        sa.UniqueConstraint("slot_id", name="uq_labels_slot_id"),
    )
    op.create_index("ix_labels_labeler_id", "labels", ["labeler_id"], unique=False)


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)
