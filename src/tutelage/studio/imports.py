"""Taking in what was labeled elsewhere: as tasks for our labelers, or as finished labels of those who made them."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tutelage.errors import DataError
from tutelage.labeling.assignment import Group
from tutelage.labeling.forms import PROMPT_MARKS
from tutelage.labeling.labels import Label
from tutelage.labeling.tasks import Purpose, Task
from tutelage.records import Demonstration, Prompt, Ranking, content_id
from tutelage.store.forms import UnusableRow
from tutelage.store.jsonl import OnSkip, SkipLog, read_rows, record_error
from tutelage.store.sources import load_demonstrations, load_rankings
from tutelage.studio.foreign import is_argilla, is_label_studio, records_of_argilla, records_of_label_studio
from tutelage.studio.people import record_action
from tutelage.studio.queue import Queued, content_key, enqueue, place_of
from tutelage.studio.studio import Studio
from tutelage.studio.tables import Guideline, Item, Slot, StoredLabel, User

Record = Ranking | Demonstration
_LABELS_PER_TRANSACTION = 200
_NAMESPACE = uuid.UUID("6f1d3a50-2f7e-4a52-9b70-0d6f2f6b8f11")
_GUIDELINE = "These labels were made elsewhere and imported; what their labelers were told is not known here.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A task with what one labeler said; `labeler` is their name where the label was made, None if nobody told it."""

    task: Task
    label: Label
    labeler: str | None


def read_imported(path: Path, *, skip_bad: bool = False, on_skip: OnSkip | None = None) -> Iterator[Imported]:
    """Stream the labels of a file: Label Studio's or Argilla's export, OASST trees, HH, and all forms of the trainer.

    Rows that hold no whole ranking and no demonstration are left out and told to `on_skip`. Raises DataError for a
    form that is not known, RecordError for a bad row unless `skip_bad`.
    """
    log = SkipLog(path, skip_bad=skip_bad, on_skip=on_skip)
    for number, record in enumerate(_records(path, log, skip_bad, on_skip), start=1):
        try:
            yield _imported(record)
        except UnusableRow as error:
            log.leave_out(number, f"{path}, record {number}: {error}")
    log.close()


def _records(path: Path, log: SkipLog, skip_bad: bool, on_skip: OnSkip | None) -> Iterator[Record]:
    rows = read_rows(path, SkipLog(path, skip_bad=True, on_skip=lambda _: None))
    first = next(rows, (0, {}))[1]
    for matches, convert in ((is_label_studio, records_of_label_studio), (is_argilla, records_of_argilla)):
        if matches(first):
            yield from _foreign(path, log, convert)
            return
    try:
        yield from load_rankings(path, skip_bad=skip_bad, on_skip=on_skip)
    except DataError as error:
        try:
            yield from load_demonstrations(path, skip_bad=skip_bad, on_skip=on_skip)
        except DataError:
            raise DataError(f"{error} Label Studio's and Argilla's JSON exports are read too.") from None


def _foreign(path: Path, log: SkipLog, convert: Callable[[dict], list[Record]]) -> Iterator[Record]:
    for number, row in read_rows(path, log):
        try:
            yield from convert(row)
        except UnusableRow as error:
            log.leave_out(number, f"{path}, line {number}: {error}")
        except ValidationError as error:
            log.refuse(record_error(path, number, error))


def _imported(record: Record) -> Imported:
    prompt = Prompt(id=record.prompt_id or "", text=record.prompt, messages=record.messages)
    try:
        if isinstance(record, Demonstration):
            entries = {**{mark.name: False for mark in PROMPT_MARKS}, "response": record.response, "note": ""}
            task, label = Task(kind="demonstrate", prompt=prompt), Label(fields=entries)
        else:
            kind = "compare" if len(record.completions) == 2 else "evaluate"
            task = Task(kind=kind, prompt=prompt, completions=record.completions)
            label = Label(ranking=_order(record))
    except ValidationError as error:
        raise UnusableRow(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    return Imported(task=task, label=label, labeler=record.labeler_id)


def _order(ranking: Ranking) -> tuple[tuple[str, ...], ...]:
    if ranking.ranking:
        return ranking.ranking
    if len(ranking.completions) == 2 and ranking.comparisons:
        chosen, rejected = ranking.comparisons[0]
        return ((chosen,), (rejected,))
    raise UnusableRow("its labeler judged some pairs and gave no order of all completions")


def import_tasks(
    studio: Studio, found: Iterator[Imported], *, name: str, purpose: Purpose = "training", overlap: int = 1
) -> Queued:
    """Queue what was labeled elsewhere, to be labeled here: the labels are not taken in."""
    return enqueue(studio, (each.task for each in found), purpose=purpose, overlap=overlap, name=name)


def import_labels(
    studio: Studio, found: Iterator[Imported], *, name: str, purpose: Purpose = "training", group: Group = "training"
) -> Queued:
    """Store finished labels. Their labelers become people of `group` who cannot sign in.

    A label that is there already is left as it is, so that the same file again adds nothing; so is a second one of one
    labeler for one task. Labels without a labeler are of "unknown 1", "unknown 2", ... for each task.
    """
    num_new = num_all = 0
    unknown: Counter[str] = Counter()
    while part := list(islice(found, _LABELS_PER_TRANSACTION)):
        # Without places of their own: each label brings its place.
        enqueue(studio, (each.task for each in part), purpose=purpose, overlap=0, name=name)
        with studio.database.write() as session:
            studio.database.take_turn(session, "queue")
            added = sum(_store(studio, session, each, name, purpose, group, unknown) for each in part)
            record_action(studio, session, None, "import labels", f"{name}: {added} labels")
        num_new, num_all = num_new + added, num_all + len(part)
    return Queued(num_new=num_new, num_known=num_all - num_new)


def _store(
    studio: Studio,
    session: Session,
    each: Imported,
    source: str,
    purpose: Purpose,
    group: Group,
    unknown: Counter[str],
) -> bool:
    key = content_key(each.task, purpose)
    unknown[key] += each.labeler is None
    labeler_id = _labeler(studio, session, each.labeler or f"unknown {unknown[key]}", source, group)
    item = session.scalars(select(Item).where(Item.content_key == key)).one()
    # If the item is gold, a labeler may be given a new place of it at this moment.
    studio.database.take_turn(session, f"places of {item.id}")
    of_item = select(func.max(Slot.place)).where(Slot.item_id == item.id)
    if session.scalar(of_item.where(Slot.labeler_id == labeler_id)) is not None:
        return False
    place = place_of(item.id, item.kind, item.priority, (session.scalar(of_item) or 0) + 1)
    slot = Slot(**{**place, "state": "done", "labeler_id": labeler_id})
    session.add(slot)
    session.flush()
    item.overlap = max(item.overlap, slot.place)
    session.add(
        StoredLabel(
            slot_id=slot.id,
            item_id=item.id,
            labeler_id=labeler_id,
            client_uuid=str(uuid.uuid5(_NAMESPACE, f"{key} {labeler_id}")),
            label=each.label.model_dump(mode="json"),
            display_order=[completion.id for completion in each.task.completions],
            display_seed=0,
            guideline_id=_guideline(studio, session, each.task.kind),
            ui_version="imported",
            active_seconds={},
            created_at=studio.clock(),
        )
    )
    session.flush()
    return True


def _labeler(studio: Studio, session: Session, name: str, source: str, group: Group) -> str:
    labeler_id = content_id("imported", source, name)
    if session.get(User, labeler_id) is None:
        user = User(
            id=labeler_id, name=f"{name[:40]} ({source[-30:]}, {labeler_id[:4]})", password_hash="", role="labeler"
        )
        # Nobody has this account: without a password's hash no password is right, and inactive it may not come in.
        user.labeler_group, user.quota, user.is_active, user.created_at = group, None, False, studio.clock()
        # Whoever takes labels in has them to use: the consent was given where they were made.
        user.consented_at = user.created_at
        session.add(user)
        session.flush()
    return labeler_id


def _guideline(studio: Studio, session: Session, kind: str) -> int:
    """A document that says that it is not known: of a purpose that no task has, so that no page ever shows it."""
    known = session.scalar(select(Guideline).where(Guideline.kind == kind, Guideline.purpose == "imported"))
    if known is None:
        known = Guideline(kind=kind, purpose="imported", version=1, markdown=_GUIDELINE, created_at=studio.clock())
        session.add(known)
        session.flush()
    return known.id
