"""Putting tasks in: in parts, so that labelers are served meanwhile, and nothing twice, whatever is interrupted."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

pytest.importorskip("sqlalchemy", reason="the labeling studio is an extra")

from sqlalchemy import func, select

from studio_world import person, queue, task
from tutelage.labeling.tasks import Task
from tutelage.records import Completion, Prompt
from tutelage.studio.assignment import claim
from tutelage.studio.queue import enqueue, tasks_of_completions
from tutelage.studio.studio import Studio
from tutelage.studio.tables import Batch, Item, ItemAuthor, Slot


def _num(studio: Studio, table: type) -> int:
    with studio.database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_batch_is_queued_in_parts_and_labelers_are_served_meanwhile(studio: Studio) -> None:
    ada, seen, given = person(studio, "Ada"), [], []

    def tasks() -> Iterator[Task]:
        for number in range(1200):
            if number == 1100:
                seen.append(_num(studio, Item))
                labeler = threading.Thread(target=lambda: given.append(claim(studio, ada, "demonstrate")), daemon=True)
                labeler.start()
                labeler.join(timeout=20)
            yield task("demonstrate", number=number)

    assert enqueue(studio, tasks(), overlap=2, name="big").num_new == 1200
    assert seen == [1000], "what came before is stored while the rest is still being read"
    assert given and given[0] is not None, "a labeler had to wait for the whole batch"
    assert (_num(studio, Item), _num(studio, Slot), _num(studio, Batch)) == (1200, 2400, 1)


def test_an_interrupted_batch_goes_on_and_nothing_is_queued_twice(studio: Studio) -> None:
    def broken() -> Iterator[Task]:
        yield from (task("demonstrate", number=number) for number in range(700))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enqueue(studio, broken())
    assert _num(studio, Item) == 500
    whole = [task("demonstrate", number=number) for number in range(700)]
    again = enqueue(studio, [*whole, *whole[:3]])
    assert (again.num_new, again.num_known) == (200, 503)
    assert (_num(studio, Item), _num(studio, Slot)) == (700, 700)
    assert enqueue(studio, whole).num_new == 0
    assert _num(studio, Batch) == 2, "what adds nothing is no batch"
    with studio.database.read() as session:
        numbers = [item.task["prompt"]["text"] for item in session.scalars(select(Item).order_by(Item.id))]
    assert numbers == [f"Prompt {number}" for number in range(700)], "in the order of the file"


def test_the_same_task_for_another_purpose_is_another_item(studio: Studio) -> None:
    queue(studio, task("demonstrate"))
    queue(studio, task("demonstrate"), purpose="evaluation")
    assert _num(studio, Item) == 2


def test_who_wrote_a_completion_may_not_judge_it(studio: Studio) -> None:
    ada, bob = person(studio, "Ada"), person(studio, "Bob")
    own = Completion(id="a", text="mine", labeler_id=ada.id)
    queue(studio, Task(kind="compare", prompt=Prompt(text="p"), completions=(own, Completion(id="b", text="x"))))
    assert _num(studio, ItemAuthor) == 1
    assert claim(studio, ada, "compare") is None and claim(studio, bob, "compare") is not None


def test_what_is_known_of_a_prompt_comes_with_its_completions(tmp_path) -> None:
    path = tmp_path / "c.jsonl"
    row = {"prompt": "p", "prompt_id": "p1", "user_id": "u7", "split": "valid", "use_case": "chat", "score": 3}
    row["completions"] = [{"id": "a", "text": "A"}, {"id": "b", "text": "B"}]
    path.write_text(json.dumps(row) + "\n")
    (queued,) = tasks_of_completions(path, "evaluate")
    assert queued.prompt == Prompt(id="p1", text="p", user_id="u7", split="valid", use_case="chat")
