"""The tables of the screening test."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tutelage.studio.tables import TableBase


class ScreeningBatch(TableBase):
    """One screening test. Candidates get the newest one that is open."""

    __tablename__ = "screening_batches"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    is_open: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]


class ScreeningTaskRow(TableBase):
    """One task of a screening test, with the researchers' own judgment where one is needed."""

    __tablename__ = "screening_tasks"
    __table_args__ = (UniqueConstraint("batch_id", "place"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("screening_batches.id"))
    place: Mapped[int]
    task: Mapped[dict[str, Any]]


class Screening(TableBase):
    """A candidate who takes a screening test, and the decision about them."""

    __tablename__ = "screenings"
    __table_args__ = (UniqueConstraint("batch_id", "candidate_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("screening_batches.id"))
    candidate_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    started_at: Mapped[datetime]
    submitted_at: Mapped[datetime | None]
    decision: Mapped[str | None] = mapped_column(String(16))
    decision_note: Mapped[str] = mapped_column(default="")
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    decided_at: Mapped[datetime | None]


class ScreeningResponse(TableBase):
    """What a candidate entered in one task of the test, as submitted."""

    __tablename__ = "screening_responses"
    screening_id: Mapped[int] = mapped_column(ForeignKey("screenings.id"), primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("screening_tasks.id"), primary_key=True)
    entries: Mapped[dict[str, Any]]
    saved_at: Mapped[datetime]


class ScreeningScore(TableBase):
    """A researcher's rating of one of a candidate's demonstrations, 1 to 7."""

    __tablename__ = "screening_scores"
    screening_id: Mapped[int] = mapped_column(ForeignKey("screenings.id"), primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("screening_tasks.id"), primary_key=True)
    researcher_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    score: Mapped[int]
    scored_at: Mapped[datetime]
