"""Putting tasks in: prompts to write responses for, completions to judge, prompts to be written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from tutelage.errors import UserError
from tutelage.labeling.tasks import Kind, PromptKind, Purpose, Task
from tutelage.records import Completion, Message, Prompt, Record, content_id
from tutelage.store.jsonl import read_records
from tutelage.store.sources import load_prompts
from tutelage.studio.people import record_action
from tutelage.studio.studio import Studio
from tutelage.studio.tables import Batch, Item, ItemAuthor, Slot


class SampledCompletions(Record):
    """A line of what `tutelage sample` writes: a prompt with K completions."""

    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    completions: tuple[Completion, ...]
    prompt_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """How many tasks came in, and how many were there already."""

    num_new: int
    num_known: int


def tasks_of_prompts(path: Path) -> Iterator[Task]:
    """A task of kind "demonstrate" for each prompt of a file, in any form that people have."""
    for prompt in load_prompts(str(path)):
        yield Task(kind="demonstrate", prompt=prompt)


def tasks_of_completions(path: Path, kind: Kind) -> Iterator[Task]:
    """A task of `kind` for each prompt of a file with its completions. Raises UserError where one cannot be."""
    for number, row in enumerate(read_records(path, SampledCompletions), start=1):
        prompt = Prompt(id=row.prompt_id or "", text=row.prompt, messages=row.messages)
        try:
            yield Task(kind=kind, prompt=prompt, completions=row.completions)
        except ValidationError as error:
            rule = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise UserError(f"{path}, record {number}: {rule}. Correct it, or queue it as another kind.") from None


def tasks_of_writing(kind: PromptKind, *, count: int, use_case: str = "") -> Iterator[Task]:
    """`count` tasks of writing a prompt; the number keeps them apart."""
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
    """Queue tasks as one batch, each for `overlap` different labelers. One that was queued before is left as it is."""
    tasks = list(tasks)
    num_new = 0
    with studio.database.write() as session:
        batch = Batch(name=name, created_at=studio.clock())
        session.add(batch)
        session.flush()
        known = set(session.scalars(select(Item.content_key)))
        for task in tasks:
            key = content_id(purpose, json.dumps(task.model_dump(mode="json"), sort_keys=True))
            if key in known:
                continue
            known.add(key)
            item = Item(batch_id=batch.id, content_key=key, kind=task.kind, purpose=purpose, priority=priority)
            item.overlap, item.task = overlap, task.model_dump(mode="json", exclude_defaults=True)
            _add(session, item, task)
            num_new += 1
        record_action(studio, session, by, "queue", f"batch {batch.id}: {num_new} tasks")
    return Queued(num_new=num_new, num_known=len(tasks) - num_new)


def _add(session: Session, item: Item, task: Task) -> None:
    session.add(item)
    session.flush()
    session.add_all(Slot(item_id=item.id, place=place) for place in range(1, item.overlap + 1))
    session.add_all(ItemAuthor(item_id=item.id, labeler_id=author) for author in sorted(_authors(task)))


def _authors(task: Task) -> set[str]:
    """Labelers whose own text is among the completions: their `labeler_id` stands beside it."""
    extras: Iterable[dict[str, Any]] = (completion.model_extra or {} for completion in task.completions)
    return {str(extra["labeler_id"]) for extra in extras if extra.get("labeler_id")}
