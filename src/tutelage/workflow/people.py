"""Labels by people: tasks are queued in the studio, and the run continues once all of them are labeled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.labeling.exported import comparison_of, demonstration_of, ranking_of
from tutelage.labeling.tasks import Kind, Purpose, Task
from tutelage.records import Completion, Demonstration, Prompt, Ranking, Rating, Split
from tutelage.studio.label_rows import LabelRow, stored_labels
from tutelage.studio.queue import enqueue, queued_items
from tutelage.studio.studio import open_studio
from tutelage.workflow.sources import Comparison, Waiting

# Names of the task types in messages.
_ASKED: dict[Kind, str] = {"demonstrate": "demonstrations", "evaluate": "rankings", "compare": "comparisons"}


class People:
    """Labelers and judges in the studio of a folder. Labels count only with consent to their use.

    A task queued before, by an earlier call or by hand, is not queued again, and its labels count. One that was halted
    because too many people skipped it has no label.
    """

    should_sample = True

    def __init__(self, folder: Path, *, address: str, labels_per_task: int) -> None:
        self.folder, self.address, self.labels_per_task = folder, address, labels_per_task

    @property
    def needs(self) -> Mapping[str, Path | str]:
        return {}

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"labels_per_task": self.labels_per_task}

    def demonstrate(self, prompts: Sequence[Prompt], split: Split) -> Iterator[Demonstration]:
        """See `sources.Labelers`."""
        tasks = [Task(kind="demonstrate", prompt=prompt) for prompt in prompts]
        for row in self._labels(tasks, "training"):
            if (record := demonstration_of(row.task, row.label, row.labeler_id)) is not None:
                yield record

    def rank(
        self, prompts: Sequence[Prompt], completions: Sequence[Sequence[Completion]], split: Split
    ) -> Iterator[Ranking]:
        """See `sources.Labelers`. If all completions of a prompt are identical there is nothing to rank."""
        tasks = [
            Task(kind="evaluate", prompt=prompt, completions=tuple(own))
            for prompt, own in zip(prompts, completions, strict=True)
            if len({completion.text for completion in own}) > 1
        ]
        for row in self._labels(tasks, "training"):
            record = ranking_of(row.task, row.label, row.labeler_id, row.display_order)
            if record is not None:
                yield record

    def compare(self, pairs: Sequence[tuple[Prompt, Completion, Completion]]) -> Iterator[Comparison]:
        """See `sources.Judge`. Identical completions are not queued: neither is preferred."""
        tasks, pair_of = [], {}
        for prompt, first, second in pairs:
            if first.text == second.text:
                yield Comparison(
                    prompt=prompt, first=first, second=second, labeler_id="", labeler_group="people", outcome=0.5
                )
            else:
                tasks.append(Task(kind="compare", prompt=prompt, completions=(first, second)))
                pair_of[first.id, second.id] = (prompt, first, second)
        for row in self._labels(tasks, "evaluation"):
            prompt, first, second = pair_of[row.task.completions[0].id, row.task.completions[1].id]
            found = comparison_of(row.task, row.label, row.labeler_id)
            assert found is not None, "tasks of kind compare are comparisons"
            yield Comparison(
                prompt=prompt,
                first=first,
                second=second,
                labeler_id=row.labeler_id,
                labeler_group="people",
                outcome=found.outcome if found.completion_id == first.id else 1.0 - found.outcome,
            )

    def rate(self, completions: Sequence[tuple[Prompt, Completion]]) -> Iterable[tuple[Completion, Rating]]:
        """See `sources.Judge`. People only compare, which win rates are based on; they do not rate."""
        return ()

    def _labels(self, tasks: Sequence[Task], purpose: Purpose) -> list[LabelRow]:
        """The labels of these tasks, in order, once all of them exist. Raises `Waiting`."""
        if not tasks:
            return []
        studio = open_studio(self.folder)
        try:
            enqueue(studio, tasks, purpose=purpose, overlap=self.labels_per_task, name=_ASKED[tasks[0].kind])
            items = queued_items(studio, tasks, purpose=purpose)
            place_of = {item.id: place for place, item in enumerate(items)}
            rows = [row for row in stored_labels(studio, purpose) if row.item_id in place_of]
        finally:
            studio.database.close()
        waiting = sum(item.num_open for item in items if not item.is_halted)
        if waiting:
            raise Waiting(f"{waiting} {_ASKED[tasks[0].kind]} by people", self._how(purpose))
        return sorted(rows, key=lambda row: (place_of[row.item_id], row.id))

    def _how(self, purpose: Purpose) -> str:
        heldout = " --group heldout" if purpose == "evaluation" else ""
        return (
            f"  serve the studio:  tutelage label serve --data {self.folder}\n"
            f"  invite labelers:   tutelage label invite --data {self.folder}{heldout} --address {self.address}\n"
            "Then run the same command again to continue."
        )
