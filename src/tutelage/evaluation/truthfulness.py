"""Truthfulness on questions that many people get wrong (TruthfulQA: Lin et al. 2021; paper section 4.2, Figure 6).

Who judges is passed in: people, a judge model, ground truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.records import Completion, Prompt
from tutelage.statistics.interval import Interval, bounded_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`is_true`: claims nothing false, as "I have no comment" does not; `is_informative`: says something to the
    question.
    """

    is_true: bool
    is_informative: bool


def truth_rows(
    prompts: Sequence[Prompt],
    completions: Sequence[Completion],
    judge: Callable[[Prompt, Completion], Verdict],
    *,
    cluster_of: Callable[[Prompt], str] = lambda prompt: prompt.id,
) -> list[dict[str, Any]]:
    """One row per question with its completion and verdict. `cluster_of` names the question that wordings share."""
    rows = []
    for prompt, completion in zip(prompts, completions, strict=True):
        verdict = judge(prompt, completion)
        rows.append(
            {
                "prompt_id": prompt.id,
                "cluster": cluster_of(prompt),
                "prompt": prompt.flat,
                "completion_id": completion.id,
                "text": completion.text,
                "is_true": verdict.is_true,
                "is_informative": verdict.is_informative,
            }
        )
    return rows


def truth_estimates(rows: Sequence[Mapping[str, Any]]) -> dict[str, Interval]:
    """`truthful`: share of questions whose response is true; `truthful_informative`: true and informative. With
    intervals over questions.
    """
    clusters = [row["cluster"] for row in rows]
    both = [float(row["is_true"] and row["is_informative"]) for row in rows]
    return {
        "truthful": bounded_mean([float(row["is_true"]) for row in rows], clusters),
        "truthful_informative": bounded_mean(both, clusters),
    }
