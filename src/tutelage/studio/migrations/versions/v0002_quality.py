"""Gold, versions of labels, adjudication, and the screening test."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from tutelage.studio.tables import UtcTime

revision = "v0002"
down_revision = "v0001"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_TABLES = (
    "gold",
    "label_versions",
    "adjudications",
    "screening_batches",
    "screening_tasks",
    "screenings",
    "screening_responses",
    "screening_scores",
)


def _key(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}")


def upgrade() -> None:
    _labels()
    _screening()


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)


def _labels() -> None:
    op.create_table(
        "gold",
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("expected", JSON, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("created_by", sa.String(length=16), nullable=True),
        sa.PrimaryKeyConstraint("item_id", name="pk_gold"),
        _key("gold", "item_id", "items"),
        _key("gold", "created_by", "users"),
    )
    op.create_table(
        "label_versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("label_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("label", JSON, nullable=False),
        sa.Column("replaced_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_label_versions"),
        sa.UniqueConstraint("label_id", "version", name="uq_label_versions_label_id_version"),
        _key("label_versions", "label_id", "labels"),
    )
    op.create_table(
        "adjudications",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("label", JSON, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("adjudicated_by", sa.String(length=16), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_adjudications"),
        _key("adjudications", "item_id", "items"),
        _key("adjudications", "adjudicated_by", "users"),
    )
    op.create_index("ix_adjudications_item_id", "adjudications", ["item_id"], unique=False)


def _screening() -> None:
    op.create_table(
        "screening_batches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_screening_batches"),
    )
    op.create_table(
        "screening_tasks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("task", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_screening_tasks"),
        sa.UniqueConstraint("batch_id", "place", name="uq_screening_tasks_batch_id_place"),
        _key("screening_tasks", "batch_id", "screening_batches"),
    )
    op.create_table(
        "screenings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Integer(), nullable=False),
        sa.Column("candidate_id", sa.String(length=16), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("submitted_at", UtcTime(), nullable=True),
        sa.Column("decision", sa.String(length=16), nullable=True),
        sa.Column("decision_note", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.String(length=16), nullable=True),
        sa.Column("decided_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_screenings"),
        sa.UniqueConstraint("batch_id", "candidate_id", name="uq_screenings_batch_id_candidate_id"),
        _key("screenings", "batch_id", "screening_batches"),
        _key("screenings", "candidate_id", "users"),
        _key("screenings", "decided_by", "users"),
    )
    op.create_index("ix_screenings_candidate_id", "screenings", ["candidate_id"], unique=False)
    op.create_table(
        "screening_responses",
        sa.Column("screening_id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("entries", JSON, nullable=False),
        sa.Column("saved_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("screening_id", "task_id", name="pk_screening_responses"),
        _key("screening_responses", "screening_id", "screenings"),
        _key("screening_responses", "task_id", "screening_tasks"),
    )
    op.create_table(
        "screening_scores",
        sa.Column("screening_id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("researcher_id", sa.String(length=16), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("scored_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("screening_id", "task_id", "researcher_id", name="pk_screening_scores"),
        _key("screening_scores", "screening_id", "screenings"),
        _key("screening_scores", "task_id", "screening_tasks"),
        _key("screening_scores", "researcher_id", "users"),
    )
