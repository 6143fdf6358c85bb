"""Queueing comparisons of a finished quickstart for people: the same blind question as for its simulated labelers."""

from __future__ import annotations

from pathlib import Path

from tutelage.errors import DataError
from tutelage.evaluation.records import INSTRUCT, EvaluatedCompletion
from tutelage.labeling.tasks import Task
from tutelage.records import Completion, Prompt
from tutelage.store.atomic import storage_refusals
from tutelage.store.jsonl import read_records
from tutelage.studio.queue import enqueue
from tutelage.studio.studio import open_studio

BATCH = "quickstart"


def label_yourself(run: Path, *, number: int = 20, policy: str = "ppo_ptx", other_policy: str = "sft") -> Path:
    """Queue comparisons of two policies on a run's test prompts in a studio; returns the studio's folder.

    `number` of them, spread over the test prompts, for evaluation; repeated calls queue none twice. Prompts for which
    both policies gave the same text are excluded. Raises DataError if the run has no such completions.
    """
    tasks = _tasks(run / "evaluation" / "completions.jsonl", policy, other_policy)
    chosen = [tasks[place * len(tasks) // number] for place in range(number)] if len(tasks) > number else tasks
    folder = run / "studio"
    with storage_refusals(folder, "The run is intact."):
        studio = open_studio(folder)
        enqueue(studio, chosen, purpose="evaluation", name=BATCH)
        studio.database.close()
    return folder


def _tasks(path: Path, *policies: str) -> list[Task]:
    if not path.exists():
        raise DataError(f"{path} does not exist. Give the folder of a finished quickstart.")
    completions: dict[str, dict[str, EvaluatedCompletion]] = {}
    for row in read_records(path, EvaluatedCompletion):
        # For a full run, the prompts written for InstructGPT; sizes are in ascending order, and the largest is kept.
        if row.distribution in ("", INSTRUCT):
            completions.setdefault(row.prompt_id, {})[row.arm] = row
    found = []
    for prompt_id, by_policy in completions.items():
        rows = [by_policy[policy] for policy in policies if policy in by_policy]
        if len(rows) == 2 and rows[0].text.strip() != rows[1].text.strip():
            prompt = Prompt(id=prompt_id, text=rows[0].prompt, use_case=rows[0].use_case or None)
            pair = tuple(Completion(id=row.completion_id, text=row.text, policy=row.arm) for row in rows)
            found.append(Task(kind="compare", prompt=prompt, completions=pair))
    if not found:
        raise DataError(f"{path} has no prompt to which {' and '.join(policies)} gave different completions.")
    return found
