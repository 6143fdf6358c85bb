"""Agreement between labelers: how often two of them judge one comparison alike (paper 3.4: about 73 %)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from itertools import combinations
from typing import Literal, TypeVar

from tutelage.statistics.interval import Interval, bounded_mean

Judgement = TypeVar("Judgement")
# The paper does not say how its 72.6 % counts ties, so the choice has a name.
#   "category"  a tie is a third judgement: it agrees with a tie and with nothing else
#   "half"      a tie against a preference agrees by half; a tie agrees fully with a tie
#   "exclude"   a pair of judgements with a tie in it is left out
TieRule = Literal["category", "half", "exclude"]


def pairwise_agreement(
    items: Sequence[Hashable],
    labelers: Sequence[Hashable],
    outcomes: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    ties: TieRule = "category",
) -> Interval:
    """Share of pairs of labelers that judged the same item alike, with its 95 % interval.

    One entry a judgement: the comparison judged, who judged it, and 1, 0.5 (tie) or 0, seen from the same side by
    everybody. `clusters`: the prompt of each judgement (default: the item itself), since the comparisons of one
    prompt share their responses. `n` counts pairs of judgements. The interval speaks of these labelers on other
    prompts. Raises ValueError where no item was judged twice.
    """
    if ties not in ("category", "half", "exclude"):
        raise ValueError(f"ties is {ties!r}; choose 'category', 'half' or 'exclude'")
    of_item = judgements_by_item(items, labelers, outcomes)
    cluster_of = dict(zip(items, items if clusters is None else clusters, strict=True))
    pairs = [
        (1.0 - abs(first - second) if ties == "half" else float(first == second), cluster_of[item])
        for item, first, second in _pairs(of_item)
        if ties != "exclude" or 0.5 not in (first, second)
    ]
    if not pairs:
        raise ValueError("no item was judged by two labelers; give some items to more than one of them")
    return bounded_mean([agreed for agreed, _ in pairs], [cluster for _, cluster in pairs])


def ranking_outcomes(ranking: Sequence[Sequence[str]]) -> dict[tuple[str, str], float]:
    """Every comparison of one ranking (tie groups of completion ids, best first), the same key whoever ranked.

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
    """What each labeler said of each item. Raises ValueError where one judged an item twice."""
    of_item: dict[Hashable, dict[Hashable, Judgement]] = defaultdict(dict)
    for item, labeler, outcome in zip(items, labelers, outcomes, strict=True):
        own = of_item[item]
        if labeler in own:
            raise ValueError(f"labeler {labeler!r} judged item {item!r} twice; keep one judgement of each labeler")
        own[labeler] = outcome
    return of_item


def _pairs(of_item: dict[Hashable, dict[Hashable, float]]) -> Iterator[tuple[Hashable, float, float]]:
    for item, of_labeler in of_item.items():
        for first, second in combinations(of_labeler.values(), 2):
            yield item, first, second
