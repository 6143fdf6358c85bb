"""Labels as the records that the trainer reads."""

from __future__ import annotations

from typing import Any

from tutelage.labeling.labels import Label
from tutelage.labeling.tasks import Task
from tutelage.records import FLAGS, Demonstration, Prompt, Ranking, Rating


def _prompt_keys(prompt: Prompt) -> dict[str, Any]:
    return {"prompt": prompt.text, "messages": prompt.messages, "prompt_id": prompt.id}


def demonstration_of(task: Task, label: Label, labeler_id: str) -> Demonstration | None:
    """The demonstration in a label, with the marks of its prompt; None for other kinds of task."""
    if task.kind != "demonstrate" or task.prompt is None:
        return None
    marks = {name: value for name, value in label.fields.items() if name not in ("response", "note") and value}
    extra = {"prompt_marks": sorted(marks)} if marks else {}
    return Demonstration(
        **_prompt_keys(task.prompt), response=str(label.fields["response"]), labeler_id=labeler_id, **extra
    )


def ratings_of(task: Task, label: Label, labeler_id: str) -> list[Rating]:
    """The ratings in a label of kind "evaluate", in the order of the task's completions."""
    if task.kind != "evaluate" or task.prompt is None:
        return []
    return [
        Rating(
            prompt_id=task.prompt.id,
            completion_id=completion.id,
            labeler_id=labeler_id,
            overall=int(entries["overall"]),
            flags={flag: bool(entries[flag]) for flag in FLAGS},
            note=str(entries["note"]),
        )
        for completion in task.completions
        for entries in (label.of_completions[completion.id],)
    ]


def ranking_of(task: Task, label: Label, labeler_id: str, display_order: tuple[str, ...]) -> Ranking | None:
    """The ranking in a label, of two completions for a comparison; None where there is none, or it was refused.

    Orders by toxicity are none: they answer another question than the one a reward model learns.
    """
    if task.kind not in ("evaluate", "compare") or task.prompt is None or not label.ranking:
        return None
    return Ranking(
        **_prompt_keys(task.prompt),
        completions=task.completions,
        ranking=label.ranking,
        labeler_id=labeler_id,
        display_order=display_order,
    )


def prompt_of(task: Task, label: Label, labeler_id: str) -> Prompt | None:
    """The prompt that a labeler wrote; None for other kinds of task."""
    if task.prompt_kind is None:
        return None
    text = str(label.fields["text"])
    shots = [
        f"Input: {label.fields[f'shot_{number}_input']}\nResponse: {label.fields[f'shot_{number}_response']}"
        for number in range(1, 10)
        if label.fields.get(f"shot_{number}_input")
    ]
    return Prompt(
        text="\n\n".join([text, *shots]),
        user_id=labeler_id,
        source=f"labeler-{task.prompt_kind}",
        use_case=task.use_case or None,
    )
