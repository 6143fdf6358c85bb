"""Reading labels back: the selected labels that may be used, and researchers' decisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from tutelage.labeling.assignment import Group
from tutelage.labeling.labels import Label
from tutelage.labeling.tasks import Purpose, Task
from tutelage.studio.adjudication import case_order
from tutelage.studio.gold import IS_GOLD
from tutelage.studio.studio import Refusal, Studio
from tutelage.studio.tables import Adjudication, Batch, Guideline, Item, LabelVersion, StoredLabel, User

_ROWS_AT_ONCE = 500
# Used instead of a labeler group for researchers' decisions.
RESEARCHER = "researcher"
_NUM_CHANGES = select(func.count()).where(LabelVersion.label_id == StoredLabel.id).scalar_subquery()
_HAS_CONSENTED = User.consented_at.is_not(None)
_IS_RULED = exists().where(Adjudication.item_id == Item.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """A stored label as read back, with what it belongs to.

    `num_changes`: how often its labeler changed it. `is_gold`: of an item whose right label is known. `is_ruled`: a
    researcher has decided the item; `note` is theirs, if the label itself is their decision.
    """

    id: int
    item_id: int
    batch: str
    task: Task
    label: Label
    labeler_id: str
    labeler_group: str
    purpose: str
    display_order: tuple[str, ...]
    display_seed: int
    guideline: str
    ui_version: str
    active_seconds: dict[str, float]
    created_at: datetime
    num_changes: int = 0
    is_gold: bool = False
    is_ruled: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithheldLabels:
    """Labels that stay in the studio, and how many people made them."""

    num_labels: int
    num_labelers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A filter on labels: by purpose, labeler group, batch (name or number); None selects all."""

    purpose: Purpose | None = None
    group: Group | None = None
    batch: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.purpose is not None:
            found.append(Item.purpose == self.purpose)
        if self.group is not None:
            found.append(User.labeler_group == self.group)
        if self.batch is not None:
            is_number = self.batch.isascii() and self.batch.isdigit() and len(self.batch) < 10
            found.append(Batch.id == int(self.batch) if is_number else Batch.name == self.batch)
        return found


def stored_labels(studio: Studio, purpose: Purpose | None = None) -> list[LabelRow]:
    """All usable labels of a purpose (None: of all), in the order they were made."""
    with studio.database.read() as session:
        return list(label_rows(session, Selection(purpose=purpose)))


def label_rows(session: Session, selection: Selection, *order: Any) -> Iterator[LabelRow]:
    """The selected usable labels, streamed from one database state, in the order they were made."""
    chosen = (
        select(StoredLabel, Item, User.labeler_group, Guideline, Batch.name, _NUM_CHANGES, IS_GOLD, _IS_RULED)
        .join(Item, Item.id == StoredLabel.item_id)
        .join(Batch, Batch.id == Item.batch_id)
        .join(User, User.id == StoredLabel.labeler_id)
        .join(Guideline, Guideline.id == StoredLabel.guideline_id)
        .where(*selection.conditions(), _HAS_CONSENTED)
        .order_by(*order, StoredLabel.id)
    )
    for row in session.execute(chosen.execution_options(yield_per=_ROWS_AT_ONCE)).tuples():
        yield _label_row(*row)


def without_consent(session: Session, selection: Selection) -> WithheldLabels:
    """How many of the selected labels are excluded because their labelers did not consent to their use."""
    counts = (
        select(func.count(), func.count(StoredLabel.labeler_id.distinct()))
        .select_from(StoredLabel)
        .join(Item, Item.id == StoredLabel.item_id)
        .join(Batch, Batch.id == Item.batch_id)
        .join(User, User.id == StoredLabel.labeler_id)
        .where(*selection.conditions(), ~_HAS_CONSENTED)
    )
    num_labels, num_labelers = session.execute(counts).tuples().one()
    return WithheldLabels(num_labels=num_labels, num_labelers=num_labelers)


def ruled_rows(studio: Studio, session: Session, selection: Selection) -> Iterator[LabelRow]:
    """Researchers' decisions on the selected items, as labels. A labeler group has none."""
    newest = select(func.max(Adjudication.id)).group_by(Adjudication.item_id)
    chosen = (
        select(Adjudication, Item, Batch.name)
        .join(Item, Item.id == Adjudication.item_id)
        .join(Batch, Batch.id == Item.batch_id)
        .join(User, User.id == Adjudication.adjudicated_by)
        .where(Adjudication.id.in_(newest), *selection.conditions(), _HAS_CONSENTED)
        .order_by(Adjudication.id)
    )
    if selection.group is None:
        yield from (_ruled_row(studio, *row) for row in session.execute(chosen).tuples().all())


def _ruled_row(studio: Studio, ruling: Adjudication, item: Item, batch: str) -> LabelRow:
    task = Task.model_validate(item.task)
    return LabelRow(
        id=ruling.id,
        item_id=item.id,
        batch=batch,
        task=task,
        label=Label.model_validate(ruling.label),
        labeler_id=ruling.adjudicated_by,
        labeler_group=RESEARCHER,
        purpose=item.purpose,
        display_order=case_order(studio, item.id, task),
        display_seed=studio.settings.seed,
        guideline="",
        ui_version="",
        active_seconds={},
        created_at=ruling.created_at,
        is_ruled=True,
        note=ruling.note,
    )


def _label_row(
    stored: StoredLabel,
    item: Item,
    group: str,
    guideline: Guideline,
    batch: str,
    num_changes: int,
    is_gold: bool,
    is_ruled: bool,
) -> LabelRow:
    return LabelRow(
        id=stored.id,
        item_id=item.id,
        batch=batch,
        task=Task.model_validate(item.task),
        label=Label.model_validate(stored.label),
        labeler_id=stored.labeler_id,
        labeler_group=group,
        purpose=item.purpose,
        display_order=tuple(stored.display_order),
        display_seed=stored.display_seed,
        guideline=f"{guideline.kind}, {guideline.purpose}, version {guideline.version}",
        ui_version=stored.ui_version,
        active_seconds=stored.active_seconds,
        created_at=stored.created_at,
        num_changes=num_changes,
        is_gold=is_gold,
        is_ruled=is_ruled,
    )


def require_batch(studio: Studio, selection: Selection) -> None:
    """Raise Refusal if the selected batch does not exist."""
    if selection.batch is None:
        return
    with studio.database.read() as session:
        if session.scalar(select(Batch.id).where(*Selection(batch=selection.batch).conditions()).limit(1)) is None:
            names = session.scalars(select(Batch.name).order_by(Batch.id.desc()).limit(5)).all()
            raise Refusal(
                f"There is no batch {selection.batch!r}. The newest are: {', '.join(map(repr, names)) or 'none'}. "
                "Name one of them, or omit the batch for all labels."
            )
