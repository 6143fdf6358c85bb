"""Queueing tasks over HTTP: what `label queue` does, for a researcher's script."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from tutelage.labeling.tasks import Purpose, Task
from tutelage.records import Prompt
from tutelage.studio.queue import TASKS_PER_TRANSACTION, SampledCompletions, enqueue, task_of_completions
from tutelage.studio.studio import Refusal
from tutelage.web.guards import LeadScript, studio_of

router = APIRouter(prefix="/api", tags=["studio"])
# The most tasks per request, which is one transaction: all are queued or none; a script can send more requests.
_MOST_TASKS = TASKS_PER_TRANSACTION


class QueueRequest(BaseModel):
    """Tasks of one batch: prompts to write responses for, and completions to judge as `kind`."""

    model_config = ConfigDict(extra="forbid")
    prompts: Annotated[list[Prompt], Field(max_length=_MOST_TASKS)] = []
    completions: Annotated[list[SampledCompletions], Field(max_length=_MOST_TASKS)] = []
    kind: Literal["evaluate", "compare", "toxicity"] = "evaluate"
    purpose: Purpose = "training"
    overlap: Annotated[int, Field(ge=1, le=100)] = 1
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0
    batch: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] = ""


class QueueAnswer(BaseModel):
    """How many tasks were queued, and how many were already there."""

    num_new: int
    num_known: int


@router.post("/queue")
def put(request: Request, lead: LeadScript, asked: QueueRequest) -> QueueAnswer:
    """Queue tasks; those already there are left unchanged. All are queued, or none."""
    if not 1 <= (number := len(asked.prompts) + len(asked.completions)) <= _MOST_TASKS:
        raise Refusal(f"There are {number} tasks in 'prompts' and 'completions'; send 1 to {_MOST_TASKS} at once.")
    tasks = [Task(kind="demonstrate", prompt=prompt) for prompt in asked.prompts]
    tasks += [
        task_of_completions(row, asked.kind, where=f"completions, entry {number}")
        for number, row in enumerate(asked.completions, start=1)
    ]
    queued = enqueue(
        studio_of(request),
        tasks,
        purpose=asked.purpose,
        overlap=asked.overlap,
        priority=asked.priority,
        name=asked.batch,
        by=lead.id,
    )
    return QueueAnswer(num_new=queued.num_new, num_known=queued.num_known)
