"""Agreement between labelers: how often two of them judge a comparison the same way (paper 3.4: about 73 %).

Sources
- The variance of a mean over pairs of labelers, in which pairs with a common labeler are correlated: Aronow, Samii and
  Assenova (2015), "Cluster-Robust Variance Estimation for Dyadic Data"; combined with clusters of items as in
  Cameron, Gelbach and Miller (2011), "Robust Inference with Multiway Clustering".
- Degrees of freedom of a sum of variances: Satterthwaite (1946).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from itertools import combinations
from typing import Literal, TypeVar

import numpy as np

from tutelage.statistics.interval import Interval, bounded_interval
from tutelage.statistics.spread import Numbers, Spread, cluster_indices, spread_of_mean

Judgement = TypeVar("Judgement")
# The paper does not say how its 72.6 % counts ties, so this is an explicit option.
#   "category"  a tie is a third judgment: it agrees only with a tie
#   "half"      a tie against a preference is half agreement; a tie agrees fully with a tie
#   "exclude"   a pair of judgments that includes a tie is excluded
TieRule = Literal["category", "half", "exclude"]


def pairwise_agreement(
    items: Sequence[Hashable],
    labelers: Sequence[Hashable],
    outcomes: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    ties: TieRule = "category",
) -> Interval:
    """Share of pairs of labelers that judged the same item the same way, with its 95 % interval.

    One entry per judgment: the comparison judged, the labeler, and 1, 0.5 (tie) or 0, always seen from the same side.
    `clusters`: the prompt of each judgment (default: the item itself), since the comparisons of one prompt share their
    responses. The mean is over pairs of judgments, and `n` counts them: an item judged by many has the weight of all
    its pairs, which the interval accounts for. With three or more labelers it generalizes to other labelers like these
    on other prompts (with fewer than ten it is still too narrow if labelers differ a lot); with only two, to these two
    on other prompts. Raises ValueError if no item was judged twice.
    """
    if ties not in ("category", "half", "exclude"):
        raise ValueError(f"ties is {ties!r}; choose 'category', 'half' or 'exclude'")
    of_item = judgements_by_item(items, labelers, outcomes)
    cluster_of = dict(zip(items, items if clusters is None else clusters, strict=True))
    pairs = [
        (1.0 - abs(first - second) if ties == "half" else float(first == second), cluster_of[item], who)
        for item, who, first, second in _pairs(of_item)
        if ties != "exclude" or 0.5 not in (first, second)
    ]
    if not pairs:
        raise ValueError("no item was judged by two labelers; give some items to more than one of them")
    agreed = np.array([share for share, _, _ in pairs])
    spread = _spread_of_pairs(agreed, [cluster for _, cluster, _ in pairs], [who for _, _, who in pairs])
    return bounded_interval(float(agreed.mean()), spread, n=len(pairs))


def _spread_of_pairs(
    agreed: Numbers, clusters: Sequence[Hashable], labelers: Sequence[tuple[Hashable, Hashable]]
) -> Spread:
    """The spread by clusters, and the covariance of pairs in different clusters that share a labeler."""
    spread = spread_of_mean(agreed, clusters)
    ends, num_labelers = cluster_indices([labeler for pair in labelers for labeler in pair])
    if num_labelers < 3 or spread.num_effective == 1.0:
        return spread
    residuals = agreed - agreed.mean()
    ends = ends.reshape(-1, 2)
    places = cluster_indices(clusters)[0]
    within = _squared_sums(np.repeat(residuals, 2), (places[:, None] * num_labelers + ends).ravel())
    across = _squared_sums(np.repeat(residuals, 2), ends.ravel()) - within
    # Residuals around the mean of few labelers are too small: by this factor if each judged every item.
    correction = num_labelers * (num_labelers - 1) / (num_labelers - 2) ** 2
    of_labelers = max(0.0, correction * across / agreed.size**2)
    counts = np.bincount(ends.ravel())
    degrees = max(1.0, float(counts.sum() ** 2 / np.square(counts).sum()) - 1.0)
    total = spread.variance + of_labelers
    if of_labelers == 0.0:
        return spread
    return Spread(
        variance=total,
        degrees=total**2 / (spread.variance**2 / spread.degrees + of_labelers**2 / degrees),
        num_effective=spread.num_effective,
    )


def _squared_sums(residuals: Numbers, keys: np.ndarray) -> float:
    _, groups = np.unique(keys, return_inverse=True)
    return float(np.square(np.bincount(groups, weights=residuals)).sum())


def ranking_outcomes(ranking: Sequence[Sequence[str]]) -> dict[tuple[str, str], float]:
    """Every comparison of one ranking (tie groups of completion ids, best first), with the same keys for every labeler.

    The key is the pair of ids in sorted order; the outcome is seen from its first: 1 higher, 0 lower, 0.5 the same.
    """
    rank_of = {identity: rank for rank, group in enumerate(ranking) for identity in group}
    return {
        (first, second): 0.5 if rank_of[first] == rank_of[second] else float(rank_of[first] < rank_of[second])
        for first, second in combinations(sorted(rank_of), 2)
    }


def judgements_by_item(
    items: Sequence[Hashable], labelers: Sequence[Hashable], outcomes: Sequence[Judgement]
) -> dict[Hashable, dict[Hashable, Judgement]]:
    """Each labeler's judgment of each item. Raises ValueError if one judged an item twice."""
    of_item: dict[Hashable, dict[Hashable, Judgement]] = defaultdict(dict)
    for item, labeler, outcome in zip(items, labelers, outcomes, strict=True):
        own = of_item[item]
        if labeler in own:
            raise ValueError(f"labeler {labeler!r} judged item {item!r} twice; keep one judgment per labeler")
        own[labeler] = outcome
    return of_item


def _pairs(
    of_item: dict[Hashable, dict[Hashable, float]],
) -> Iterator[tuple[Hashable, tuple[Hashable, Hashable], float, float]]:
    for item, of_labeler in of_item.items():
        for (one, first), (other, second) in combinations(of_labeler.items(), 2):
            yield item, (one, other), first, second
