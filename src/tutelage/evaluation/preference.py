"""Comparisons and ratings; the judges are passed in: people in the labeling studio or simulated labelers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from tutelage.evaluation.records import Condition, EvaluatedComparison, EvaluatedRating, SizedArm, TaskRow
from tutelage.records import Completion, Prompt, Ranking, Rating
from tutelage.statistics.agreement import pairwise_agreement, ranking_outcomes
from tutelage.statistics.interval import Interval

L = TypeVar("L")
Completions = Mapping[SizedArm, Sequence[Completion]]  # by arm, one per prompt
Prefer = Callable[[Prompt, Completion, Completion, L, Random], float]  # 1 first, 0 second, 0.5 tie
Rate = Callable[[Prompt, Completion, L, Random], Rating]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelerPanel:
    """Labelers of one group; `judgements_per_prompt` of them, chosen by the generator, judge each prompt."""

    group: str
    labelers: Sequence[Any]
    judgements_per_prompt: int

    def for_prompt(self, rng: Random) -> list[Any]:
        return rng.sample(list(self.labelers), min(self.judgements_per_prompt, len(self.labelers)))


def compare_with_baseline(
    prompts: Sequence[Prompt],
    completions: Completions,
    *,
    baseline: SizedArm,
    panels: Iterable[LabelerPanel],
    prefer: Prefer[Any],
    rng: Random,
    distribution: str = "",
) -> list[EvaluatedComparison]:
    """Every arm's completion against the baseline's on the same prompt.

    Which of the two is shown first is drawn for each judgment.
    """
    panels = list(panels)
    return [
        EvaluatedComparison(
            prompt_id=prompt.id,
            use_case=prompt.use_case or "",
            distribution=distribution,
            arm=arm.arm,
            size=arm.size,
            baseline=baseline.arm,
            baseline_size=baseline.size,
            completion_id=own[number].id,
            baseline_id=completions[baseline][number].id,
            labeler_id=labeler.id,
            labeler_group=panel.group,
            outcome=_blind(prefer, prompt, own[number], completions[baseline][number], labeler, rng),
        )
        for number, prompt in enumerate(prompts)
        for panel in panels
        for labeler in panel.for_prompt(rng)
        for arm, own in completions.items()
        if arm != baseline
    ]


def _blind(prefer: Prefer[Any], prompt: Prompt, own: Completion, other: Completion, labeler: Any, rng: Random) -> float:
    if rng.random() < 0.5:
        return prefer(prompt, own, other, labeler, rng)
    return 1.0 - prefer(prompt, other, own, labeler, rng)


def rate_completions(
    prompts: Sequence[Prompt],
    completions: Completions,
    *,
    panel: LabelerPanel,
    rate: Rate[Any],
    rng: Random,
    distribution: str = "",
) -> list[EvaluatedRating]:
    """A Likert rating with flags of every arm's completion."""
    return [
        EvaluatedRating(
            **rate(prompt, own[number], labeler, rng).model_dump(),
            arm=arm.arm,
            size=arm.size,
            distribution=distribution,
            labeler_group=panel.group,
        )
        for number, prompt in enumerate(prompts)
        for labeler in panel.for_prompt(rng)
        for arm, own in completions.items()
    ]


def score_rows(rankings: Sequence[Ranking], scores: Sequence[Sequence[float]], condition: Condition) -> list[TaskRow]:
    """One row per comparison, without ties: 1 if the chosen one scores higher, 0.5 if equal, else 0."""
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
    """Share of comparisons on which two labelers of the same completions agree, if neither called a tie."""
    items: list[tuple[str, str, str]] = []
    labelers: list[str] = []
    outcomes: list[float] = []
    for ranking in rankings:
        for pair, outcome in ranking_outcomes(ranking.ranking).items():
            items.append((ranking.prompt_id or "", *pair))
            labelers.append(ranking.labeler_id or "")
            outcomes.append(outcome)
    return pairwise_agreement(items, labelers, outcomes, clusters=[item[0] for item in items], ties="exclude")
