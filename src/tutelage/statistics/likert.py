"""Mean of 1-7 ratings (Figure 5 of the paper)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from tutelage.statistics.interval import Interval, bounded_mean

LIKERT_MIN, LIKERT_MAX = 1, 7


def likert_mean(ratings: Sequence[float], clusters: Sequence[Hashable]) -> Interval:
    """Mean rating with its 95 % interval clustered by prompt, within 1 and 7. Raises ValueError on a rating outside."""
    return bounded_mean(ratings, clusters, lower=LIKERT_MIN, upper=LIKERT_MAX)
