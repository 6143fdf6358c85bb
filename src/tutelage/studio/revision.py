"""Changing a label after submission: within a time window, by its labeler; every version is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from tutelage.labeling.fields import Submitted
from tutelage.labeling.labels import Label, read_label
from tutelage.labeling.tasks import Task
from tutelage.studio.people import record_action
from tutelage.studio.studio import Refusal, Studio
from tutelage.studio.tables import Item, LabelVersion, StoredLabel, User


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLabel:
    """A label as shown to its labeler. `is_open`: it can still be changed, until `closes_at`."""

    id: int
    task: Task
    label: Label
    order: tuple[str, ...]
    made_at: datetime
    closes_at: datetime
    is_open: bool


def own_labels(studio: Studio, labeler: User, *, limit: int = 50) -> list[OwnLabel]:
    """A labeler's newest labels."""
    newest = (
        select(StoredLabel, Item)
        .join(Item, Item.id == StoredLabel.item_id)
        .where(StoredLabel.labeler_id == labeler.id)
        .order_by(StoredLabel.id.desc())
        .limit(limit)
    )
    with studio.database.read() as session:
        return [_own(studio, *row) for row in session.execute(newest).tuples()]


def own_label(studio: Studio, labeler: User, label_id: int) -> OwnLabel:
    """One label of this labeler. Raises Refusal if they have none with this id."""
    with studio.database.read() as session:
        stored = _owned(session.get(StoredLabel, label_id), labeler, label_id)
        return _own(studio, stored, session.get_one(Item, stored.item_id))


def _owned(stored: StoredLabel | None, labeler: User, label_id: int) -> StoredLabel:
    if stored is None or stored.labeler_id != labeler.id:
        raise Refusal(f"You have no label with the id {label_id}.")
    return stored


def _own(studio: Studio, stored: StoredLabel, item: Item) -> OwnLabel:
    closes_at = stored.created_at + studio.settings.revise
    return OwnLabel(
        id=stored.id,
        task=Task.model_validate(item.task),
        label=Label.model_validate(stored.label),
        order=tuple(stored.display_order),
        made_at=stored.created_at,
        closes_at=closes_at,
        is_open=studio.clock() < closes_at,
    )


def revise(studio: Studio, labeler: User, label_id: int, submitted: Mapping[str, Submitted]) -> bool:
    """Change a label to what was submitted on its pages, keeping the old version; False if nothing changed.

    Raises LabelError if pages are incomplete, Refusal if it is not the labeler's or its time is over.
    """
    with studio.database.write() as session:
        # Locked: the next version number is the last one read here, plus one.
        stored = _owned(session.get(StoredLabel, label_id, with_for_update=True), labeler, label_id)
        own = _own(studio, stored, session.get_one(Item, stored.item_id))
        if not own.is_open:
            raise Refusal(f"This label could only be changed until {own.closes_at:%d %B %Y, %H:%M} UTC.")
        label = read_label(own.task, submitted, own.order)
        if label == own.label:
            return False
        last = select(func.max(LabelVersion.version)).where(LabelVersion.label_id == label_id)
        version = (session.scalar(last) or 0) + 1
        session.add(LabelVersion(label_id=label_id, version=version, label=stored.label, replaced_at=studio.clock()))
        stored.label = label.model_dump(mode="json")
        record_action(studio, session, labeler.id, "change label", f"label {label_id}: version {version + 1}")
        return True


def history(studio: Studio, label_id: int) -> list[Label]:
    """All versions of a label, oldest first, the current one last."""
    versions = select(LabelVersion.label).where(LabelVersion.label_id == label_id).order_by(LabelVersion.version)
    with studio.database.read() as session:
        now = session.get(StoredLabel, label_id)
        found = [*session.scalars(versions), *([now.label] if now else [])]
    return [Label.model_validate(label) for label in found]


def num_versions(studio: Studio) -> dict[int, int]:
    """How often each label was changed, by id; unchanged labels are not included."""
    counts = select(LabelVersion.label_id, func.count()).group_by(LabelVersion.label_id)
    with studio.database.read() as session:
        return dict(session.execute(counts).tuples().all())
