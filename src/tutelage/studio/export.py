"""Exporting labels: a folder with the files that the trainer reads, and a manifest with their provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

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
from tutelage.labeling.tasks import Purpose
from tutelage.prompts.config import SplitShares
from tutelage.prompts.split import split_of, user_key
from tutelage.records import Prompt
from tutelage.store.atomic import atomic_directory
from tutelage.studio.export_files import LabelFiles, trl_records
from tutelage.studio.export_manifest import ExportManifest, Tally
from tutelage.studio.label_rows import (
    RESEARCHER,
    LabelRow,
    Selection,
    label_rows,
    require_batch,
    ruled_rows,
    without_consent,
)
from tutelage.studio.studio import Studio
from tutelage.studio.tables import Item

ExportFormat = Literal["jsonl", "trl", "parquet", "csv"]


def _one(found: BaseModel | None) -> list[BaseModel]:
    return [] if found is None else [found]


# What each file holds of a label. Comparisons are in two: as rankings of two to train on, as outcomes to count.
_OF_LABEL: dict[str, Callable[[LabelRow], Iterable[BaseModel]]] = {
    "demonstrations": lambda row: _one(demonstration_of(row.task, row.label, row.labeler_id)),
    "ratings": lambda row: ratings_of(row.task, row.label, row.labeler_id),
    "rankings": lambda row: _one(ranking_of(row.task, row.label, row.labeler_id, row.display_order)),
    "comparisons": lambda row: _one(comparison_of(row.task, row.label, row.labeler_id)),
    "toxicity": lambda row: toxicity_of(row.task, row.label, row.labeler_id),
    "prompts": lambda row: _one(prompt_of(row.task, row.label, row.labeler_id)),
}
FILES = tuple(_OF_LABEL)
# Suffixes of file names: labels of gold items, because dozens label the same one; researchers' decisions.
GOLD, RULED = "_gold", "_ruled"


def exported_records(
    studio: Studio,
    session: Session,
    selection: Selection,
    file_format: ExportFormat = "jsonl",
    tally: Tally | None = None,
) -> Iterator[tuple[str, LabelRow, BaseModel]]:
    """Every record of an export with the label it comes from and the name of its file: "rankings", "rankings_gold".

    Labels come first, each counted in `tally`; then researchers' decisions, in separate files. All are from the
    database state that `session` reads.
    """
    rows = label_rows(session, selection, *_order(file_format))
    for row in tally.counted(rows) if tally else rows:
        for name, record in _converted(row, file_format):
            yield name + (GOLD if row.is_gold else ""), row, record
    for row in ruled_rows(studio, session, selection):
        for name, record in _converted(row, file_format):
            yield name + RULED, row, record


def _converted(row: LabelRow, file_format: ExportFormat) -> Iterator[tuple[str, BaseModel]]:
    return trl_records(records_of(row)) if file_format == "trl" else records_of(row)


def records_of(row: LabelRow) -> Iterator[tuple[str, BaseModel]]:
    """Every record in a label with the file it belongs to, and with its origin under `provenance`."""
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
    """Write manifest.json and the non-empty files to a new folder; labels are streamed, whatever their number.

    "trl" writes preferences.jsonl (prompt, chosen, rejected; all pairs of a prompt are consecutive), ties.jsonl and
    demonstrations.jsonl (prompt, completion); text prompts become one-turn dialogues if any prompt is a dialogue. "csv"
    is for spreadsheets: no cell is a formula. With `validation_share` all prompts of that share of users go into
    separate files (rankings_valid.jsonl); a prompt that already has a split keeps it. Labels of gold items are in
    separate files too (rankings_gold.jsonl), because dozens label the same one, and so are researchers' decisions
    (rankings_ruled.jsonl), in addition to the labels that they decided about. Labels of people who did not consent to
    their use are excluded, and counted in the manifest. Raises StorageError if `out` exists or writing fails, Refusal
    for a batch that does not exist.
    """
    selection = Selection(purpose=purpose, group=group, batch=batch)
    require_batch(studio, selection)
    tally = Tally()
    with atomic_directory(out) as folder:
        # Everything is read at one moment, which the manifest names: anyone who withdraws consent while this runs can
        # see that the export is older.
        exported_at = studio.clock().isoformat()
        with studio.database.read() as session, LabelFiles(folder) as files:
            for name, row, record in exported_records(studio, session, selection, file_format, tally):
                files.add(name + _split_of(row, record, validation_share=validation_share), record)
            left_out = without_consent(session, selection)
        if file_format == "trl":
            files.to_one_form()
        if file_format == "parquet":
            files.to_parquet()
        if file_format == "csv":
            files.to_csv()
        manifest = ExportManifest(
            version=__version__,
            exported_at=exported_at,
            format=file_format,
            purpose=purpose,
            group=group,
            batch=batch,
            validation_share=validation_share,
            counts=files.counts(),
            sha256=files.sha256(),
            num_without_consent=left_out.num_labels,
            **tally.facts(),
        )
        (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def _order(file_format: ExportFormat) -> tuple[ColumnElement[Any], ...]:
    """TRL's pairs are grouped by prompt: items of one prompt in different batches are adjacent."""
    if file_format != "trl":
        return ()
    return (Item.task["prompt"]["id"].as_string(),)


def _split_of(row: LabelRow, record: BaseModel, *, validation_share: float | None) -> str:
    """The suffix of the file name: empty for training or if there is no split, else the split."""
    prompt = record if isinstance(record, Prompt) else row.task.prompt
    if validation_share is None or prompt is None or row.is_gold or row.labeler_group == RESEARCHER:
        return ""
    shares = SplitShares(train=1 - validation_share, valid=validation_share, test=0)
    split = prompt.split or split_of(user_key(prompt), shares, seed=0)
    return "" if split == "train" else f"_{split}"
