"""Taking labels out: a folder with the files that the trainer reads, and a manifest that says how they came about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import ColumnElement, exists, func, select

from tutelage import __version__
from tutelage.labeling.assignment import Group
from tutelage.labeling.exported import (
    comparison_of,
    demonstration_of,
    prompt_of,
    ranking_of,
    ratings_of,
    toxicity_of,
)
from tutelage.labeling.labels import Label
from tutelage.labeling.tasks import Purpose, Task
from tutelage.prompts.config import SplitShares
from tutelage.prompts.split import split_of, user_key
from tutelage.records import Prompt
from tutelage.store.atomic import atomic_directory
from tutelage.studio.adjudication import case_order
from tutelage.studio.export_files import LabelFiles, trl_records
from tutelage.studio.export_manifest import ExportManifest, Tally
from tutelage.studio.gold import IS_GOLD
from tutelage.studio.studio import Refusal, Studio
from tutelage.studio.tables import Adjudication, Batch, Guideline, Item, LabelVersion, StoredLabel, User

ExportFormat = Literal["jsonl", "trl", "parquet"]
_ROWS_AT_ONCE = 500
# In the place of a group of labelers, for what a researcher decided.
RESEARCHER = "researcher"
_NUM_CHANGES = select(func.count()).where(LabelVersion.label_id == StoredLabel.id).scalar_subquery()
_IS_RULED = exists().where(Adjudication.item_id == Item.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """A stored label as it is read back, with what it belongs to.

    `num_changes`: how often its labeler changed it. `is_gold`: of an item whose right label is known. `is_ruled`: a
    researcher has decided the item; `note` is theirs, where the label itself is what they decided.
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
class Selection:
    """Which labels: of one purpose, of labelers of one group, of one batch (its name or number); None is all."""

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
    """All labels of a purpose (None: of all), in the order in which they were made."""
    return list(label_rows(studio, Selection(purpose=purpose)))


def label_rows(studio: Studio, selection: Selection, *order: Any) -> Iterator[LabelRow]:
    """The chosen labels, streamed as they were at one moment; in the order in which they were made unless told."""
    chosen = (
        select(StoredLabel, Item, User.labeler_group, Guideline, Batch.name, _NUM_CHANGES, IS_GOLD, _IS_RULED)
        .join(Item, Item.id == StoredLabel.item_id)
        .join(Batch, Batch.id == Item.batch_id)
        .join(User, User.id == StoredLabel.labeler_id)
        .join(Guideline, Guideline.id == StoredLabel.guideline_id)
        .where(*selection.conditions())
        .order_by(*order, StoredLabel.id)
    )
    with studio.database.read() as session:
        for row in session.execute(chosen.execution_options(yield_per=_ROWS_AT_ONCE)).tuples():
            yield _label_row(*row)


def ruled_rows(studio: Studio, selection: Selection) -> Iterator[LabelRow]:
    """What researchers decided about the chosen items, as labels of theirs. A group of labelers has none."""
    newest = select(func.max(Adjudication.id)).group_by(Adjudication.item_id)
    chosen = (
        select(Adjudication, Item, Batch.name)
        .join(Item, Item.id == Adjudication.item_id)
        .join(Batch, Batch.id == Item.batch_id)
        .where(Adjudication.id.in_(newest), *selection.conditions())
        .order_by(Adjudication.id)
    )
    if selection.group is None:
        with studio.database.read() as session:
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


def _one(found: BaseModel | None) -> list[BaseModel]:
    return [] if found is None else [found]


# What each file holds of a label. Comparisons stand in two: as rankings of two to learn from, as outcomes to count.
_OF_LABEL: dict[str, Callable[[LabelRow], Iterable[BaseModel]]] = {
    "demonstrations": lambda row: _one(demonstration_of(row.task, row.label, row.labeler_id)),
    "ratings": lambda row: ratings_of(row.task, row.label, row.labeler_id),
    "rankings": lambda row: _one(ranking_of(row.task, row.label, row.labeler_id, row.display_order)),
    "comparisons": lambda row: _one(comparison_of(row.task, row.label, row.labeler_id)),
    "toxicity": lambda row: toxicity_of(row.task, row.label, row.labeler_id),
    "prompts": lambda row: _one(prompt_of(row.task, row.label, row.labeler_id)),
}
FILES = tuple(_OF_LABEL)
# What is put to the name of a file: labels of gold items, because dozens label the same one; what researchers decided.
GOLD, RULED = "_gold", "_ruled"


def exported_records(
    studio: Studio, selection: Selection, file_format: ExportFormat = "jsonl", tally: Tally | None = None
) -> Iterator[tuple[str, LabelRow, BaseModel]]:
    """Every record of an export with the label it comes from and the name of its file: "rankings", "rankings_gold".

    Labels come first, each counted in `tally`; after them what researchers decided, in files of their own.
    """
    rows = label_rows(studio, selection, *_order(file_format))
    for row in tally.counted(rows) if tally else rows:
        for name, record in _converted(row, file_format):
            yield name + (GOLD if row.is_gold else ""), row, record
    for row in ruled_rows(studio, selection):
        for name, record in _converted(row, file_format):
            yield name + RULED, row, record


def _converted(row: LabelRow, file_format: ExportFormat) -> Iterator[tuple[str, BaseModel]]:
    return trl_records(records_of(row)) if file_format == "trl" else records_of(row)


def records_of(row: LabelRow) -> Iterator[tuple[str, BaseModel]]:
    """Every record in a label with the file it belongs to, and with how it came about under `provenance`."""
    for name, convert in _OF_LABEL.items():
        for record in convert(row):
            yield name, record.model_copy(update=_origin(row))


def _origin(row: LabelRow) -> dict[str, Any]:
    prompt = row.task.prompt
    user = {"user_id": prompt.user_id} if prompt is not None and prompt.user_id else {}
    return {
        **user,
        "labeler_group": row.labeler_group,
        "provenance": {
            "label_id": row.id,
            "item_id": row.item_id,
            "batch": row.batch,
            "purpose": row.purpose,
            "guideline": row.guideline,
            "ui_version": row.ui_version,
            "display_seed": row.display_seed,
            "active_seconds": round(sum(row.active_seconds.values()), 1),
            "labeled_at": row.created_at.isoformat(),
            "num_changes": row.num_changes,
            "is_ruled": row.is_ruled,
            **({"note": row.note} if row.note else {}),
        },
    }


def export_labels(
    studio: Studio,
    out: Path,
    *,
    purpose: Purpose | None = None,
    group: Group | None = None,
    batch: str | None = None,
    file_format: ExportFormat = "jsonl",
    validation_share: float | None = None,
) -> ExportManifest:
    """Write the files that have records and manifest.json to a new folder; labels are streamed, whatever their number.

    "trl" writes preferences.jsonl (prompt, chosen, rejected; all pairs of a prompt follow each other), ties.jsonl and
    demonstrations.jsonl (prompt, completion). With `validation_share` all prompts of that share of users go into
    files of their own (rankings_valid.jsonl); a prompt that has a split already keeps it. Labels of gold items stand in
    files of their own too (rankings_gold.jsonl), because dozens label the same one, and so does what researchers
    decided (rankings_ruled.jsonl), beside the labels that they decided about. Raises StorageError where
    `out` exists or the disk refuses, Refusal for a batch that is not there.
    """
    selection = Selection(purpose=purpose, group=group, batch=batch)
    require_batch(studio, selection)
    tally = Tally()
    with atomic_directory(out) as folder:
        with LabelFiles(folder) as files:
            for name, row, record in exported_records(studio, selection, file_format, tally):
                files.add(name + _split_of(row, record, validation_share=validation_share), record)
        if file_format == "parquet":
            files.to_parquet()
        manifest = ExportManifest(
            version=__version__,
            exported_at=studio.clock().isoformat(),
            format=file_format,
            purpose=purpose,
            group=group,
            batch=batch,
            validation_share=validation_share,
            counts=files.counts(),
            sha256=files.sha256(),
            **tally.facts(),
        )
        (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def _order(file_format: ExportFormat) -> tuple[ColumnElement[Any], ...]:
    """TRL's pairs are grouped by prompt: items of one prompt in different batches stand together."""
    if file_format != "trl":
        return ()
    return (Item.task["prompt"]["id"].as_string(),)


def require_batch(studio: Studio, selection: Selection) -> None:
    """Raises Refusal where a batch is chosen that is not there."""
    if selection.batch is None:
        return
    with studio.database.read() as session:
        if session.scalar(select(Batch.id).where(*Selection(batch=selection.batch).conditions()).limit(1)) is None:
            names = session.scalars(select(Batch.name).order_by(Batch.id.desc()).limit(5)).all()
            raise Refusal(
                f"There is no batch {selection.batch!r}. The newest are: {', '.join(map(repr, names)) or 'none'}. "
                "Name one of them, or leave the batch out for all labels."
            )


def _split_of(row: LabelRow, record: BaseModel, *, validation_share: float | None) -> str:
    """What is put to the name of the file: nothing for training and where nothing is split, else the split."""
    prompt = record if isinstance(record, Prompt) else row.task.prompt
    if validation_share is None or prompt is None or row.is_gold or row.labeler_group == RESEARCHER:
        return ""
    shares = SplitShares(train=1 - validation_share, valid=validation_share, test=0)
    split = prompt.split or split_of(user_key(prompt), shares, seed=0)
    return "" if split == "train" else f"_{split}"
