"""The main interval: a clustered mean of bounded numbers, by Wilson's method on the effective sample size.

The mean is over records, not over clusters: a prompt that was judged five times counts five times, both in the estimate
and in the true value that the interval is meant to cover. That is the paper's win rate, over comparisons. Clusters are
the sampling units: the interval generalizes to other prompts like these, with such sizes, judged by such labelers.

Its coverage is in docs/quality.md, measured by `benchmarks/coverage.py`.

Sources
- The variance and its degrees of freedom: `tutelage.statistics.spread`.
- Wilson's score interval with n replaced by the effective sample size p (1 - p) / variance: Franco, Little, Louis and
  Slud (2019), "Comparative Study of Confidence Intervals for Proportions in Complex Sample Surveys", which recommends
  it over six others.
- The allowance for unsampled values (`_allowed`) is our own.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import isinf, sqrt

import numpy as np

from tutelage.statistics.spread import CONFIDENCE, Numbers, Spread, cluster_indices, spread_of_mean

__all__ = ["CONFIDENCE", "Interval", "bounded_interval", "bounded_mean", "cluster_indices", "clustered_variance"]

# If numbers pile up at one end of their range, the few distant ones that determine the mean are often not sampled, and
# then the variance is also too small. With a twentieth, 93 to 99 of 100 intervals cover the true value.
_UNSEEN = 1.0 / 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with the 95 % interval around it; `n` counts the numbers that went into the mean (not the clusters)."""

    mean: float
    low: float
    high: float
    n: int


def clustered_variance(values: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Cluster-robust variance (CR2) of the mean of the records.

    Infinite with fewer than two clusters, because then nothing is known about how clusters differ. Raises ValueError if
    `values` is empty, not finite, or not as long as `clusters`.
    """
    return spread_of_mean(_checked(values, clusters), clusters).variance


def bounded_mean(
    values: Sequence[float], clusters: Sequence[Hashable], *, lower: float = 0.0, upper: float = 1.0
) -> Interval:
    """Mean of records within [lower, upper], with its clustered 95 % interval, which is within the same range.

    If the clusters show no variance (every response won, say) the effective sample size is the effective number of
    clusters: each prompt counts as one observation, however often it was judged, so that the interval never has zero
    width. A single cluster gives the whole range.

    With 20 or more clusters it covers the true value in 93 to 98 of 100 draws (91 in the worst design of the
    simulation, two clusters with a third of all records and 98 with two each, which agree within themselves). With
    fewer clusters, if one has most of the records, or if numbers are close together near an end of the range, it covers
    more often: it is too wide. The tables are in docs/quality.md.
    """
    numbers = _checked(values, clusters)
    if numbers.min() < lower or numbers.max() > upper:
        raise ValueError(
            f"values reach from {numbers.min():g} to {numbers.max():g}; they must be in [{lower:g}, {upper:g}]"
        )
    spread = spread_of_mean(numbers, clusters)
    return bounded_interval(float(numbers.mean()), spread, n=int(numbers.size), lower=lower, upper=upper)


def bounded_interval(mean: float, spread: Spread, *, n: int, lower: float = 0.0, upper: float = 1.0) -> Interval:
    """The interval of a mean within [lower, upper] whose spread is known."""
    width = upper - lower
    low, high = _wilson((mean - lower) / width, spread, spread.variance / width**2)
    return Interval(mean=mean, low=lower + width * low, high=lower + width * high, n=n)


def _wilson(share: float, spread: Spread, variance: float) -> tuple[float, float]:
    if isinf(variance):
        return 0.0, 1.0
    outcome_variance = share * (1.0 - share)
    allowed = _allowed(share, variance, spread.num_effective)
    effective_n = outcome_variance / allowed if allowed > 0.0 else spread.num_effective
    quantile = spread.quantile
    shrink = 1.0 + quantile**2 / effective_n
    centre = (share + quantile**2 / (2.0 * effective_n)) / shrink
    half = quantile * sqrt(outcome_variance / effective_n + quantile**2 / (4.0 * effective_n**2)) / shrink
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def _allowed(share: float, variance: float, num_clusters: float) -> float:
    """The variance with an allowance for what the clusters may have missed, depending on how lopsided the mean is.

    It grows by (odds^2 - 1) / 20 clusters, where the odds are those of the farther end of the range: by nothing for a
    mean in the middle. It grows to at most the variance of binary numbers with this mean: no bounded numbers vary more,
    and these need no allowance, because Wilson's method is designed for them.
    """
    most = share * (1.0 - share) / num_clusters
    # Rounding leaves a variance of about 1e-34 if the clusters in fact agree exactly.
    if variance <= 1e-15 or most <= 0.0:
        return most
    odds = max(share, 1.0 - share) / min(share, 1.0 - share)
    return max(variance, min(variance * (1.0 + _UNSEEN * (odds**2 - 1.0) / num_clusters), most))


def _checked(values: Sequence[float], clusters: Sequence[Hashable]) -> Numbers:
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values but {len(clusters)} clusters; give every value its cluster")
    if len(values) == 0:
        raise ValueError("no values; a mean needs at least one")
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("a value is NaN or infinite; omit what was not judged")
    return numbers
