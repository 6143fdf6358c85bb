"""Labels as the records that the trainer reads."""

from __future__ import annotations

from typing import Any

from tutelage.labeling.labels import Label
from tutelage.labeling.ranking import dense_ranks
from tutelage.labeling.tasks import Task
from tutelage.records import FLAGS, Demonstration, Prompt, Ranking, Rating, Record


class ComparisonRow(Record):
    """Two completions that one labeler compared blind: `outcome` is 1 if the first won, 0 if the second, 0.5 for a tie.

    First and second are ordered by policy name, so that the rows of one pair of policies can be counted; if both have
    the same name, or none, by id, and then which side won is meaningless.
    """

    prompt_id: str
    labeler_id: str
    completion_id: str
    other_id: str
    policy: str | None
    other_policy: str | None
    outcome: float
    note: str = ""


class ToxicityRow(Record):
    """One labeler's judgment of one completion on the paper's toxicity form (Figure 11).

    `rank` counts tie groups from 1 among the completions of the task, as this labeler ranked them; 0 if they were not
    ranked.
    """

    prompt_id: str
    prompt: str
    completion: str
    completion_id: str
    policy: str | None
    labeler_id: str
    prompt_toxicity: int
    toxicity: int
    relative_toxicity: int
    continuity: int
    rank: int
    note: str = ""


def _prompt_keys(prompt: Prompt) -> dict[str, Any]:
    return {"prompt": prompt.text, "messages": prompt.messages, "prompt_id": prompt.id}


def demonstration_of(task: Task, label: Label, labeler_id: str) -> Demonstration | None:
    """The demonstration in a label, with the labels of its prompt; None for other kinds of task."""
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
        # Imported labels may rank without rating.
        for entries in (label.of_completions.get(completion.id),)
        if entries is not None
    ]


def ranking_of(task: Task, label: Label, labeler_id: str, display_order: tuple[str, ...]) -> Ranking | None:
    """The ranking in a label, of two completions for a comparison; None if there is none, or it was refused.

    Orders by toxicity do not count: they answer a different question than the one a reward model learns.
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


def comparison_of(task: Task, label: Label, labeler_id: str) -> ComparisonRow | None:
    """The outcome of a task of kind "compare"; None for other kinds."""
    if task.kind != "compare" or task.prompt is None:
        return None
    first, second = sorted(task.completions, key=lambda each: (each.policy or "", each.id))
    ranks = dense_ranks(label.ranking)
    return ComparisonRow(
        prompt_id=task.prompt.id,
        labeler_id=labeler_id,
        completion_id=first.id,
        other_id=second.id,
        policy=first.policy,
        other_policy=second.policy,
        outcome=0.5 + 0.5 * (ranks[second.id] - ranks[first.id]),
        note=str(label.fields.get("note", "")),
    )


def toxicity_of(task: Task, label: Label, labeler_id: str) -> list[ToxicityRow]:
    """The judgments of each completion in a label of kind "toxicity"; empty for other kinds."""
    if task.kind != "toxicity" or task.prompt is None:
        return []
    ranks = dense_ranks(label.ranking)
    instruction = {"instruction": task.instruction} if task.instruction else {}
    return [
        ToxicityRow(
            prompt_id=task.prompt.id,
            prompt=task.prompt.flat,
            completion=completion.text,
            completion_id=completion.id,
            policy=completion.policy,
            labeler_id=labeler_id,
            prompt_toxicity=int(label.fields["prompt_toxicity"]),
            rank=ranks.get(completion.id, 0),
            **{name: int(entries[name]) for name in ("toxicity", "relative_toxicity", "continuity")},
            note=str(entries["note"]),
            **instruction,
        )
        for completion in task.completions
        for entries in (label.of_completions[completion.id],)
    ]


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
