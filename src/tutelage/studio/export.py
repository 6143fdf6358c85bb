"""Taking labels out: a folder with the files that the trainer reads, and a manifest that says how they came about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy import select

from tutelage import __version__
from tutelage.labeling.exported import demonstration_of, prompt_of, ranking_of, ratings_of
from tutelage.labeling.labels import Label
from tutelage.labeling.tasks import Purpose, Task
from tutelage.records import Demonstration, Prompt, Ranking, Rating, Record
from tutelage.store.atomic import atomic_directory
from tutelage.store.jsonl import write_records
from tutelage.studio.studio import Studio
from tutelage.studio.tables import Guideline, Item, StoredLabel, User


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """A stored label as it is read back, with what it belongs to."""

    id: int
    item_id: int
    task: Task
    label: Label
    labeler_id: str
    labeler_group: str
    purpose: str
    display_order: tuple[str, ...]
    guideline: str
    active_seconds: dict[str, float]
    created_at: datetime


class ExportManifest(Record):
    """What an export holds: its counts and hashes, the guidelines, and the group of every labeler."""

    version: str
    exported_at: str
    purpose: str | None
    num_labels: int
    num_not_rankable: int
    counts: dict[str, int]
    sha256: dict[str, str]
    labeler_groups: dict[str, str]
    guidelines: dict[str, int]
    active_hours: float


def stored_labels(studio: Studio, purpose: Purpose | None = None) -> list[LabelRow]:
    """All labels of a purpose (None: of all), in the order in which they were made."""
    rows = (
        select(StoredLabel, Item, User.labeler_group, Guideline)
        .join(Item, Item.id == StoredLabel.item_id)
        .join(User, User.id == StoredLabel.labeler_id)
        .join(Guideline, Guideline.id == StoredLabel.guideline_id)
        .order_by(StoredLabel.id)
    )
    if purpose is not None:
        rows = rows.where(Item.purpose == purpose)
    with studio.database.read() as session:
        return [_label_row(*row) for row in session.execute(rows).tuples()]


def _label_row(stored: StoredLabel, item: Item, group: str, guideline: Guideline) -> LabelRow:
    return LabelRow(
        id=stored.id,
        item_id=item.id,
        task=Task.model_validate(item.task),
        label=Label.model_validate(stored.label),
        labeler_id=stored.labeler_id,
        labeler_group=group,
        purpose=item.purpose,
        display_order=tuple(stored.display_order),
        guideline=f"{guideline.kind}, {guideline.purpose}, version {guideline.version}",
        active_seconds=stored.active_seconds,
        created_at=stored.created_at,
    )


def demonstrations(rows: Iterable[LabelRow]) -> list[Demonstration]:
    found = (demonstration_of(row.task, row.label, row.labeler_id) for row in rows)
    return [each for each in found if each is not None]


def ratings(rows: Iterable[LabelRow]) -> list[Rating]:
    return [rating for row in rows for rating in ratings_of(row.task, row.label, row.labeler_id)]


def rankings(rows: Iterable[LabelRow]) -> list[Ranking]:
    found = (ranking_of(row.task, row.label, row.labeler_id, row.display_order) for row in rows)
    return [each for each in found if each is not None]


def prompts(rows: Iterable[LabelRow]) -> list[Prompt]:
    found = (prompt_of(row.task, row.label, row.labeler_id) for row in rows)
    return [each for each in found if each is not None]


def export_labels(studio: Studio, out: Path, *, purpose: Purpose | None = None) -> ExportManifest:
    """Write demonstrations, ratings, rankings and prompts (those there are) and manifest.json to a new folder.

    Raises StorageError where `out` exists or the disk refuses.
    """
    rows = stored_labels(studio, purpose)
    files: dict[str, list[Any]] = {
        "demonstrations.jsonl": demonstrations(rows),
        "ratings.jsonl": ratings(rows),
        "rankings.jsonl": rankings(rows),
        "prompts.jsonl": prompts(rows),
    }
    with atomic_directory(out) as folder:
        hashes = {name: _write(folder / name, records) for name, records in files.items()}
        manifest = ExportManifest(
            version=__version__,
            exported_at=studio.clock().isoformat(),
            purpose=purpose,
            num_labels=len(rows),
            num_not_rankable=sum(bool(row.label.cannot_rank) for row in rows),
            counts={name: len(records) for name, records in files.items()},
            sha256=hashes,
            labeler_groups={row.labeler_id: row.labeler_group for row in rows},
            guidelines=_num_by_guideline(rows),
            active_hours=round(sum(sum(row.active_seconds.values()) for row in rows) / 3600, 3),
        )
        (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def _write(path: Path, records: list[BaseModel]) -> str:
    write_records(path, records)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _num_by_guideline(rows: list[LabelRow]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.guideline] = counts.get(row.guideline, 0) + 1
    return counts
