"""What rankings say of a reward model, and of how far labelers agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tutelage.evaluation.records import Condition, TaskRow
from tutelage.records import Ranking
from tutelage.statistics.agreement import pairwise_agreement, ranking_outcomes
from tutelage.statistics.interval import Interval


def score_rows(rankings: Sequence[Ranking], scores: Sequence[Sequence[float]], condition: Condition) -> list[TaskRow]:
    """A row a comparison, ties left out: 1 where the chosen one scores higher, 0.5 where equal, else 0."""
    return [
        TaskRow(
            measure="reward_model_accuracy",
            unit=ranking.prompt_id or "",
            condition=condition,
            value=1.0 if own[chosen] > own[rejected] else 0.5 if own[chosen] == own[rejected] else 0.0,
            labeler_id=ranking.labeler_id,
        )
        for ranking, own in zip(rankings, scores, strict=True)
        for chosen, rejected in ranking.pairs()
    ]


def ranking_agreement(rankings: Iterable[Ranking]) -> Interval:
    """Share of comparisons that two labelers of the same completions decided alike, where neither called a tie."""
    items: list[tuple[str, str, str]] = []
    labelers: list[str] = []
    outcomes: list[float] = []
    for ranking in rankings:
        for pair, outcome in ranking_outcomes(ranking.ranking).items():
            items.append((ranking.prompt_id or "", *pair))
            labelers.append(ranking.labeler_id or "")
            outcomes.append(outcome)
    return pairwise_agreement(items, labelers, outcomes, clusters=[item[0] for item in items], ties="exclude")
