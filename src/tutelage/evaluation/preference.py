"""Win rates and ratings: who judges is passed in, people through the labeling studio or simulated labelers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from tutelage.records import Completion, Prompt, Ranking, Rating
from tutelage.statistics.agreement import pairwise_agreement, ranking_outcomes
from tutelage.statistics.interval import Interval
from tutelage.statistics.win_rate import win_rate

L = TypeVar("L")
A = TypeVar("A", bound=Hashable)  # a name, or a name and a size
Prefer = Callable[[Prompt, Completion, Completion, L, Random], float]  # 1 first, 0 second, 0.5 tie
Rate = Callable[[Prompt, Completion, L, Random], Rating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Labelers of one group; `judgements_per_prompt` of them, chosen by the generator, judge each prompt."""

    group: str
    labelers: Sequence[Any]
    judgements_per_prompt: int

    def for_prompt(self, rng: Random) -> list[Any]:
        return rng.sample(list(self.labelers), min(self.judgements_per_prompt, len(self.labelers)))


def compare_with_baseline(
    prompts: Sequence[Prompt],
    completions: Mapping[A, Sequence[Completion]],
    *,
    baseline: A,
    panels: Iterable[Panel],
    prefer: Prefer[Any],
    rng: Random,
) -> list[dict[str, Any]]:
    """Every arm's completion against the baseline's on the same prompt, as rows of comparisons.jsonl.

    Which of the two is shown first is drawn anew for each judgement.
    """
    rows = []
    panels = list(panels)
    for number, prompt in enumerate(prompts):
        for panel in panels:
            for labeler in panel.for_prompt(rng):
                for arm, own in completions.items():
                    if arm != baseline:
                        outcome = _blind(prefer, prompt, own[number], completions[baseline][number], labeler, rng)
                        rows.append(
                            {
                                "prompt_id": prompt.id,
                                "use_case": prompt.use_case,
                                "arm": arm,
                                "completion_id": own[number].id,
                                "baseline_id": completions[baseline][number].id,
                                "labeler_id": labeler.id,
                                "labeler_group": panel.group,
                                "outcome": outcome,
                            }
                        )
    return rows


def _blind(prefer: Prefer[Any], prompt: Prompt, own: Completion, other: Completion, labeler: Any, rng: Random) -> float:
    if rng.random() < 0.5:
        return prefer(prompt, own, other, labeler, rng)
    return 1.0 - prefer(prompt, other, own, labeler, rng)


def rate_completions(
    prompts: Sequence[Prompt],
    completions: Mapping[A, Sequence[Completion]],
    *,
    panel: Panel,
    rate: Rate[Any],
    rng: Random,
) -> list[dict[str, Any]]:
    """A Likert rating with flags of every arm's completion, as rows of ratings.jsonl."""
    rows = []
    for number, prompt in enumerate(prompts):
        for labeler in panel.for_prompt(rng):
            for arm, own in completions.items():
                rating = rate(prompt, own[number], labeler, rng)
                rows.append({**rating.model_dump(), "arm": arm, "labeler_group": panel.group})
    return rows


def win_rates(rows: Iterable[Mapping[str, Any]], *, labeler_group: str) -> dict[str, Interval]:
    """Win rate of each arm by the labelers of one group, ties half, intervals clustered by prompt."""
    outcomes: dict[str, list[float]] = defaultdict(list)
    clusters: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["labeler_group"] == labeler_group:
            outcomes[row["arm"]].append(row["outcome"])
            clusters[row["arm"]].append(row["prompt_id"])
    return {arm: win_rate(outcomes[arm], clusters[arm]) for arm in outcomes}


def score_accuracy(rankings: Sequence[Ranking], scores: Sequence[Sequence[float]]) -> float:
    """Share of all comparisons, ties left out, whose chosen completion scores higher; equal scores count half."""
    outcomes = [row["outcome"] for row in score_outcomes(rankings, scores)]
    return float(sum(outcomes) / len(outcomes))


def score_outcomes(rankings: Sequence[Ranking], scores: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """A row a comparison, ties left out: `outcome` 1 where the chosen one scores higher, 0.5 where equal, else 0."""
    return [
        {
            "prompt_id": ranking.prompt_id,
            "labeler_id": ranking.labeler_id,
            "outcome": 1.0 if own[chosen] > own[rejected] else 0.5 if own[chosen] == own[rejected] else 0.0,
        }
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
