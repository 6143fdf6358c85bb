"""Gold items: which they are, when a labeler gets one, and how well each labeler does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from tutelage.labeling.gold import GoldResult, GoldTurns, gold_result
from tutelage.labeling.labels import Label
from tutelage.labeling.tasks import Kind, Purpose, Task
from tutelage.studio.people import record_action
from tutelage.studio.queue import Queued, content_key, enqueue
from tutelage.studio.studio import Refusal, Studio
from tutelage.studio.tables import Gold, Item, Skip, StoredLabel

# Of an item in the same statement.
IS_GOLD = exists().where(Gold.item_id == Item.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldOutcome:
    """One labeler's result on one gold item."""

    labeler_id: str
    item_id: int
    result: GoldResult
    made_at: datetime


def has_gold(session: Session, kind: Kind) -> bool:
    """Whether there is any gold of a kind at all: usually not, which saves all other queries."""
    return session.scalar(select(exists().where(Gold.item_id == Item.id, Item.kind == kind))) or False


def num_turns(session: Session, labeler_id: str, kind: Kind) -> int:
    """How many tasks of a kind a labeler has finished or skipped."""
    counts = (
        select(func.count())
        .select_from(table)
        .join(Item, Item.id == table.item_id)
        .where(table.labeler_id == labeler_id, Item.kind == kind)
        for table in (StoredLabel, Skip)
    )
    return sum(session.scalar(count) or 0 for count in counts)


def turns_of(studio: Studio, labeler_id: str, kind: Kind) -> GoldTurns:
    """When this labeler's tasks of a kind are gold."""
    settings = studio.settings
    return GoldTurns(seed=settings.seed, labeler_id=labeler_id, kind=kind, share=settings.gold_share)


def make_gold(studio: Studio, item_id: int, expected: Label, *, by: str | None = None) -> None:
    """Set the right label of an item, which makes it gold. A later call replaces the label.

    Raises Refusal if there is no such item, or the label has nothing that can be compared.
    """
    try:
        gold_result(expected, expected)
    except ValueError as error:
        raise Refusal(f"This label cannot be gold: {error}.") from None
    with studio.database.write() as session:
        studio.database.take_turn(session, f"gold {item_id}")
        if session.get(Item, item_id) is None:
            raise Refusal(f"No item with the id {item_id}.")
        row = session.get(Gold, item_id) or Gold(item_id=item_id, created_at=studio.clock(), created_by=by)
        row.expected = expected.model_dump(mode="json")
        session.add(row)
        record_action(studio, session, by, "make gold", f"item {item_id}")


def queue_gold(
    studio: Studio, known: Iterable[tuple[Task, Label]], *, purpose: Purpose = "training", by: str | None = None
) -> Queued:
    """Queue tasks with their right labels. They have no slots at first: assigning one creates its slot."""
    labels = {content_key(task, purpose): (task, label) for task, label in known}
    queued = enqueue(studio, [task for task, _ in labels.values()], purpose=purpose, overlap=0, name="gold", by=by)
    with studio.database.read() as session:
        ids = {key: session.scalar(select(Item.id).where(Item.content_key == key)) for key in labels}
    for key, (_, label) in labels.items():
        make_gold(studio, ids[key] or 0, label, by=by)
    return queued


def gold_outcomes(studio: Studio) -> list[GoldOutcome]:
    """Every label of a gold item against its right label, in the order they were made."""
    rows = (
        select(StoredLabel, Gold.expected)
        .join(Gold, Gold.item_id == StoredLabel.item_id)
        .order_by(StoredLabel.created_at, StoredLabel.id)
    )
    with studio.database.read() as session:
        return [
            GoldOutcome(
                labeler_id=stored.labeler_id,
                item_id=stored.item_id,
                result=gold_result(Label.model_validate(expected), Label.model_validate(stored.label)),
                made_at=stored.created_at,
            )
            for stored, expected in session.execute(rows).tuples()
        ]
