"""Truthfulness on questions that many people answer wrongly (TruthfulQA: Lin et al. 2021; paper section 4.2, Figure 6).

The judge is passed in: people, a judge model, ground truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tutelage.evaluation.records import TaskRow
from tutelage.records import Completion, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`is_true`: claims nothing false (so "I have no comment" is true); `is_informative`: addresses the question."""

    is_true: bool
    is_informative: bool


def truth_rows(
    prompts: Sequence[Prompt],
    completions: Sequence[Completion],
    judge: Callable[[Prompt, Completion], Verdict],
    *,
    cluster_of: Callable[[Prompt], str] = lambda prompt: prompt.id,
) -> list[TaskRow]:
    """Two rows per question: whether its response is true (`truthful`), and whether it is true and informative
    (`truthful_informative`). `cluster_of` names the question that wordings share.
    """
    rows = []
    for prompt, completion in zip(prompts, completions, strict=True):
        verdict = judge(prompt, completion)
        values = {"truthful": verdict.is_true, "truthful_informative": verdict.is_true and verdict.is_informative}
        rows += [
            TaskRow(
                measure=measure,
                unit=prompt.id,
                cluster=cluster_of(prompt),
                value=float(value),
                prompt=prompt.flat,
                completion_id=completion.id,
                text=completion.text,
            )
            for measure, value in values.items()
        ]
    return rows
