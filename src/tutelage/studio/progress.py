"""How far the work is: places done, in hands and free, by kind and purpose; and what each labeler has done."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, func, select

from tutelage.studio.gold import IS_GOLD
from tutelage.studio.studio import Studio
from tutelage.studio.tables import Item, Skip, Slot, StoredLabel, User


@dataclass(frozen=True, slots=True, kw_only=True)
class KindProgress:
    """Places of one kind and purpose: an item with overlap 3 has three."""

    kind: str
    purpose: str
    num_items: int
    num_places: int
    num_done: int
    num_halted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelerProgress:
    """What one person has done so far."""

    labeler_id: str
    name: str
    role: str
    group: str
    is_active: bool
    num_labels: int
    num_skips: int


def progress(studio: Studio) -> list[KindProgress]:
    """One row a kind and purpose that has items; gold is not counted."""
    rows = (
        select(
            Item.kind,
            Item.purpose,
            func.count(Item.id.distinct()),
            func.count(Slot.id),
            func.sum(case((Slot.state == "done", 1), else_=0)),
            func.count(case((Item.is_halted, Item.id)).distinct()),
        )
        .join(Slot, Slot.item_id == Item.id)
        .where(~IS_GOLD)
        .group_by(Item.kind, Item.purpose)
        .order_by(Item.kind, Item.purpose)
    )
    with studio.database.read() as session:
        return [
            KindProgress(
                kind=kind, purpose=purpose, num_items=items, num_places=places, num_done=done, num_halted=halted
            )
            for kind, purpose, items, places, done, halted in session.execute(rows)
        ]


def labeler_progress(studio: Studio) -> list[LabelerProgress]:
    """Everybody, by name."""
    num_labels = select(func.count()).where(StoredLabel.labeler_id == User.id).scalar_subquery()
    num_skips = select(func.count()).where(Skip.labeler_id == User.id).scalar_subquery()
    with studio.database.read() as session:
        return [
            LabelerProgress(
                labeler_id=user.id,
                name=user.name,
                role=user.role,
                group=user.labeler_group,
                is_active=user.is_active,
                num_labels=labels,
                num_skips=skips,
            )
            for user, labels, skips in session.execute(select(User, num_labels, num_skips).order_by(User.name))
        ]
