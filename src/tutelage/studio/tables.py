"""The tables. What must never happen twice is ruled out here by constraints, not only in code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = JSON().with_variant(JSONB(), "postgresql")


class UtcTime(TypeDecorator[datetime]):
    """Times with a zone in Python, in UTC in the database; SQLite does not store time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class TableBase(DeclarativeBase):
    """What all tables have in common: types of columns, and names of constraints that migrations can refer to."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: UtcTime, dict[str, Any]: Json, list[str]: Json, str: Text}


class User(TableBase):
    """A person. `id` identifies them in exports, and says nothing about who they are."""

    __tablename__ = "users"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(String(16))
    labeler_group: Mapped[str] = mapped_column(String(16))
    quota: Mapped[int | None]
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    # When this person consented to training on their labels; None without consent.
    consented_at: Mapped[datetime | None]


class Invite(TableBase):
    """A link that creates one user and works once. Only the hash of its token is stored."""

    __tablename__ = "invites"
    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    labeler_group: Mapped[str] = mapped_column(String(16))
    quota: Mapped[int | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))


class BrowserSession(TableBase):
    """A signed-in browser. The cookie holds the token, this row its hash."""

    __tablename__ = "browser_sessions"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class ApiToken(TableBase):
    """A token for scripts, with the rights of its user."""

    __tablename__ = "api_tokens"
    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class FailedSignIn(TableBase):
    """A failed sign-in, and its origin: an address, or a browser known to belong to that name."""

    __tablename__ = "failed_sign_ins"
    __table_args__ = (Index(None, "name", "failed_at"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    origin: Mapped[str] = mapped_column(String(80), server_default="")
    failed_at: Mapped[datetime]


class RequestCount(TableBase):
    """How many requests of one address the servers have reserved in a minute (counted since 1970)."""

    __tablename__ = "request_counts"
    minute: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(80), primary_key=True)
    num_drawn: Mapped[int]


class KnownDevice(TableBase):
    """A browser in which someone has signed in. Its cookie holds the token, this row its hash."""

    __tablename__ = "known_devices"
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    seen_at: Mapped[datetime]


class AuditEntry(TableBase):
    """Who did what to whom or what. Append-only."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(primary_key=True)
    happened_at: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str]


class Guideline(TableBase):
    """One version of the instructions for a kind of task and a purpose. Never changed: the next one is a new row."""

    __tablename__ = "guidelines"
    __table_args__ = (UniqueConstraint("kind", "purpose", "version"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    purpose: Mapped[str] = mapped_column(String(16))
    version: Mapped[int]
    markdown: Mapped[str]
    created_at: Mapped[datetime]


class Batch(TableBase):
    """Items that were queued together."""

    __tablename__ = "batches"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]


class Item(TableBase):
    """One task for `overlap` different labelers. `content_key` keeps the same task from being queued twice."""

    __tablename__ = "items"
    __table_args__ = (Index(None, "kind", "purpose", "priority", "id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batches.id"), index=True)
    content_key: Mapped[str] = mapped_column(String(16), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    purpose: Mapped[str] = mapped_column(String(16))
    priority: Mapped[int] = mapped_column(default=0)
    overlap: Mapped[int]
    task: Mapped[dict[str, Any]]
    is_halted: Mapped[bool] = mapped_column(default=False)


class ItemAuthor(TableBase):
    """A labeler who wrote part of an item, and so may not judge it."""

    __tablename__ = "item_authors"
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    labeler_id: Mapped[str] = mapped_column(String(16), primary_key=True)


class Slot(TableBase):
    """One slot of an item: free, leased to a labeler until a time, or done. Overlap is the number of rows.

    `kind` is the item's and `order_key` is its negated priority: one index then has the open slots in the order of
    assignment, and the next one is found at once, however long the queue is.
    """

    __tablename__ = "slots"
    __table_args__ = (
        UniqueConstraint("item_id", "place"),
        UniqueConstraint("item_id", "labeler_id"),
        Index(None, "labeler_id", "state"),
        Index(
            "ix_slots_open",
            "kind",
            "order_key",
            "item_id",
            "place",
            sqlite_where=text("state <> 'done'"),
            postgresql_where=text("state <> 'done'"),
        ),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    kind: Mapped[str] = mapped_column(String(16), server_default="")
    order_key: Mapped[int] = mapped_column(server_default="0")
    place: Mapped[int]
    state: Mapped[str] = mapped_column(String(8), default="free")
    labeler_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    lease_token: Mapped[str | None] = mapped_column(String(32))
    leased_until: Mapped[datetime | None]


class Draft(TableBase):
    """What a labeler has entered so far, by page; it outlives the lease, so that work can be resumed."""

    __tablename__ = "drafts"
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    labeler_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    pages: Mapped[dict[str, Any]]
    active_seconds: Mapped[dict[str, Any]]
    saved_at: Mapped[datetime]


class StoredLabel(TableBase):
    """One labeler's finished work on one item, with its full provenance."""

    __tablename__ = "labels"
    __table_args__ = (UniqueConstraint("item_id", "labeler_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    slot_id: Mapped[int] = mapped_column(ForeignKey("slots.id"), unique=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    labeler_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    client_uuid: Mapped[str] = mapped_column(String(36), unique=True)
    label: Mapped[dict[str, Any]]
    display_order: Mapped[list[str]]
    display_seed: Mapped[int]
    guideline_id: Mapped[int] = mapped_column(ForeignKey("guidelines.id"))
    ui_version: Mapped[str] = mapped_column(String(40))
    active_seconds: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class Skip(TableBase):
    """A labeler skipped an item, and why."""

    __tablename__ = "skips"
    __table_args__ = (UniqueConstraint("item_id", "labeler_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    labeler_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    reason: Mapped[str] = mapped_column(String(20))
    note: Mapped[str]
    created_at: Mapped[datetime]


class Gold(TableBase):
    """An item whose right label is known. It is mixed with other items and looks the same."""

    __tablename__ = "gold"
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    expected: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    created_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))


class LabelVersion(TableBase):
    """What a label said before its labeler changed it: version 1 is what they submitted first."""

    __tablename__ = "label_versions"
    __table_args__ = (UniqueConstraint("label_id", "version"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    label_id: Mapped[int] = mapped_column(ForeignKey("labels.id"))
    version: Mapped[int]
    label: Mapped[dict[str, Any]]
    replaced_at: Mapped[datetime]


class Adjudication(TableBase):
    """A researcher's decision on an item whose labelers disagree. The newest one applies; the labels stay."""

    __tablename__ = "adjudications"
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), index=True)
    label: Mapped[dict[str, Any]]
    note: Mapped[str]
    adjudicated_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
