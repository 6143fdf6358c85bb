"""Queueing tasks: prompts to write responses for, completions to judge, prompts to write."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from tutelage.labeling.tasks import Kind, PromptKind, Purpose, Task
from tutelage.records import Completion, Message, Prompt, Record, content_id
from tutelage.store.jsonl import read_records
from tutelage.store.sources import load_prompts
from tutelage.studio.people import record_action
from tutelage.studio.studio import Refusal, Studio
from tutelage.studio.tables import Batch, Item, ItemAuthor, Slot

TASKS_PER_TRANSACTION = 500
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_OF_PROMPTS = ("user_id", "source", "use_case", "language", "split", "purpose")


class SampledCompletions(Record):
    """A line of what `tutelage sample` writes: a prompt with K completions."""

    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    completions: tuple[Completion, ...]
    prompt_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """How many tasks were queued, and how many were already there."""

    num_new: int
    num_known: int


def tasks_of_prompts(path: Path) -> Iterator[Task]:
    """A task of kind "demonstrate" for each prompt of a file in any supported format."""
    for prompt in load_prompts(str(path)):
        yield Task(kind="demonstrate", prompt=prompt)


def tasks_of_completions(path: Path, kind: Kind) -> Iterator[Task]:
    """A task of `kind` for each prompt of a file with its completions. Raises UserError for an invalid one."""
    for number, row in enumerate(read_records(path, SampledCompletions), start=1):
        yield task_of_completions(row, kind, where=f"{path}, record {number}")


def task_of_completions(row: SampledCompletions, kind: Kind, *, where: str) -> Task:
    """The task of judging a prompt's completions. Raises Refusal, which names `where`, for what cannot be one."""
    try:
        return Task(kind=kind, prompt=_prompt_of(row), completions=row.completions)
    except ValidationError as error:
        rule = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise Refusal(f"{where}: {rule}. Correct it, or queue it as another task type.") from None


def _prompt_of(row: SampledCompletions) -> Prompt:
    """The prompt of a line, with its metadata: user, split, use case."""
    known = {name: value for name, value in (row.model_extra or {}).items() if name in _OF_PROMPTS}
    return Prompt.model_validate({"id": row.prompt_id or "", "text": row.prompt, "messages": row.messages, **known})


def tasks_of_writing(kind: PromptKind, *, count: int, use_case: str = "") -> Iterator[Task]:
    """`count` tasks of writing a prompt; a number makes them distinct."""
    for number in range(1, count + 1):
        yield Task.model_validate({"kind": "prompt", "prompt_kind": kind, "use_case": use_case, "number": number})


def enqueue(
    studio: Studio,
    tasks: Iterable[Task],
    *,
    purpose: Purpose = "training",
    overlap: int = 1,
    priority: int = 0,
    name: str = "",
    by: str | None = None,
) -> Queued:
    """Queue tasks as one batch, each for `overlap` different labelers. Tasks already queued are left unchanged.

    Tasks are read from `tasks` and written a few hundred at a time, each chunk in its own transaction: labelers are
    served in between, and an interrupted call resumes when it is repeated.
    """
    num_new = num_tasks = 0
    batch_id: int | None = None
    remaining = iter(tasks)
    while part := list(islice(remaining, TASKS_PER_TRANSACTION)):
        rows = _rows(part, purpose=purpose, overlap=overlap, priority=priority)
        with studio.database.write() as session:
            studio.database.take_turn(session, "queue")
            if rows := _unknown(session, rows):
                batch_id = batch_id or _new_batch(studio, session, name)
                _add(session, batch_id, rows)
                record_action(studio, session, by, "queue", f"batch {batch_id}: {len(rows)} tasks")
        num_new, num_tasks = num_new + len(rows), num_tasks + len(part)
    return Queued(num_new=num_new, num_known=num_tasks - num_new)


def content_key(task: Task, purpose: Purpose) -> str:
    """The identity of an item: the same task for the same purpose has the same key, however often it is queued."""
    return content_id(purpose, json.dumps(task.model_dump(mode="json"), sort_keys=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedItem:
    """An item in the queue, and how many of its slots are still open. A halted one is no longer assigned."""

    id: int
    num_open: int
    is_halted: bool


def queued_items(studio: Studio, tasks: Sequence[Task], *, purpose: Purpose) -> list[QueuedItem]:
    """The items of tasks that were queued for this purpose, in the order of `tasks`; equal tasks share one."""
    place_of_key = {content_key(task, purpose): place for place, task in enumerate(tasks)}
    open_places = func.count(Slot.id).filter(Slot.state != "done")
    found: dict[int, QueuedItem] = {}
    keys = iter(place_of_key)
    with studio.database.read() as session:
        while part := list(islice(keys, TASKS_PER_TRANSACTION)):
            chosen = (
                select(Item.id, Item.content_key, Item.is_halted, open_places)
                .join(Slot, Slot.item_id == Item.id)
                .where(Item.content_key.in_(part))
                .group_by(Item.id)
            )
            for item_id, key, is_halted, num_open in session.execute(chosen).tuples():
                found[place_of_key[key]] = QueuedItem(id=item_id, num_open=num_open, is_halted=is_halted)
    return [found[place] for place in sorted(found)]


def _rows(part: Sequence[Task], *, purpose: Purpose, overlap: int, priority: int) -> list[dict[str, Any]]:
    """Rows of the items table, one per task; of equal tasks only the first."""
    rows: dict[str, dict[str, Any]] = {}
    for task in part:
        row: dict[str, Any] = {"content_key": content_key(task, purpose), "kind": task.kind, "purpose": purpose}
        row |= {"priority": priority, "overlap": overlap, "is_halted": False}
        rows.setdefault(
            row["content_key"], row | {"task": _storable(task.model_dump(mode="json", exclude_defaults=True))}
        )
    return list(rows.values())


def _storable(value: Any) -> Any:
    """The value with U+FFFD in place of what PostgreSQL cannot store but models and scripts may send.

    That is U+0000 and lone surrogates; NaN and infinity become None.
    """
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list) else value


def _unknown(session: Session, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    keys = [row["content_key"] for row in rows]
    known = set(session.scalars(select(Item.content_key).where(Item.content_key.in_(keys))))
    return [row for row in rows if row["content_key"] not in known]


def _new_batch(studio: Studio, session: Session, name: str) -> int:
    batch = Batch(name=name[-200:], created_at=studio.clock())
    session.add(batch)
    session.flush()
    return batch.id


def _add(session: Session, batch_id: int, rows: list[dict[str, Any]]) -> None:
    """Add items with their slots and authors."""
    adding = insert(Item).returning(Item.id, Item.content_key)
    id_of = {key: item_id for item_id, key in session.execute(adding, [row | {"batch_id": batch_id} for row in rows])}
    places = [
        place_of(id_of[row["content_key"]], row["kind"], row["priority"], place)
        for row in rows
        for place in range(1, row["overlap"] + 1)
    ]
    authors = [
        {"item_id": id_of[row["content_key"]], "labeler_id": author}
        for row in rows
        for author in sorted(_authors(row["task"]))
    ]
    for table, own in ((Slot, places), (ItemAuthor, authors)):
        if own:
            session.execute(insert(table), own)


def place_of(item_id: int, kind: str, priority: int, place: int) -> dict[str, Any]:
    """The row of a free slot of an item."""
    return {"item_id": item_id, "kind": kind, "order_key": -priority, "place": place, "state": "free"}


def _authors(task: dict[str, Any]) -> set[str]:
    """Labelers whose own text is among the completions: named by its `labeler_id`."""
    return {str(each["labeler_id"])[:16] for each in task.get("completions", ()) if each.get("labeler_id")}
