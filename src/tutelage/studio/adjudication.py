"""Items whose labelers disagree: a researcher looks at all labels and decides. The labels stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from tutelage.labeling.display import display_order
from tutelage.labeling.fields import Submitted
from tutelage.labeling.labels import Label, read_label
from tutelage.labeling.quality import Disagreement, disagreements
from tutelage.labeling.tasks import Purpose, Task
from tutelage.studio.people import record_action
from tutelage.studio.quality import QualityEvidence, evidence_of
from tutelage.studio.studio import Refusal, Studio
from tutelage.studio.tables import Adjudication, Gold, Item, StoredLabel, User


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One labeler's label of an item."""

    labeler_id: str
    name: str
    label: Label
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a researcher decided, and why."""

    item_id: int
    label: Label
    note: str
    by: str
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An item with all its labels, and its current ruling. `order`: completions as every researcher sees them."""

    item_id: int
    task: Task
    purpose: str
    order: tuple[str, ...]
    opinions: tuple[Opinion, ...]
    ruling: Ruling | None
    is_gold: bool


def adjudication_queue(
    studio: Studio, purpose: Purpose | None = None, *, evidence: QualityEvidence | None = None
) -> list[Disagreement]:
    """Undecided items whose labelers disagree, largest disagreement first.

    `evidence`: the result of `evidence_of`, if already available.
    """
    decided = rulings(studio)
    apart = disagreements((evidence or evidence_of(studio)).of(purpose).judgements)
    return [each for each in apart if each.item_id not in decided and each.distance > 0]


def rulings(studio: Studio) -> dict[int, Ruling]:
    """The current ruling of each item that has one."""
    with studio.database.read() as session:
        rows = session.execute(select(Adjudication, User.name).join(User).order_by(Adjudication.id)).tuples()
        return {row.item_id: _ruling(row, name) for row, name in rows}


def _ruling(row: Adjudication, name: str) -> Ruling:
    label = Label.model_validate(row.label)
    return Ruling(item_id=row.item_id, label=label, note=row.note, by=name, made_at=row.created_at)


def case_of(studio: Studio, item_id: int) -> Case:
    """One item for a researcher to decide. Raises Refusal if there is no such item, or it has no labels."""
    own = select(StoredLabel, User.name).join(User).where(StoredLabel.item_id == item_id).order_by(StoredLabel.id)
    newest = select(Adjudication, User.name).join(User).where(Adjudication.item_id == item_id)
    with studio.database.read() as session:
        item = session.get(Item, item_id)
        labels = session.execute(own).tuples().all()
        ruled = session.execute(newest.order_by(Adjudication.id.desc()).limit(1)).tuples().first()
        is_gold = session.get(Gold, item_id) is not None
    if item is None or not labels:
        raise Refusal(f"No labeled item with the id {item_id}.")
    task = Task.model_validate(item.task)
    return Case(
        item_id=item_id,
        task=task,
        purpose=item.purpose,
        order=case_order(studio, item_id, task),
        opinions=tuple(
            Opinion(
                labeler_id=stored.labeler_id,
                name=name,
                label=Label.model_validate(stored.label),
                made_at=stored.created_at,
            )
            for stored, name in labels
        ),
        ruling=_ruling(*ruled) if ruled else None,
        is_gold=is_gold,
    )


def case_order(studio: Studio, item_id: int, task: Task) -> tuple[str, ...]:
    """The completions of an item as researchers see them, A first."""
    return display_order(studio.settings.seed, "adjudication", item_id, [each.id for each in task.completions])


def adjudicate(studio: Studio, case: Case, submitted: Mapping[str, Submitted], *, note: str, by: User) -> Label:
    """Store a researcher's decision; earlier ones are kept. Raises LabelError if it is incomplete."""
    label = read_label(case.task, submitted, case.order)
    with studio.database.write() as session:
        session.add(
            Adjudication(
                item_id=case.item_id,
                label=label.model_dump(mode="json"),
                note=note[:2000],
                adjudicated_by=by.id,
                created_at=studio.clock(),
            )
        )
        record_action(studio, session, by.id, "adjudicate", f"item {case.item_id}")
    return label
