"""Win rate: how often a policy's response is preferred to the baseline's (Figures 1 and 3 of the paper)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

from tutelage.statistics.interval import Interval, bounded_mean

OUTCOMES = (0.0, 0.5, 1.0)


def win_rate(outcomes: Sequence[float], clusters: Sequence[Hashable]) -> Interval:
    """Share of comparisons won, with its 95 % interval clustered by prompt.

    `outcomes`: 1 won, 0 lost, 0.5 tied, one per comparison. The paper allows ties and does not say how they count; here
    a tie is half a win, so swapping policy and baseline turns the rate p into 1 - p. `clusters`: the prompt of each
    comparison. For the interval see `tutelage.statistics.interval`. Raises ValueError for any other outcome, or if
    there are none.
    """
    for outcome in outcomes:
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome is {outcome!r}; it must be 1 (won), 0.5 (tied) or 0 (lost)")
    return bounded_mean(outcomes, clusters)


def win_rate_difference(
    outcomes: Sequence[float],
    clusters: Sequence[Hashable],
    other_outcomes: Sequence[float],
    other_clusters: Sequence[Hashable],
) -> Interval:
    """Win rate of one policy minus that of another against the same baseline, paired on the prompts they share.

    Each shared prompt gives one difference of mean outcomes, in [-1, 1]; `n` counts those prompts. Pairing removes the
    effect of the prompt (and of the baseline's response) common to both policies, so the interval is narrower than two
    separate ones suggest. Numbers other than outcomes are allowed if they are in [0, 1] (a flag of a rating, say).
    Raises ValueError if no prompt is shared.
    """
    means, other_means = _cluster_means(outcomes, clusters), _cluster_means(other_outcomes, other_clusters)
    shared = [cluster for cluster in means if cluster in other_means]
    if not shared:
        raise ValueError("the two policies share no prompt; judge both on the same prompts to compare them")
    differences = [means[cluster] - other_means[cluster] for cluster in shared]
    return bounded_mean(differences, shared, lower=-1.0, upper=1.0)


def _cluster_means(outcomes: Sequence[float], clusters: Sequence[Hashable]) -> dict[Hashable, float]:
    gathered: dict[Hashable, list[float]] = defaultdict(list)
    for outcome, cluster in zip(outcomes, clusters, strict=True):
        gathered[cluster].append(outcome)
    return {cluster: sum(found) / len(found) for cluster, found in gathered.items()}
